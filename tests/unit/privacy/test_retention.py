"""What has expired goes, by agent and part; what has not, and what is under way, stays."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from config.privacy import Retention
from privacy.purging import AUDIT, purge_once, purging
from privacy.retention import Part, Purge, due_parts
from storage.audit import SERVER, AuditFilter, AuditStore
from storage.engine import Database
from tests.unit.privacy.conftest import ANN, BEN, NOW, ONE_KIND, OURS, House
from transcripts.call import Call, Direction
from transcripts.records import Records

_DAY = timedelta(days=1)
_NOTHING = dict.fromkeys([*map(str, Part), AUDIT], 0)


def purge_of(house: House) -> Purge:
    return Purge(house.db, house.recordings)


def test_what_is_due_is_counted_from_the_calls_end() -> None:
    due = due_parts({"b": Retention(audio_days=3), "a": Retention(call_days=9, numbers_days=0)}, NOW)
    assert [(one.agent_name, one.part, NOW - one.before) for one in due] == [
        ("a", Part.CALL, 9 * _DAY),
        ("a", Part.NUMBERS, 0 * _DAY),
        ("b", Part.AUDIO, 3 * _DAY),
    ]
    assert due_parts({"a": Retention()}, NOW) == []


async def test_each_part_goes_at_its_time_and_the_figures_stay(house: House) -> None:
    await house.add_call("in-ann", ANN, word="quokka", at=NOW)
    await house.add_call("in-ben", BEN, word="wombat", at=NOW + 100 * _DAY)
    await house.add_call("in-other", ANN, word="quokka", at=NOW, agent="other")
    before = await house.rows()
    kept = {"desk": Retention(audio_days=7, transcript_days=30, numbers_days=60, call_days=90)}
    purge = purge_of(house)

    assert not any((await purge.run(kept, NOW + 6 * _DAY)).values())
    assert await house.rows() == before

    assert (await purge.run(kept, NOW + 8 * _DAY))["audio"] == 1
    call = (await house.calls())["in-ann"]
    assert (call.recording_status, call.from_number) == ("none", ANN)
    assert sorted(house.recordings.list_call_ids()) == ["in-ben", "in-other"]
    assert len(await house.store.list_turns("in-ann")) == 1

    assert (await purge.run(kept, NOW + 31 * _DAY))["transcript"] == 1
    assert await house.store.list_turns("in-ann") == []
    assert [event.data for event in await house.store.list_events("in-ann")] == [{"end_ms": 900}, {}]
    call = (await house.calls())["in-ann"]
    assert (call.variables, call.from_number, call.agent_name) == ({}, ANN, "desk")
    left = await house.rows()
    for table in ("analyses", "word_hashes", "webhook_deliveries"):
        assert not any("in-ann" in row for row in left[table]), table
    assert await Records(house.db, "desk").get("message", "quokka in-ann") is None
    assert await Records(house.db, "desk").get("appointment", "slot in-ann") is not None

    assert (await purge.run(kept, NOW + 61 * _DAY))["numbers"] == 1
    call = (await house.calls())["in-ann"]
    assert (call.from_number, call.to_number, call.from_index, call.to_index) == (None, None, None, None)
    assert call.transfer_attempts == [{"destination": "boss", "outcome": "busy"}]
    assert call.created_at == NOW

    assert (await purge.run(kept, NOW + 91 * _DAY)) == {"call": 1, "audio": 0, "transcript": 0, "numbers": 0}
    assert sorted(await house.calls()) == ["in-ben", "in-other"]
    after = await house.rows()
    for table, rows in before.items():
        strangers = {row for row in rows if "in-ann" not in row}
        if table not in ("costs", "expired_parts", "records"):
            assert strangers == set(after[table]), table
    if house.db.kind == "sqlite":
        assert b"in-ann" not in await asyncio.to_thread(house.bytes_on_disk)


@ONE_KIND
async def test_numbers_that_go_before_the_words_leave_the_words(house: House) -> None:
    await house.add_call("in-ann", ANN, word="quokka")
    await purge_of(house).run({"desk": Retention(numbers_days=0)}, NOW + _DAY)
    assert [turn.text for turn in await house.store.list_turns("in-ann")] == ["I am quokka"]
    events = await house.store.list_events("in-ann")
    assert events[-1].data == {"number": "[phone]", "at": "somewhere"}
    assert (await house.calls())["in-ann"].variables == {"name": "quokka name"}


@ONE_KIND
async def test_a_call_under_way_is_never_touched(house: House) -> None:
    await house.store.open_call(Call("now", "CA9", "desk", Direction.INBOUND, ANN, OURS, {}, NOW))
    await house.store.go_live("now")
    before = await house.rows()
    counts = await purge_of(house).run({"desk": Retention(audio_days=0, call_days=0)}, NOW + 999 * _DAY)
    assert not any(counts.values())
    assert await house.rows() == before


@ONE_KIND
async def test_what_an_agents_file_said_last_holds_when_the_file_is_gone(house: House) -> None:
    await house.add_call("in-ann", ANN, word="quokka")
    purge, kept = purge_of(house), Retention(call_days=5)
    assert await purge.in_force({"desk": kept, "other": Retention()}) == {"desk": kept, "other": Retention()}
    assert await purge.in_force({}) == {"desk": kept}
    later = Retention(call_days=50)
    assert await purge.in_force({"desk": later}, is_noted=False) == {"desk": later}
    assert await purge.in_force({}) == {"desk": kept}
    assert await purge.in_force({"desk": later}) == {"desk": later}
    assert (await purge.run(await purge.in_force({}), NOW + 49 * _DAY))["call"] == 0
    assert (await purge.run(await purge.in_force({}), NOW + 51 * _DAY))["call"] == 1


@ONE_KIND
async def test_a_dry_run_counts_what_a_run_then_removes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("privacy.retention._AT_ONCE", 2)
    for number in range(5):
        await house.add_call(f"in-ann{number}", ANN, word="quokka")
    kept, purge = {"desk": Retention(audio_days=1, transcript_days=1)}, purge_of(house)
    before = await house.rows()
    counted = await purge.count(kept, NOW + 2 * _DAY)
    assert await house.rows() == before
    assert counted == {"call": 0, "audio": 5, "transcript": 5, "numbers": 0}
    assert await purge.run(kept, NOW + 2 * _DAY) == counted
    assert not any((await purge.run(kept, NOW + 2 * _DAY)).values())


@ONE_KIND
async def test_a_purge_that_is_killed_is_gone_on_with(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        await house.add_call(f"in-ann{number}", ANN, word="quokka")
    monkeypatch.setattr("privacy.retention._AT_ONCE", 1)
    kept, purge = {"desk": Retention(call_days=1)}, purge_of(house)
    delete, calls = house.recordings.delete, list[str]()

    def die(_self: object, call_id: str) -> None:
        calls.append(call_id)
        if len(calls) == 2:
            raise OSError("killed")
        delete(call_id)

    with monkeypatch.context() as patched:
        patched.setattr("transcripts.recording_store.RecordingStore.delete", die)
        with pytest.raises(OSError, match="killed"):
            await purge.run(kept, NOW + 2 * _DAY)
    assert len(await house.calls()) == 2
    assert (await purge.run(kept, NOW + 2 * _DAY))["call"] == 2
    assert await house.calls() == {}


async def test_old_entries_of_the_audit_log_go_when_that_was_asked_for(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.audit._REMOVED_AT_ONCE", 2)
    audit = AuditStore(house.db)
    for days in (401, 1, 500, 400, 399, 402, 0):
        await audit.add(SERVER, "keys.create", "key", f"made {days} days ago", at=NOW - days * _DAY)

    async def none() -> dict[str, Retention]:
        return {}

    async def left() -> set[str]:
        return {entry.subject_id for entry in await audit.list_entries(AuditFilter(), 100)}

    for_ever, bounded = purge_of(house), Purge(house.db, house.recordings, audit_days=400)
    assert (await for_ever.count_audit(NOW), await bounded.count_audit(NOW)) == (0, 3)
    assert await purge_once(for_ever, none, tmp_path, now=NOW) == _NOTHING
    assert len(await left()) == 7
    assert await purge_once(bounded, none, tmp_path, now=NOW) == _NOTHING | {AUDIT: 3}
    assert await left() == {f"made {days} days ago" for days in (0, 1, 399, 400)}
    assert await purge_once(bounded, none, tmp_path, now=NOW) == _NOTHING
    if house.db.kind == "sqlite":
        assert b"made 401 days" not in await asyncio.to_thread(house.bytes_on_disk)


@ONE_KIND
async def test_one_process_at_a_time(house: House, tmp_path: Path) -> None:
    inner: list[object] = []

    async def none() -> dict[str, Retention]:
        if not inner:
            inner.append(await purge_once(purge_of(house), none, tmp_path, now=NOW))
        return {}

    assert await purge_once(purge_of(house), none, tmp_path, now=NOW) == _NOTHING
    assert inner == [None]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_one_machine_at_a_time(house: House, database_url: str, tmp_path: Path) -> None:
    for number in range(3):
        await house.add_call(f"in-{number}", ANN, word="quokka")
    later, inner = NOW + timedelta(days=9), list[object]()
    other = Database(database_url, house.db.ring)
    await other.connect(wait_secs=10)
    folders = [tmp_path / name for name in ("here", "there")]
    for folder in folders:
        folder.mkdir()

    async def said() -> dict[str, Retention]:
        return {"desk": Retention(call_days=7)}

    async def said_while_the_other_tries() -> dict[str, Retention]:
        inner.append(await purge_once(Purge(other, house.recordings), said, folders[1], now=later))
        return {}

    assert await purge_once(purge_of(house), said_while_the_other_tries, folders[0], now=later) == _NOTHING
    assert inner == [None], "the other machine leaves it to this one"
    # Two that begin at the same moment, each with its own connections: everything goes once, and is counted once.
    here = purge_once(purge_of(house), said, folders[0], now=later)
    there = purge_once(Purge(other, house.recordings), said, folders[1], now=later)
    both = await asyncio.gather(here, there)
    counts = [done["call"] for done in both if done is not None]
    assert sum(counts) == 3
    assert await house.calls() == {}
    # Whoever loses his connection, or dies, has let go of it.
    kill = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7"
    async with other.holding(7) as is_theirs, other.holding(8) as is_another:
        assert (is_theirs, is_another) == (True, True)
        async with house.db.holding(7) as is_ours:
            assert not is_ours
        async with house.db.reader() as session:
            await (await session.connection()).exec_driver_sql(kill)
        async with house.db.holding(7) as is_ours:
            assert is_ours
    await other.close()


@ONE_KIND
async def test_a_server_removes_what_has_expired_by_itself(house: House, tmp_path: Path) -> None:
    await house.add_call("in-ann", ANN, word="quokka")

    async def said() -> dict[str, Retention]:
        return {"desk": Retention(call_days=1)}

    async with purging(purge_of(house), said, tmp_path, first_after_secs=0), asyncio.timeout(10):
        while await house.calls():  # noqa: ASYNC110 - a database has no event to wait for
            await asyncio.sleep(0.02)
    assert await purge_of(house).in_force({}) == {"desk": Retention(call_days=1)}
