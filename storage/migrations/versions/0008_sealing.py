"""What people said, and their numbers, are kept sealed.

Sealed values are text, also where JSON stood. What a version before wrote is still in the clear after this step, and
still understood; the server seals it as soon as it runs (`storage.sealing_rows`).

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_JSON = {
    "calls": {"variables": False, "overrides": True, "next_step": True, "transfer_attempts": True},
    "call_events": {"data": False},
    "records": {"data": False},
}
"""Table -> column -> whether it may be null."""
_SEALED = {
    "calls": ("from_number", "to_number", "recording_error", *_JSON["calls"]),
    "outgoing_calls": ("problem",),
    "turns": ("text", "error"),
    "call_events": ("data",),
    "records": ("key", "data"),
    "transfers": ("address",),
    "consents": ("number", "wording"),
}


def upgrade() -> None:
    """Make room for sealed values, and for the keyed hashes that rows are found by."""
    op.create_table(
        "purpose_keys",
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("purpose", name=op.f("pk_purpose_keys")),
    )
    op.create_table(
        "sealing_keys",
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("proof", sa.String(), nullable=False),
        sa.Column("first_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_sealing_keys")),
    )
    op.create_table(
        "sealed_tables",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sealed_tables")),
    )
    op.add_column("processes", sa.Column("sealing_key", sa.String(), nullable=True))
    for table in ("calls", "call_events"):
        _change_types(table, sa.JSON(), sa.String(), "text")
    for number in ("from", "to"):
        op.add_column("calls", sa.Column(f"{number}_index", sa.String(), nullable=True))
        op.create_index(op.f(f"ix_calls_{number}_index"), "calls", [f"{number}_index"])
    op.drop_index(op.f("ix_consents_number"), "consents")
    op.add_column("consents", sa.Column("number_index", sa.String(), nullable=True))
    op.create_index(op.f("ix_consents_number_index"), "consents", ["number_index"])
    op.add_column("records", sa.Column("key_index", sa.String(), nullable=True))
    # Until it is sealed a record of before is found by its key in the clear (`transcripts.records`).
    op.execute("UPDATE records SET key_index = 'clear:' || key")
    with op.batch_alter_table("records") as records:
        records.alter_column(
            "data", type_=sa.String(), existing_type=sa.JSON(), existing_nullable=False, postgresql_using="data::text"
        )
        records.alter_column("key_index", existing_type=sa.String(), nullable=False)
        records.drop_constraint(op.f("uq_records_namespace_kind_key"), type_="unique")
        records.create_unique_constraint(
            op.f("uq_records_namespace_kind_key_index"), ["namespace", "kind", "key_index"]
        )


def downgrade() -> None:
    """Take it back, as long as nothing is sealed: the version before could read nothing of it.

    Raises:
        RuntimeError: something is sealed. Restore the backup that was made before the upgrade.
    """
    for table, columns in _SEALED.items():
        is_sealed = " OR ".join(f"substr({column}, 1, 7) = 'sealed:'" for column in columns)
        if op.get_bind().execute(sa.text(f"SELECT 1 FROM {table} WHERE {is_sealed} LIMIT 1")).first() is not None:
            raise RuntimeError(
                f"{table} holds sealed values, which the version before cannot read; nothing was changed. To go back, "
                "restore the backup that was made before the upgrade"
            )
    with op.batch_alter_table("records") as records:
        records.drop_constraint(op.f("uq_records_namespace_kind_key_index"), type_="unique")
        records.create_unique_constraint(op.f("uq_records_namespace_kind_key"), ["namespace", "kind", "key"])
        records.alter_column(
            "data", type_=sa.JSON(), existing_type=sa.String(), existing_nullable=False, postgresql_using="data::json"
        )
        records.drop_column("key_index")
    op.drop_index(op.f("ix_consents_number_index"), "consents")
    op.drop_column("consents", "number_index")
    op.create_index(op.f("ix_consents_number"), "consents", ["number"])
    for number in ("from", "to"):
        op.drop_index(op.f(f"ix_calls_{number}_index"), "calls")
        op.drop_column("calls", f"{number}_index")
    for table in ("calls", "call_events"):
        _change_types(table, sa.String(), sa.JSON(), "json")
    op.drop_column("processes", "sealing_key")
    for table in ("sealed_tables", "sealing_keys", "purpose_keys"):
        op.drop_table(table)


def _change_types(table: str, before: sa.JSON | sa.String, after: sa.JSON | sa.String, cast: str) -> None:
    with op.batch_alter_table(table) as batch:
        for column, is_nullable in _JSON[table].items():
            batch.alter_column(
                column,
                type_=after,
                existing_type=before,
                existing_nullable=is_nullable,
                postgresql_using=f"{column}::{cast}",
            )
