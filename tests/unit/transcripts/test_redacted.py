"""What an agent's file says is not written down reaches neither database nor file nor those who follow the call."""

from pathlib import Path

from storage.engine import Database
from telemetry.redaction import Kind
from tests.unit.transcripts.calls import make_call
from transcripts.backlog import Backlog
from transcripts.call import EndReason, Speaker, Turn
from transcripts.log import CallLog, LogWriter
from transcripts.store import CallStore

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
