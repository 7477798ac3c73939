"""Numbers that are not to be called, receipts of what was erased, and how long each agent's calls are kept.

Revision ID: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision: str | None = "0011"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "do_not_call",
        sa.Column("number_index", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("noted_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number_index", name=op.f("pk_do_not_call")),
        sa.CheckConstraint("source IN ('api', 'operator', 'file', 'agent')", name=op.f("ck_do_not_call_source")),
    )
    op.create_index(op.f("ix_do_not_call_created_at_number_index"), "do_not_call", ["created_at", "number_index"])
    op.create_table(
        "erasure_receipts",
        sa.Column("receipt_id", sa.String(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("person_hash", sa.String(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("signed", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("receipt_id", name=op.f("pk_erasure_receipts")),
    )
    op.create_index(op.f("ix_erasure_receipts_person_hash"), "erasure_receipts", ["person_hash"])
    op.create_table(
        "retentions",
        sa.Column("agent_name", sa.String(), nullable=False),
        sa.Column("audio_days", sa.Integer(), nullable=True),
        sa.Column("transcript_days", sa.Integer(), nullable=True),
        sa.Column("numbers_days", sa.Integer(), nullable=True),
        sa.Column("call_days", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("agent_name", name=op.f("pk_retentions")),
    )
    op.create_table(
        "expired_parts",
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("audio_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("transcript_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("numbers_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_expired_parts")),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.call_id"], name=op.f("fk_expired_parts_call_id_calls"), ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    """Drop the tables, and everything in them."""
    for table in ("expired_parts", "retentions", "erasure_receipts", "do_not_call"):
        op.drop_table(table)
