"""Who took a placed call, and the end reasons of calls that a machine took or whose time went by.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0006"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_REASONS_BEFORE = (
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
    "server_crashed",
    "busy",
    "no_answer",
    "failed_to_dial",
    "cancelled",
    "refused",
    "ended_by_api",
)
_NEW_REASONS = ("machine_hung_up", "message_left", "missed")


def upgrade() -> None:
    """Add the column and the end reasons."""
    _allow_reasons((*_REASONS_BEFORE, *_NEW_REASONS))
    op.add_column("calls", sa.Column("answered_by", sa.String(), nullable=True))


def downgrade() -> None:
    """Take it back; calls that a machine took were then ended by the bot, those whose time went by not placed."""
    op.drop_column("calls", "answered_by")
    op.execute("UPDATE calls SET end_reason = 'failed_to_dial' WHERE end_reason = 'missed'")
    op.execute("UPDATE calls SET end_reason = 'bot_ended' WHERE end_reason IN ('machine_hung_up', 'message_left')")
    _allow_reasons(_REASONS_BEFORE)


def _allow_reasons(reasons: tuple[str, ...]) -> None:
    allowed = ", ".join(f"'{reason}'" for reason in reasons)
    # SQLite changes no rule of a table: the table is copied into a new one, with its other rules and its rows.
    with op.batch_alter_table("calls") as calls:
        calls.drop_constraint(op.f("ck_calls_end_reason"), type_="check")
        calls.create_check_constraint(op.f("ck_calls_end_reason"), f"end_reason IN ({allowed})")
