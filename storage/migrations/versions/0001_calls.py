"""Calls, their turns and events, and a bot's own records.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "calls",
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("call_sid", sa.String(), nullable=True),
        sa.Column("agent_name", sa.String(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("end_reason", sa.String(), nullable=True),
        sa.Column("from_number", sa.String(), nullable=True),
        sa.Column("to_number", sa.String(), nullable=True),
        sa.Column("variables", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("live_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recording_status", sa.String(), nullable=False),
        sa.Column("recording_error", sa.String(), nullable=True),
        sa.Column("next_step", sa.JSON(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_calls")),
        sa.UniqueConstraint("call_sid", name=op.f("uq_calls_call_sid")),
        sa.CheckConstraint("direction IN ('inbound', 'outbound', 'browser')", name=op.f("ck_calls_direction")),
        sa.CheckConstraint("status IN ('queued', 'ringing', 'live', 'ended')", name=op.f("ck_calls_status")),
        sa.CheckConstraint(
            "end_reason IN ('caller_hung_up', 'bot_ended', 'silence', 'time_limit', 'transferred', 'drained', "
            "'connection_lost', 'never_connected', 'refused_busy', 'failed')",
            name=op.f("ck_calls_end_reason"),
        ),
        sa.CheckConstraint(
            "recording_status IN ('none', 'recording', 'complete', 'failed')", name=op.f("ck_calls_recording_status")
        ),
        sa.CheckConstraint("(status = 'ended') = (end_reason IS NOT NULL)", name=op.f("ck_calls_ended_has_reason")),
    )
    op.create_index(op.f("ix_calls_created_at"), "calls", ["created_at"])
    op.create_index(op.f("ix_calls_agent_name_created_at"), "calls", ["agent_name", "created_at"])
    op.create_table(
        "turns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("speaker", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("start_ms", sa.Integer(), nullable=False),
        sa.Column("end_ms", sa.Integer(), nullable=False),
        sa.Column("interrupted", sa.Boolean(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turns")),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.call_id"], name=op.f("fk_turns_call_id_calls"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint("call_id", "position", name=op.f("uq_turns_call_id_position")),
        sa.CheckConstraint("speaker IN ('caller', 'agent')", name=op.f("ck_turns_speaker")),
    )
    op.create_table(
        "call_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_events")),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.call_id"], name=op.f("fk_call_events_call_id_calls"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint("call_id", "seq", name=op.f("uq_call_events_call_id_seq")),
    )
    op.create_table(
        "records",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("namespace", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_records")),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.call_id"], name=op.f("fk_records_call_id_calls"), ondelete="SET NULL"
        ),
        sa.UniqueConstraint("namespace", "kind", "key", name=op.f("uq_records_namespace_kind_key")),
    )
    op.create_index(op.f("ix_records_call_id"), "records", ["call_id"])


def downgrade() -> None:
    """Drop the tables, and everything in them."""
    op.drop_table("records")
    op.drop_table("call_events")
    op.drop_table("turns")
    op.drop_table("calls")
