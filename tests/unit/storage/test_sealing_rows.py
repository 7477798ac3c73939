"""Old rows sealed, and seals given a new key: interrupted after every batch, and never against a change of others."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import col, text, update

import storage.sealing_rows as sealing_rows
from config.sealing_keys import KeyText
from storage.engine import Database
from storage.key_ring import KeyRing, SealingKeyMissing, number_index
from storage.known_keys import PURPOSES
from storage.rows import sealed_values
from storage.sealing_rows import IN_THE_CLEAR, count_values, seal_old_rows, sealed_tables, turn_batch, turn_table
from tests.databases import make_ring
from transcripts.call import Call, CallEvent, Direction, Speaker, Turn
from transcripts.models import CallRow, TurnRow
from transcripts.records import Records
from transcripts.store import CallStore

NUMBER = "+15557654321"
OLD = KeyText("test", b"a key for nothing but tests, ok!")


async def fill(database: Database, calls: int = 3) -> CallStore:
    store = CallStore(database)
    for number in range(calls):
        at = datetime(2026, 3, 1, 9, tzinfo=UTC)
        call = Call(f"c{number}", f"CA{number}", "a", Direction.INBOUND, NUMBER, "+15551230100", {"n": "Marlene"}, at)
        await store.open_call(call)
        await store.set_next_step(call.call_id, {"do": "hang_up"})
        for position in range(4):
            await store.add_turn(call.call_id, position, Turn(Speaker.CALLER, f"I am Marlene {position}.", 0, 9))
        await store.add_events(call.call_id, 0, [CallEvent("note", 5, {"said": "Marlene"})])
    await Records(database, "a").put("appointment", "09:00 Marlene", {"for": "Marlene"})
    return store


async def run(database: Database, *statements: str) -> None:
    async with database.writer() as session:
        for statement in statements:
            await (await session.connection()).execute(text(statement))


async def make_clear(database: Database) -> None:
    """Make the rows what a version without seals wrote."""
    await run(
        database,
        f"UPDATE calls SET from_number = '{NUMBER}', to_number = '+15551230100', variables = '{{\"n\": \"Marlene\"}}', "
        'next_step = \'{"do": "hang_up"}\', from_index = NULL, to_index = NULL',
        "UPDATE turns SET text = 'I am Marlene ' || position || '.'",
        'UPDATE call_events SET data = \'{"said": "Marlene"}\'',
        "UPDATE records SET key = '09:00 Marlene', data = '{\"for\": \"Marlene\"}', key_index = 'clear:09:00 Marlene'",
        "DELETE FROM sealed_tables",
    )


async def check(database: Database, store: CallStore, calls: int = 3) -> None:
    for number in range(calls):
        row = await store.get_call(f"c{number}")
        assert row is not None
        assert (row.from_number, row.variables, row.next_step) == (NUMBER, {"n": "Marlene"}, {"do": "hang_up"})
        assert row.from_index in (number_index(database.ring, NUMBER), None)
        assert [turn.text for turn in await store.list_turns(f"c{number}")] == [f"I am Marlene {n}." for n in range(4)]
        assert [event.data for event in await store.list_events(f"c{number}")] == [{"said": "Marlene"}]
    assert not await Records(database, "a").put("appointment", "09:00 Marlene", {})
    [record] = await Records(database, "a").list("appointment")
    assert (record.key, record.data) == ("09:00 Marlene", {"for": "Marlene"})


def totals(counts: dict[str, dict[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for of_column in counts.values():
        for key_id, count in of_column.items():
            found[key_id] = found.get(key_id, 0) + count
    return found


async def test_old_rows_are_sealed_batch_by_batch_however_often_it_is_interrupted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await fill(database)
    await make_clear(database)
    before = totals(await count_values(database))
    assert set(before) == {IN_THE_CLEAR, "test"}
    assert before["test"] == len(PURPOSES)

    class Killed(Exception):
        pass

    rounds = 0
    while True:
        rounds += 1
        interrupted = await interrupt_after_a_batch(monkeypatch, lambda: seal_old_rows(database, pause=False), Killed)
        await check(database, store)
        if not interrupted:
            break
    assert rounds > 8
    assert totals(await count_values(database)) == {"test": sum(before.values())}
    row = await store.get_call("c2")
    assert row is not None
    assert row.from_index == number_index(database.ring, NUMBER)
    assert await seal_old_rows(database) == 0


async def interrupt_after_a_batch(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[], Awaitable[Any]], killed: type[Exception]
) -> bool:
    """Do the work until a batch of two rows has been written; returns whether there was one."""
    has_written = False

    async def one_batch(
        db: Database, table: Any, after: tuple[Any, ...] | None, *, is_rotation: bool, size: int = 2
    ) -> Any:
        nonlocal has_written
        if has_written:
            raise killed
        done = await turn_batch(db, table, after, is_rotation=is_rotation, size=size)
        has_written = done.changed > 0
        return done

    with monkeypatch.context() as patched:
        patched.setattr(sealing_rows, "turn_batch", one_batch)
        try:
            await work()
        except killed:
            return True
        return False


async def test_a_new_key_takes_over_batch_by_batch_and_the_old_one_is_needed_no_more(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await fill(database)
    before = totals(await count_values(database))
    ring = KeyRing([KeyText("new", b"n" * 32), OLD])
    turned = Database(database_url, ring)
    await turned.connect(wait_secs=5)
    await turned.migrate()

    class Killed(Exception):
        pass

    async def rotate() -> None:
        for table in sealed_tables():
            await turn_table(turned, table, is_rotation=True, pause=False)

    while await interrupt_after_a_batch(monkeypatch, rotate, Killed):
        # Whoever has both keys reads everything at any time.
        await check(turned, CallStore(turned))
    assert totals(await count_values(turned)) == {"new": before["test"]}
    await run(turned, "DELETE FROM sealing_keys WHERE key_id = 'test'")
    await turned.close()
    only_new = Database(database_url, KeyRing([KeyText("new", b"n" * 32)]))
    await only_new.connect(wait_secs=5)
    await only_new.migrate()
    await check(only_new, CallStore(only_new))
    await only_new.close()
    with pytest.raises(SealingKeyMissing, match="the sealing key new is not in"):
        await store.get_call("c0")


async def test_what_others_change_meanwhile_stays(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await fill(database, calls=1)
    await make_clear(database)
    turn = sealing_rows._turn  # pyright: ignore[reportPrivateUsage]

    def and_somebody_else(*arguments: Any, **options: Any) -> Any:
        asyncio.run_coroutine_threadsafe(change(), loop).result(5)
        return turn(*arguments, **options)

    async def change() -> None:
        async with database.writer() as session:
            values = sealed_values(session, CallRow, {"call_id": "c0"}, variables={"n": "Theodor"})
            await session.exec(update(CallRow).where(col(CallRow.call_id) == "c0").values(**values))

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(sealing_rows, "_turn", and_somebody_else)
    await turn_batch(database, CallRow, None, is_rotation=False)
    monkeypatch.undo()
    assert await seal_old_rows(database) > 0
    row = await store.get_call("c0")
    assert row is not None
    assert (row.variables, row.from_number) == ({"n": "Theodor"}, NUMBER)
    assert IN_THE_CLEAR not in totals(await count_values(database))


async def test_a_value_that_does_not_open_holds_up_no_other(database: Database) -> None:
    await fill(database, calls=1)
    await run(database, "UPDATE turns SET text = (SELECT text FROM turns WHERE position = 1) WHERE position = 0")
    database.ring = KeyRing([KeyText("new", b"n" * 32), OLD])
    database.ring.take_purposes(make_ring()._purposes)  # pyright: ignore[reportPrivateUsage]
    assert await turn_table(database, TurnRow, is_rotation=True, pause=False) == (3, 1)
    assert (await count_values(database))["turns.text"] == {"new": 3, "test": 1}
