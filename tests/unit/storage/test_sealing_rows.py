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
from storage.envelope import SealBroken
from storage.key_ring import KeyRing, SealingKeyMissing, number_index
from storage.known_keys import PURPOSES
from storage.rows import sealed_values
from storage.sealing_rows import (
    IN_THE_CLEAR,
    count_values,
    find_clear_rows,
    seal_old_rows,
    sealed_tables,
    turn_batch,
    turn_table,
)
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


async def rename_c0(database: Database) -> None:
    """Change a call's variables, as whoever else is at work does."""
    async with database.writer() as session:
        values = sealed_values(session, CallRow, {"call_id": "c0"}, variables={"n": "Theodor"})
        await session.exec(update(CallRow).where(col(CallRow.call_id) == "c0").values(**values))


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
        asyncio.run_coroutine_threadsafe(rename_c0(database), loop).result(5)
        return turn(*arguments, **options)

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


async def reopen(url: str) -> Database:
    """Another process on the same database."""
    other = Database(url, make_ring())
    await other.connect(wait_secs=5)
    await other.migrate()
    return other


async def test_nothing_in_the_clear_is_taken_from_a_table_that_was_sealed_wholly(
    database: Database, database_url: str
) -> None:
    store = await fill(database, calls=2)
    early = await reopen(database_url)
    await seal_old_rows(database)
    plants = (
        ("UPDATE calls SET from_number = '+15550000666' WHERE call_id = 'c0'", "calls.from_number", "call_id = c0"),
        ("UPDATE turns SET text = 'plant' WHERE call_id = 'c1' AND position = 2", "turns.text", "position = 2"),
        ("UPDATE call_events SET data = '{}' WHERE call_id = 'c1'", "call_events.data", "call_id = c1, seq = 0"),
        ("UPDATE records SET key = 'Eve', data = '{}', key_index = 'clear:Eve'", "records.", "key_index = (no hash)"),
    )
    for statement, _, _ in plants:
        await run(database, statement)
    late = await reopen(database_url)
    for db in (database, late):
        reads = (
            CallStore(db).get_call("c0"),
            CallStore(db).list_turns("c1"),
            CallStore(db).list_events("c1"),
            Records(db, "a").list("appointment"),
        )
        for (_, place, row), read in zip(plants, reads, strict=True):
            with pytest.raises(SealBroken) as told:
                await read
            message = str(told.value)
            assert f"in {place}" in message
            assert row in message
            assert "was sealed wholly" in message
            assert "Restore the row from a backup, or delete it" in message
            assert "plant" not in message
            assert "Eve" not in message
    assert [turn.text for turn in await store.list_turns("c0")] == [f"I am Marlene {n}." for n in range(4)]
    # A process that runs since before has its own pass to do, and holds to it from then on.
    assert (await early_call(early)) == "+15550000666"
    assert await seal_old_rows(early) == 0
    with pytest.raises(SealBroken):
        await early_call(early)
    # Neither sealing nor another key makes an honest value of it, and the doctor's question finds the others.
    await run(database, "DELETE FROM sealed_tables WHERE name = 'turns'")
    assert await seal_old_rows(database) == 0
    assert await turn_table(database, TurnRow, is_rotation=True, pause=False) == (0, 1)
    assert await find_clear_rows(late, 9) == (
        3,
        [
            "call_events.data of the row call_id = c1, seq = 0",
            "calls.from_number of the row call_id = c0",
            "records.key of the row namespace = a, kind = appointment, key_index = (no hash)",
        ],
    )
    assert (await find_clear_rows(late, 1))[0] == 3
    await early.close()
    await late.close()


async def early_call(db: Database) -> str | None:
    row = await CallStore(db).get_call("c0")
    assert row is not None
    return row.from_number


async def test_a_table_is_sealed_wholly_only_when_nothing_was_missed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that changes while its batch is sealed is left; a mark behind it would make it unreadable."""
    store = await fill(database, calls=1)
    await make_clear(database)
    turn = sealing_rows._turn  # pyright: ignore[reportPrivateUsage]
    done: list[None] = []

    def and_somebody_else(ring: KeyRing, table: Any, *arguments: Any, **options: Any) -> Any:
        if table is CallRow and not done:
            done.append(asyncio.run_coroutine_threadsafe(rename_c0(database), loop).result(5))
        return turn(ring, table, *arguments, **options)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(sealing_rows, "_turn", and_somebody_else)
    assert await seal_old_rows(database, pause=False) > 0
    assert done
    row = await store.get_call("c0")
    assert row is not None
    assert (row.variables, row.from_number) == ({"n": "Theodor"}, NUMBER)
    assert await find_clear_rows(database, 9) == (0, [])


async def test_an_old_backup_in_the_place_of_the_database_is_sealed_as_after_an_upgrade(
    database: Database, database_url: str
) -> None:
    store = await fill(database)
    await seal_old_rows(database)
    await make_clear(database)  # and without `sealed_tables`, as such a backup has it
    restored = await reopen(database_url)
    await check(restored, CallStore(restored))
    assert await seal_old_rows(restored) > 0
    assert IN_THE_CLEAR not in totals(await count_values(restored))
    await check(restored, store)
    await restored.close()
