"""Words of transcripts as keyed hashes.

Revision ID: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision: str | None = "0013"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "word_hashes",
        sa.Column("word", sa.LargeBinary(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("word", "call_id", name=op.f("pk_word_hashes")),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.call_id"], name=op.f("fk_word_hashes_call_id_calls"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_word_hashes_call_id"), "word_hashes", ["call_id"])


def downgrade() -> None:
    """Drop it, and with it all that was found by words."""
    op.drop_table("word_hashes")
