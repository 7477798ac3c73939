"""Answers that are given again to a repeated request, and each move of a call's status, noted by the database itself.

Revision ID: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision: str | None = "0010"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


_POSTGRES = (
    """
CREATE FUNCTION note_call_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO call_moves (xid, call_id, agent_name, status, at)
  VALUES (pg_current_xact_id()::text::bigint, NEW.call_id, NEW.agent_name, NEW.status, clock_timestamp());
  RETURN NULL;
END $$
""",
    """
CREATE TRIGGER note_call_opened AFTER INSERT ON calls FOR EACH ROW EXECUTE FUNCTION note_call_move()
""",
    """
CREATE TRIGGER note_call_moved AFTER UPDATE OF status ON calls FOR EACH ROW
WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION note_call_move()
""",
)
# Microseconds, as the driver reads them: SQLite itself knows thousandths.
_NOTE = """
INSERT INTO call_moves (xid, call_id, agent_name, status, at)
VALUES (0, NEW.call_id, NEW.agent_name, NEW.status, strftime('%Y-%m-%d %H:%M:%f000', 'now'));
"""
_SQLITE = (
    f"CREATE TRIGGER note_call_opened AFTER INSERT ON calls BEGIN {_NOTE} END",
    f"CREATE TRIGGER note_call_moved AFTER UPDATE OF status ON calls WHEN OLD.status <> NEW.status BEGIN {_NOTE} END",
)


def upgrade() -> None:
    """Add the tables, and the triggers that fill the second one."""
    op.create_table(
        "idempotent_requests",
        sa.Column("slot", sa.String(), nullable=False),
        sa.Column("request_hash", sa.String(), nullable=False),
        sa.Column("claim", sa.String(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.String(), nullable=True),
        sa.Column("body", sa.String(), nullable=True),
        sa.Column("call_id", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("slot", name=op.f("pk_idempotent_requests")),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.call_id"], name=op.f("fk_idempotent_requests_call_id_calls"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_idempotent_requests_call_id"), "idempotent_requests", ["call_id"])
    op.create_index(op.f("ix_idempotent_requests_expires_at"), "idempotent_requests", ["expires_at"])
    op.create_table(
        "call_moves",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("xid", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("agent_name", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_call_moves")),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.call_id"], name=op.f("fk_call_moves_call_id_calls"), ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_call_moves_xid_seq"), "call_moves", ["xid", "seq"])
    op.create_index(op.f("ix_call_moves_call_id"), "call_moves", ["call_id"])
    for statement in _SQLITE if _is_sqlite() else _POSTGRES:
        op.execute(sa.DDL(statement.replace("%", "%%")))


def downgrade() -> None:
    """Take them back: repeated requests are then carried out again."""
    for name in ("note_call_opened", "note_call_moved"):
        op.execute(f"DROP TRIGGER {name}" if _is_sqlite() else f"DROP TRIGGER {name} ON calls")
    if not _is_sqlite():
        op.execute("DROP FUNCTION note_call_move()")
    op.drop_table("call_moves")
    op.drop_table("idempotent_requests")


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
