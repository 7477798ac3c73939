"""Records of consent to recordings.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "consents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("agent_name", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=True),
        sa.Column("wording", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.Column("given_by", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.call_id"], name=op.f("fk_consents_call_id_calls"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint("call_id", "answer", "at", name=op.f("uq_consents_call_id_answer_at")),
        sa.CheckConstraint("answer IN ('yes', 'no', 'none', 'withdrawn')", name=op.f("ck_consents_answer")),
        sa.CheckConstraint("given_by IN ('voice', 'key', 'announcement')", name=op.f("ck_consents_given_by")),
    )
    op.create_index(op.f("ix_consents_number"), "consents", ["number"])


def downgrade() -> None:
    """Drop the table, and everything in it."""
    op.drop_table("consents")
