"""Server processes, and calls whose process died.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_FIRST_REASONS = (
    "caller_hung_up",
    "bot_ended",
    "silence",
    "time_limit",
    "transferred",
    "drained",
    "connection_lost",
    "never_connected",
    "refused_busy",
    "failed",
)


def upgrade() -> None:
    """Add the table of processes and the end reason of calls whose process died."""
    op.create_table(
        "processes",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_processes")),
    )
    _allow_reasons((*_FIRST_REASONS, "server_crashed"))
    op.create_index(op.f("ix_calls_status"), "calls", ["status"])


def downgrade() -> None:
    """Take both back; calls whose process died have then failed."""
    op.drop_index(op.f("ix_calls_status"), "calls")
    op.execute("UPDATE calls SET end_reason = 'failed' WHERE end_reason = 'server_crashed'")
    _allow_reasons(_FIRST_REASONS)
    op.drop_table("processes")


def _allow_reasons(reasons: tuple[str, ...]) -> None:
    allowed = ", ".join(f"'{reason}'" for reason in reasons)
    # SQLite changes no rule of a table: the table is copied into a new one, with its other rules and its rows.
    with op.batch_alter_table("calls") as calls:
        calls.drop_constraint(op.f("ck_calls_end_reason"), type_="check")
        calls.create_check_constraint(op.f("ck_calls_end_reason"), f"end_reason IN ({allowed})")
