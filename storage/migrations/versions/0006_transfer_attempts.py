"""What became of the cold transfers of a call.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Add the list of attempts."""
    op.add_column("calls", sa.Column("transfer_attempts", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("calls", "transfer_attempts")
