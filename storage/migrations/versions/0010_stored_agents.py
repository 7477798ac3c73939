"""Agents that are stored over the API, each change a version; secrets granted to them; a call's version of its agent.

Revision ID: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision: str | None = "0009"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Add the tables and the column."""
    op.create_table(
        "stored_agents",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.Column("published", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_stored_agents")),
    )
    op.create_table(
        "stored_agent_versions",
        sa.Column("agent_name", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("agent_name", "number", name=op.f("pk_stored_agent_versions")),
        sa.ForeignKeyConstraint(
            ["agent_name"],
            ["stored_agents.name"],
            name=op.f("fk_stored_agent_versions_agent_name_stored_agents"),
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "stored_agent_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("counter", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stored_agent_changes")),
    )
    op.execute("INSERT INTO stored_agent_changes (id, counter) VALUES (1, 0)")
    op.create_table(
        "agent_secret_grants",
        sa.Column("agent_name", sa.String(), nullable=False),
        sa.Column("secret_name", sa.String(), nullable=False),
        sa.Column("hosts", sa.JSON(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("agent_name", "secret_name", name=op.f("pk_agent_secret_grants")),
    )
    op.add_column("calls", sa.Column("agent_version", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Take all of it back; what was stored is lost, calls keep the names of their agents."""
    op.drop_column("calls", "agent_version")
    op.drop_table("agent_secret_grants")
    op.drop_table("stored_agent_changes")
    op.drop_table("stored_agent_versions")
    op.drop_table("stored_agents")
