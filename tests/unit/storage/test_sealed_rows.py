"""Rows with sealed columns: plain for whoever writes and loads them, sealed in the database, and never half of both."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from sqlalchemy.exc import StatementError
from sqlmodel import SQLModel, col, select, text, update

from config.sealing_keys import KeyText
from storage.engine import Database
from storage.envelope import SealBroken, SealingError
from storage.key_ring import KeyRing, SealingKeyMissing, number_index
from storage.rows import Row, insert_new, insert_or_ignore, sealed_values
from storage.sealing import NotSealed, Stored, sealed_columns
from transcripts.models import CallEventRow, CallRow, ConsentRow, RecordRow, TurnRow

NUMBER = "+15557654321"
AT = datetime(2026, 3, 1, 9, tzinfo=UTC)


def _call(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "call_id": "c1",
        "agent_name": "front-desk",
        "direction": "inbound",
        "status": "live",
        "from_number": NUMBER,
        "to_number": None,
        "variables": {"name": "Marlene"},
        "created_at": AT,
        "recording_status": "none",
    }
    return fields | changes


async def _raw(database: Database, query: str) -> list[Any]:
    async with database.reader() as session:
        return list((await (await session.connection()).execute(text(query))).all())


async def test_what_is_private_is_sealed_and_comes_back_as_it_was(database: Database) -> None:
    async with database.writer() as session:
        assert await insert_or_ignore(session, CallRow, [_call()]) == 1
        turn = {"call_id": "c1", "position": 0, "speaker": "caller", "start_ms": 0, "end_ms": 9, "interrupted": False}
        await insert_new(session, TurnRow, [turn | {"text": "I am Marlene."}, turn | {"position": 1, "text": ""}])
        event = {"call_id": "c1", "seq": 0, "at_ms": 5, "kind": "note", "data": {"n": [1, None], "ö": "Marlene"}}
        await insert_new(session, CallEventRow, [event])
    [call] = await _raw(database, "SELECT from_number, to_number, variables, from_index, to_index FROM calls")
    assert call[0].startswith("sealed:test:")
    assert call[2].startswith("sealed:test:")
    assert (call[1], call[3], call[4]) == (None, number_index(database.ring, NUMBER), None)
    told = str(
        [call, *await _raw(database, "SELECT text FROM turns"), *await _raw(database, "SELECT data FROM call_events")]
    )
    assert "Marlene" not in told
    assert NUMBER not in told
    async with database.reader() as session:
        row = await session.get(CallRow, "c1")
        assert row is not None
        assert (row.from_number, row.to_number, row.variables) == (NUMBER, None, {"name": "Marlene"})
        assert row.next_step is None
        assert [turn.text for turn in await session.exec(select(TurnRow).order_by(col(TurnRow.position)))] == [
            "I am Marlene.",
            "",
        ]
        found = (await session.exec(select(CallEventRow))).one()
        assert found.data == {"n": [1, None], "ö": "Marlene"}


async def test_an_update_is_sealed_for_its_row(database: Database) -> None:
    async with database.writer() as session:
        session.add(CallRow(**_call()))
        await session.flush()
        sealed = sealed_values(session, CallRow, {"call_id": "c1"}, next_step={"do": "hang_up"}, to_number=NUMBER)
        await session.exec(update(CallRow).where(col(CallRow.call_id) == "c1").values(**sealed))
    async with database.reader() as session:
        row = await session.get(CallRow, "c1")
    assert row is not None
    assert (row.next_step, row.to_number) == ({"do": "hang_up"}, NUMBER)
    assert row.to_index == row.from_index == number_index(database.ring, NUMBER)


async def test_rows_that_are_added_and_changed_as_objects_are_sealed_too(database: Database) -> None:
    async with database.writer() as session:
        row = CallRow(**_call())
        session.add(row)
        await session.flush()
        assert (row.from_number, row.variables) == (NUMBER, {"name": "Marlene"})
        row.variables = {"name": "Theodor"}
        row.from_number = "+15550000001"
        await session.flush()
        assert row.variables == {"name": "Theodor"}
    [call] = await _raw(database, "SELECT variables, from_number, from_index FROM calls")
    assert call[0].startswith("sealed:test:")
    assert call[1].startswith("sealed:test:")
    assert call[2] == number_index(database.ring, "+15550000001")
    async with database.reader() as session:
        again = await session.get(CallRow, "c1")
    assert again is not None
    assert again.variables == {"name": "Theodor"}


async def test_a_plain_value_is_neither_written_nor_compared(database: Database) -> None:
    async with database.writer() as session:
        session.add(CallRow(**_call()))
    with pytest.raises(StatementError, match="NotSealed"):
        async with database.writer() as session:
            await session.exec(update(CallRow).values(from_number=NUMBER))
    with pytest.raises(StatementError, match="NotSealed"):
        async with database.reader() as session:
            await session.exec(select(CallRow).where(col(CallRow.from_number) == NUMBER))
    assert NUMBER not in str(NotSealed.__doc__)


async def test_what_a_query_returns_beside_rows_shows_nothing(database: Database) -> None:
    async with database.writer() as session:
        session.add(CallRow(**_call()))
    async with database.reader() as session:
        value = (await session.exec(select(CallRow.from_number))).one()
    assert isinstance(value, Stored)
    assert "sealed" not in str(value)
    assert value.key_id == "test"


async def test_a_value_that_was_moved_to_another_row_does_not_open(database: Database) -> None:
    async with database.writer() as session:
        session.add(CallRow(**_call()))
        session.add(CallRow(**_call(call_id="c2", from_number="+15550000001")))
    async with database.writer() as session:
        moved = "UPDATE calls SET variables = (SELECT variables FROM calls WHERE call_id = 'c1') WHERE call_id = 'c2'"
        await (await session.connection()).execute(text(moved))
    with pytest.raises(SealBroken, match=r"calls\.variables does not open"):
        async with database.reader() as session:
            await session.get(CallRow, "c2")


async def test_a_moment_is_bound_to_however_the_database_spells_it(database: Database) -> None:
    async with database.writer() as session:
        session.add(CallRow(**_call()))
        await session.flush()
        consent = {
            "call_id": "c1",
            "agent_name": "a",
            "number": NUMBER,
            "wording": "May we?",
            "language": "en",
            "answer": "yes",
            "given_by": "key",
            "at": datetime.fromisoformat("2026-03-01T10:00:00.125+01:00"),
        }
        await insert_new(session, ConsentRow, [consent])
    async with database.reader() as session:
        row = (await session.exec(select(ConsentRow))).one()
    assert (row.wording, row.number, row.at) == ("May we?", NUMBER, datetime(2026, 3, 1, 9, 0, 0, 125_000, tzinfo=UTC))


async def test_what_a_version_without_seals_wrote_is_read_as_it_is(database: Database) -> None:
    async with database.writer() as session:
        old = (
            "INSERT INTO calls (call_id, agent_name, direction, status, variables, from_number, created_at, "
            "recording_status) VALUES ('c1', 'a', 'inbound', 'live', '{\"a\": 1}', '+15550000001', "
            "'2026-03-01 09:00:00', 'none')"
        )
        await (await session.connection()).exec_driver_sql(old)
    async with database.reader() as session:
        row = await session.get(CallRow, "c1")
    assert row is not None
    assert (row.variables, row.from_number) == ({"a": 1}, "+15550000001")


async def test_without_keys_nothing_private_is_written_or_read(database: Database, database_url: str) -> None:
    async with database.writer() as session:
        session.add(CallRow(**_call()))
    keyless = Database(database_url)
    await keyless.connect(wait_secs=5)
    with pytest.raises(SealingKeyMissing):
        async with keyless.reader() as session:
            await session.get(CallRow, "c1")
    with pytest.raises(SealingKeyMissing):
        async with keyless.writer() as session:
            await insert_or_ignore(session, CallRow, [_call(call_id="c2")])
    await keyless.close()


def test_every_sealed_column_is_bound_to_columns_of_its_row() -> None:
    def classes(of: type[SQLModel]) -> list[type[SQLModel]]:
        return [each for direct in of.__subclasses__() for each in (direct, *classes(direct))]

    tables = [each for each in classes(Row) if getattr(each, "__table__", None) is not None]
    assert {CallRow, RecordRow} <= set(tables)
    for table in tables:
        sealed = sealed_columns(table)
        columns = cast(Any, table).__table__.columns
        assert bool(sealed.columns) == bool(sealed.seal.bound_to), table
        for name in sealed.seal.bound_to:
            assert name in columns
            assert not columns[name].nullable
            assert name not in sealed.columns
        for column, (index, _purpose) in sealed.seal.indexes.items():
            assert column in sealed.columns
            assert index in columns


async def test_a_start_without_the_key_is_refused(database: Database, database_url: str) -> None:
    for keys, message in (
        ([KeyText("other", b"o" * 32)], "sealed with the key test, which is not in"),
        ([KeyText("test", b"o" * 32)], "the key test in .* is not the one that"),
    ):
        other = Database(database_url, KeyRing(keys))
        await other.connect(wait_secs=5)
        with pytest.raises(SealingError, match=message):
            await other.migrate()
        await other.close()
    again = Database(
        database_url, KeyRing([KeyText("new", b"n" * 32), KeyText("test", b"a key for nothing but tests, ok!")])
    )
    await again.connect(wait_secs=5)
    await again.migrate()
    assert number_index(again.ring, NUMBER) == number_index(database.ring, NUMBER)
    assert await _raw(database, "SELECT key_id FROM sealing_keys ORDER BY key_id") == [("new",), ("test",)]
    await again.close()
