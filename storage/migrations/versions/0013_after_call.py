"""What is made of a call once it is over: analysis, costs, deliveries.

Revision ID: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision: str | None = "0012"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_UNSETTLED = "aftercall < 3"
_PROBLEMS = (
    "no_words",
    "no_consent",
    "not_configured",
    "no_model",
    "blocked",
    "truncated",
    "empty",
    "malformed",
    "refused",
    "busy",
    "unavailable",
    "internal",
)


def upgrade() -> None:
    """Make the tables. Calls that are over by now were never told of, and are left at that."""
    op.add_column("calls", sa.Column("aftercall", sa.Integer(), server_default="0", nullable=False))
    op.execute("UPDATE calls SET aftercall = 3 WHERE status = 'ended'")
    op.execute("UPDATE calls SET aftercall = 1 WHERE status = 'live'")
    where = sa.text(_UNSETTLED)
    op.create_index("ix_calls_unsettled", "calls", ["aftercall"], postgresql_where=where, sqlite_where=where)
    op.create_table(
        "analyses",
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("ticket", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("problem", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", sa.String(), nullable=True),
        sa.CheckConstraint(_one_of("status", "pending", "done", "failed", "skipped"), name=op.f("ck_analyses_status")),
        sa.CheckConstraint(_one_of("problem", *_PROBLEMS), name=op.f("ck_analyses_problem")),
        _of_call("analyses"),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_analyses")),
    )
    op.create_index(op.f("ix_analyses_status_next_at"), "analyses", ["status", "next_at"])
    op.create_table(
        "model_usage",
        sa.Column("usage_id", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=True),
        sa.Column("agent_name", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("usage", sa.JSON(), nullable=False),
        _of_call("model_usage"),
        sa.PrimaryKeyConstraint("usage_id", name=op.f("pk_model_usage")),
    )
    op.create_index(op.f("ix_model_usage_call_id"), "model_usage", ["call_id"])
    op.create_table(
        "costs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=True),
        sa.Column("agent_name", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("item", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("price_usd", sa.String(), nullable=True),
        sa.Column("price_per", sa.String(), nullable=True),
        sa.Column("price_date", sa.Date(), nullable=True),
        sa.Column("micro_usd", sa.BigInteger(), nullable=False),
        _of_call("costs", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_costs")),
        sa.UniqueConstraint("call_id", "item", "source", "model", name=op.f("uq_costs_call_id_item_source_model")),
    )
    op.create_index(op.f("ix_costs_agent_name_day"), "costs", ["agent_name", "day"])
    op.create_index(op.f("ix_costs_day"), "costs", ["day"])
    op.create_table(
        "webhook_secrets",
        sa.Column("endpoint_id", sa.String(), nullable=False),
        sa.Column("agent_name", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("pk_webhook_secrets")),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("delivery_id", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("endpoint_id", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("agent_name", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("secret_name", sa.String(), nullable=True),
        sa.Column("payload", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("first_attempt", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_problem", sa.String(), nullable=True),
        sa.CheckConstraint(
            _one_of("status", "pending", "delivered", "dead"), name=op.f("ck_webhook_deliveries_status")
        ),
        _of_call("webhook_deliveries"),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint("message_id", "endpoint_id", name=op.f("uq_webhook_deliveries_message_id_endpoint_id")),
    )
    op.create_index(op.f("ix_webhook_deliveries_call_id"), "webhook_deliveries", ["call_id"])
    op.create_index(op.f("ix_webhook_deliveries_created_at"), "webhook_deliveries", ["created_at"])
    op.create_index(op.f("ix_webhook_deliveries_status_next_at"), "webhook_deliveries", ["status", "next_at"])
    op.create_table(
        "text_request_windows",
        sa.Column("minute", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("minute", name=op.f("pk_text_request_windows")),
    )


def downgrade() -> None:
    """Take it back; what was worked out, what calls cost and what receivers were told goes with it."""
    for table in (
        "text_request_windows",
        "webhook_deliveries",
        "webhook_secrets",
        "costs",
        "model_usage",
        "analyses",
    ):
        op.drop_table(table)
    op.drop_index("ix_calls_unsettled", "calls")
    op.drop_column("calls", "aftercall")


def _one_of(column: str, *words: str) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"


def _of_call(table: str, ondelete: str = "CASCADE") -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_call_id_calls")
    return sa.ForeignKeyConstraint(["call_id"], ["calls.call_id"], name=name, ondelete=ondelete)
