"""A rotation from the command line: rows, log entries in files, recordings; killed and begun again; who lags behind."""

import asyncio
import importlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import SQLModel, text

import transcripts.sealing_desk as desk
from config.settings import Settings
from storage.engine import Database
from storage.key_ring import KeyRing
from storage.rows import Row
from storage.sealing_rows import turn_table
from tests.unit.storage.test_sealing_rows import NUMBER, fill
from transcripts.backlog import Backlog, WaitingEntry
from transcripts.call import CallEvent
from transcripts.entries import EventEntry
from transcripts.instance import name_instance
from transcripts.owners import Owners
from transcripts.recording_seal import KEY_FILE, make_key
from transcripts.store import CallStore
from verbs.sealing import ROOMS

for room in ROOMS:
    importlib.import_module(room)


def settings_of(folder: Path, database_url: str, **changes: object) -> Settings:
    return Settings.load(env_file=None, data_dir=folder, database_url=database_url, **changes)


async def opened(settings: Settings) -> Database:
    database = Database(settings.database_url, await asyncio.to_thread(KeyRing.load, settings))
    await database.connect(wait_secs=5)
    await database.migrate()
    return database


async def filled(settings: Settings) -> Database:
    """A database and files with something of each kind in them."""
    database = await opened(settings)
    store = await fill(database, calls=2)
    entry = WaitingEntry(EventEntry("c0", 7, CallEvent("late", 9, {"said": "Marlene"})), is_placed=True)
    await Backlog(settings.data_dir / "log-backlog", "dead", store).keep([entry])
    folder = settings.data_dir / "recordings" / "c0"
    await asyncio.to_thread(folder.mkdir, parents=True)
    await asyncio.to_thread((folder / KEY_FILE).write_bytes, make_key("c0", database.ring))
    return database


async def test_another_key_takes_over_everything_and_the_old_one_may_go(database_url: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, database_url)
    database = await filled(settings)
    [old] = database.ring.key_ids
    await database.close()
    lines: list[str] = []
    assert await desk.show_status(settings, lines.append)
    assert f"turns.text: 8 with {old}" in lines
    assert f"recordings: 1 with {old}" in lines
    assert f"log-backlog files: 1 with {old}" in lines
    lines.clear()
    assert await desk.rotate(settings, lines.append)
    assert lines[-2].endswith(f"Nothing uses {old} any more.")
    lines.clear()
    assert await desk.show_status(settings, lines.append)
    assert f"Nothing is sealed with {old} any more; it may be taken out, but for backups." in lines
    assert not [line for line in lines if f" with {old}" in line and "Nothing" not in line]
    file = tmp_path / "sealing.keys"
    file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if not line.startswith(old)))
    again = await opened(settings)
    store = CallStore(again)
    row = await store.get_call("c0")
    assert row is not None
    assert row.from_number == NUMBER
    assert await Backlog(tmp_path / "log-backlog", "next", store).take_in() == 1
    assert [event.data for event in await store.list_events("c0")] == [{"said": "Marlene"}] * 2
    await again.close()


async def test_one_that_was_killed_is_gone_on_with_and_makes_no_further_key(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path, database_url)
    await (await filled(settings)).close()
    done: list[str] = []

    async def some(*arguments: object, **options: object) -> object:
        done.append("")
        if len(done) > 3:
            raise KeyboardInterrupt
        return await turn_table(*arguments, **options)  # pyright: ignore[reportArgumentType, reportCallIssue]

    with monkeypatch.context() as patched:
        patched.setattr(desk, "turn_table", some)
        with pytest.raises(KeyboardInterrupt):
            await desk.rotate(settings, done.append)
    keys = KeyRing.load(settings).key_ids
    assert len(keys) == 2
    lines: list[str] = []
    assert not await desk.show_status(settings, lines.append)
    assert await desk.rotate(settings, lines.append)
    assert f"{keys[0]} takes over from {keys[1]}." in lines
    assert KeyRing.load(settings).key_ids == keys


async def test_with_keys_of_the_environment_processes_that_know_no_better_are_named(
    database_url: str, tmp_path: Path
) -> None:
    first, second = (
        "a:" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        "b:" + "YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODk=",
    )
    before = await filled(settings_of(tmp_path, database_url, sealing_keys=first))
    lines: list[str] = []
    assert await desk.rotate(settings_of(tmp_path, database_url, sealing_keys=first), lines.append)
    assert lines == [
        "There is no new key: put one first in TRUNKLINE_SEALING_KEYS, restart the server, and run this again."
    ]
    both = settings_of(tmp_path, database_url, sealing_keys=f"{second},{first}")
    owners, name = Owners(before), name_instance()
    await owners.announce(name)

    async def live() -> None:
        for _ in range(200):
            await asyncio.sleep(0.02)
            await owners.beat(name.name)

    living = asyncio.create_task(live(), name="beats")
    lines.clear()
    assert not await desk.rotate(both, lines.append, processes_secs=0.3)
    assert f"the process {name.name} still seals with another key; restart the server" in lines[-1]
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)
    row = await CallStore(before).get_call("c0")
    assert row is not None  # nothing was given a key that it does not have
    lines.clear()
    assert await desk.rotate(both, lines.append, processes_secs=0.1)
    assert lines[-2].endswith("Nothing uses a any more.")
    await before.close()


async def test_a_process_takes_up_a_new_key_of_the_file_with_its_next_sign_of_life(
    database_url: str, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, database_url)
    database = await opened(settings)
    owners, instance = Owners(database), name_instance()
    await owners.announce(instance)
    seen = {instance.name: datetime.now(UTC) - timedelta(seconds=9)}
    new = await asyncio.to_thread(KeyRing.load(settings).make_another)
    assert await owners.list_other_keys(new, seen) == {instance.name}
    await owners.beat(instance.name)
    assert database.ring.current.key_id == new
    assert await owners.list_other_keys(new, {}) == set()
    await database.close()


def test_every_table_is_known_to_the_command() -> None:
    importlib.import_module("server")  # which knows all rooms

    def below(of: type[SQLModel]) -> list[type[SQLModel]]:
        return [each for direct in of.__subclasses__() for each in (direct, *below(direct))]

    assert {each.__module__ for each in below(Row) if hasattr(each, "__table__")} <= set(ROOMS)


async def test_a_table_that_nobody_knows_stops_a_rotation_before_it_begins(database_url: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, database_url)
    database = await filled(settings)
    async with database.writer() as session:
        await (await session.connection()).execute(text("CREATE TABLE hats (hat VARCHAR)"))
    await database.close()
    lines: list[str] = []
    assert not await desk.rotate(settings, lines.append)
    assert "hats" in lines[0]
    assert len(KeyRing.load(settings).key_ids) == 1
