"""API keys, calls that are placed, and each attempt to place one.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"
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
)
_NEW_REASONS = ("busy", "no_answer", "failed_to_dial", "cancelled", "refused", "ended_by_api")


def upgrade() -> None:
    """Add the tables, what a call changes of its agent, and the end reasons of placed calls."""
    _allow_reasons((*_REASONS_BEFORE, *_NEW_REASONS))
    op.add_column("calls", sa.Column("overrides", sa.JSON(), nullable=True))
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_keys")),
    )
    op.create_table(
        "outgoing_calls",
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.Column("request_hash", sa.String(), nullable=False),
        sa.Column("ring_secs", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dialled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_secs", sa.Integer(), nullable=True),
        sa.Column("problem", sa.String(), nullable=True),
        sa.Column("problem_code", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_outgoing_calls")),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.call_id"], name=op.f("fk_outgoing_calls_call_id_calls"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint(
            "requested_by", "idempotency_key", name=op.f("uq_outgoing_calls_requested_by_idempotency_key")
        ),
    )
    op.create_index(op.f("ix_outgoing_calls_dialled_at"), "outgoing_calls", ["dialled_at"])
    op.create_table(
        "dial_attempts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("error_code", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dial_attempts")),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.call_id"], name=op.f("fk_dial_attempts_call_id_calls"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint("call_id", "number", name=op.f("uq_dial_attempts_call_id_number")),
        sa.CheckConstraint("outcome IN ('placed', 'refused', 'not_sent')", name=op.f("ck_dial_attempts_outcome")),
    )


def downgrade() -> None:
    """Take all of it back; placed calls that nobody answered have then failed, the others ended by the bot."""
    op.drop_table("dial_attempts")
    op.drop_table("outgoing_calls")
    op.drop_table("api_keys")
    op.drop_column("calls", "overrides")
    op.execute("UPDATE calls SET end_reason = 'bot_ended' WHERE end_reason = 'ended_by_api'")
    unanswered = ", ".join(f"'{reason}'" for reason in _NEW_REASONS)
    op.execute(f"UPDATE calls SET end_reason = 'failed' WHERE end_reason IN ({unanswered})")
    _allow_reasons(_REASONS_BEFORE)


def _allow_reasons(reasons: tuple[str, ...]) -> None:
    allowed = ", ".join(f"'{reason}'" for reason in reasons)
    # SQLite changes no rule of a table: the table is copied into a new one, with its other rules and its rows.
    with op.batch_alter_table("calls") as calls:
        calls.drop_constraint(op.f("ck_calls_end_reason"), type_="check")
        calls.create_check_constraint(op.f("ck_calls_end_reason"), f"end_reason IN ({allowed})")
