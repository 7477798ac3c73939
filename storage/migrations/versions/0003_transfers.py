"""Warm transfers: the people who are rung for a caller.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_STATUSES = (
    "calling",
    "ringing",
    "briefing",
    "accepted",
    "deserted",
    "joined",
    "ended",
    "refused",
    "undecided",
    "no_answer",
    "busy",
    "machine",
    "failed",
    "caller_left",
    "withdrawn",
)


def upgrade() -> None:
    """Add the table of transfers."""
    allowed = ", ".join(f"'{status}'" for status in _STATUSES)
    op.create_table(
        "transfers",
        sa.Column("transfer_id", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("call_sid", sa.String(), nullable=False),
        sa.Column("agent_name", sa.String(), nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("leg_sid", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("caller_joined_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("person_joined_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(f"status IN ({allowed})", name=op.f("ck_transfers_status")),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.call_id"], name=op.f("fk_transfers_call_id_calls"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("transfer_id", name=op.f("pk_transfers")),
    )
    op.create_index(op.f("ix_transfers_call_id"), "transfers", ["call_id"])


def downgrade() -> None:
    """Take it back."""
    op.drop_index(op.f("ix_transfers_call_id"), "transfers")
    op.drop_table("transfers")
