"""Rotation of API keys, and the log of what was changed and by whom.

Revision ID: 0009
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision: str | None = "0008"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Add the columns of rotation and of bound keys, and the log."""
    op.add_column("api_keys", sa.Column("previous_hash", sa.String(), nullable=True))
    op.add_column("api_keys", sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("api_keys", sa.Column("agents", sa.JSON(), nullable=True))
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", sa.String(), nullable=False),
        sa.Column("token_id", sa.String(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject_kind", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("address_index", sa.String(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        sa.CheckConstraint(
            "actor_kind IN ('key', 'token', 'playground', 'this_machine', 'command_line', 'server')",
            name=op.f("ck_audit_log_actor_kind"),
        ),
    )
    op.create_index(op.f("ix_audit_log_at"), "audit_log", ["at"])
    op.create_index(op.f("ix_audit_log_actor_id"), "audit_log", ["actor_id"])
    op.create_index(op.f("ix_audit_log_subject_kind_subject_id"), "audit_log", ["subject_kind", "subject_id"])


def downgrade() -> None:
    """Take it back; old secrets of rotated keys are then good for nothing, and bound keys are revoked."""
    op.drop_table("audit_log")
    # Without its column a bound key would be good for every agent.
    keys = sa.table("api_keys", sa.column("revoked_at", sa.DateTime(timezone=True)), sa.column("agents", sa.JSON()))
    bound = keys.c.agents.is_not(None), keys.c.revoked_at.is_(None)
    op.execute(keys.update().where(*bound).values(revoked_at=datetime.now(UTC)))
    for column in ("agents", "previous_until", "previous_hash"):
        op.drop_column("api_keys", column)
