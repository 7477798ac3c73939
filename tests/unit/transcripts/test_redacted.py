"""What an agent's file says is not written down reaches neither database nor file nor those who follow the call."""

from pathlib import Path

from storage.engine import Database
from telemetry.redaction import Kind
from tests.unit.transcripts.calls import make_call
from transcripts.backlog import Backlog
from transcripts.call import EndReason, Speaker, Turn
from transcripts.log import CallLog, LogWriter
from transcripts.store import CallStore
from transcripts.word_index import calls_with

_CARD = "four one one one one one one one one one one one one one one one"


def _tell(log: CallLog) -> None:
    log.leave_out([Kind.CARD])
    log.leave_out([Kind.EMAIL])
    log.turn(Turn(Speaker.CALLER, f"It is {_CARD}, mail jane@example.com, call +15551230199", 0, 1000))
    log.event("tool.called", 1100, name="pay", arguments={"card": "4111 1111 1111 1111", "amount": 12})
    log.event("caller.digit", 1200, digit="4")


def _read(folder: Path) -> str:
    [file] = folder.glob("*.jsonl")
    return file.read_text(encoding="utf-8")


async def test_turns_events_and_followers_are_told_without_it(database: Database) -> None:
    store, writer = CallStore(database), LogWriter(CallStore(database))
    await store.open_call(make_call())
    await writer.start()
    log = writer.open("c1")
    log.turn(Turn(Speaker.AGENT, "Before: 4111 1111 1111 1111", 0, 1))
    _tell(log)
    log.finish(EndReason.BOT_ENDED)
    assert await log.flush()
    told = [event.data async for event in log.subscribe()]
    await writer.close()
    assert [turn.text for turn in await store.list_turns("c1")] == [
        "Before: 4111 1111 1111 1111",
        "It is [card], mail [email], call +15551230199",
    ]
    stored = [event.data for event in await store.list_events("c1")]
    for seen in (told, stored):
        assert {"name": "pay", "arguments": {"card": "[card]", "amount": 12}} in seen
        assert {"digit": "*"} in seen
        assert "one one" not in str(seen[1:])


async def test_the_file_for_the_next_process_has_nothing_of_it(database: Database, tmp_path: Path) -> None:
    store = CallStore(database)
    await store.open_call(make_call())
    writer = LogWriter(store, Backlog(tmp_path, "p1", store))
    _tell(writer.open("c1"))
    assert await writer.close(timeout_secs=0) == 4
    kept = _read(tmp_path)
    assert "[card]" in kept or kept.startswith("sealed:")
    assert "one one" not in kept
    assert "jane@" not in kept
    await Backlog(tmp_path, "p2", store).take_in()
    assert (await store.list_turns("c1"))[0].text == "It is [card], mail [email], call +15551230199"


_GROUPS = ("four one one one", "one one one two", "one one one one", "one one one zero")


def _dictate(log: CallLog, groups: tuple[str, ...] = _GROUPS) -> None:
    for group in groups:
        at = _GROUPS.index(group) * 2000
        log.turn(Turn(Speaker.CALLER, f"yes {group}", at, at + 900))
        log.turn(Turn(Speaker.AGENT, f"Got it, {group}. Go on.", at + 1000, at + 1500))


async def test_a_number_over_several_turns_goes_from_all_of_them_though_they_were_written(database: Database) -> None:
    store, writer = CallStore(database), LogWriter(CallStore(database))
    await store.open_call(make_call())
    await writer.start()
    log = writer.open("c1")
    log.belong_to("front-desk", is_searched=True)
    log.leave_out([Kind.CARD])
    log.turn(Turn(Speaker.AGENT, "Hello, how may I help you?", 0, 1))
    _dictate(log, _GROUPS[:3])
    assert await log.flush()
    written = [turn.text for turn in await store.list_turns("c1")]
    assert written[1:3] == ["yes four one one one", "Got it, four one one one. Go on."]  # nobody can know yet
    assert await _is_found(database, "two")
    _dictate(log, ("one one one zero",))
    log.turn(Turn(Speaker.CALLER, "I live at 12 Main Street, flat two", 9000, 9500))
    log.turn(Turn(Speaker.AGENT, "And it ends with one one one zero?", 9600, 9900))
    log.finish(EndReason.BOT_ENDED)
    assert await log.flush()
    told = [event.data["text"] async for event in log.subscribe()]
    await writer.close()
    expected = [
        "Hello, how may I help you?",
        *["yes [card]", "Got it, [card]. Go on."] * 4,
        "I live at 12 Main Street, flat two",
        "And it ends with [card]?",
    ]
    assert [turn.text for turn in await store.list_turns("c1")] == expected
    assert [event.data["text"] for event in await store.list_events("c1")] == expected
    assert told == expected
    assert not await _is_found(database, "zero")
    assert await _is_found(database, "two main street help")


async def _is_found(database: Database, words: str) -> bool:
    async with database.reader() as session:
        found = await (await session.connection()).execute(calls_with(session, words))
        return [row[0] for row in found] == ["c1"]


async def test_what_waits_in_a_file_is_written_without_it_too(database: Database, tmp_path: Path) -> None:
    """The first groups are in the database, the process ends while it is away, and the next one has it all to do."""
    store = CallStore(database)
    await store.open_call(make_call())
    first = LogWriter(store)
    await first.start()
    log = first.open("c1")
    log.turn(Turn(Speaker.AGENT, "Your card number?", 0, 1))
    assert await log.flush()
    await first.close()
    writer = LogWriter(store, Backlog(tmp_path, "p1", store))
    log = writer.open("c1")
    log.leave_out([Kind.CARD])
    _dictate(log)
    assert await writer.close(timeout_secs=0) > 16
    await Backlog(tmp_path, "p2", store).take_in()
    texts = [turn.text for turn in await store.list_turns("c1")]
    assert texts == ["Your card number?", *["yes [card]", "Got it, [card]. Go on."] * 4]
    assert [event.data["text"] for event in await store.list_events("c1")] == texts


async def test_words_that_were_taken_back_do_not_come_back_with_the_end_of_a_number(database: Database) -> None:
    store, writer = CallStore(database), LogWriter(CallStore(database))
    await store.open_call(make_call())
    await writer.start()
    log = writer.open("c1")
    log.leave_out([Kind.CARD])
    _dictate(log, _GROUPS[:3])
    log.forget_words()
    _dictate(log, _GROUPS[3:])
    log.finish(EndReason.BOT_ENDED)
    assert await log.flush()
    await writer.close()
    assert len(await store.list_turns("c1")) == 2
    assert ["text" in event.data for event in await store.list_events("c1")] == [False] * 6 + [True] * 2
