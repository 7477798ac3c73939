"""Records of consent, and what is left of a call's words when one is withdrawn: both databases, written twice."""

from dataclasses import replace
from datetime import UTC, datetime

from storage.engine import Database
from tests.unit.transcripts.calls import make_call
from transcripts.backlog import Backlog, WaitingEntry
from transcripts.call import CallEvent, Consent, ConsentAnswer, ConsentGivenBy, Speaker, Turn
from transcripts.consents import Consents
from transcripts.entries import ConsentEntry, EventEntry, ForgetWordsEntry, TurnEntry
from transcripts.log import LogWriter
from transcripts.store import CallStore
from transcripts.wordless import without_words

ASKED = Consent(
    "front-desk",
    "+15551230199",
    "May we record this call?",
    "en-US",
    ConsentAnswer.YES,
    ConsentGivenBy.VOICE,
    datetime(2026, 3, 1, 9, 0, 5, 120_000, tzinfo=UTC),
)
WITHDRAWN = replace(ASKED, answer=ConsentAnswer.WITHDRAWN, at=datetime(2026, 3, 1, 9, 3, tzinfo=UTC))
UNANSWERED = replace(ASKED, answer=ConsentAnswer.NONE, given_by=None, number=None)


async def test_a_record_is_written_once_and_found_by_call_and_by_number(database: Database) -> None:
    store, consents = CallStore(database), Consents(database)
    await store.open_call(make_call())
    await store.open_call(make_call("c2", "CA2"))
    for _ in range(2):
        await store.add_entries([ConsentEntry("c1", WITHDRAWN), ConsentEntry("c1", ASKED)])
        await store.add_entries([ConsentEntry("c2", UNANSWERED)])
    assert await consents.of_call("c1") == [ASKED, WITHDRAWN]
    assert await consents.of_call("c2") == [UNANSWERED]
    assert await consents.of_number("+15551230199") == [ASKED, WITHDRAWN]
    assert await consents.of_number("+15550000000") == []


async def test_words_told_before_are_forgotten_and_those_after_stay(database: Database) -> None:
    store = CallStore(database)
    await store.open_call(make_call())
    log_writer = LogWriter(store)
    await log_writer.start()
    log = log_writer.open("c1")
    log.turn(Turn(Speaker.CALLER, "My name is Alex.", 0, 900))
    log.event("tool.called", 1000, name="book", arguments={"name": "Alex"})
    log.event("caller.digit", 1100, digit="4")
    log.forget_words()
    log.turn(Turn(Speaker.CALLER, "And now something else.", 2000, 2900))
    log.consent(WITHDRAWN)
    assert await log_writer.flush(5)
    await log_writer.close()
    assert [turn.text for turn in await store.list_turns("c1")] == ["And now something else."]
    events = [(event.kind, event.data) for event in await store.list_events("c1")]
    assert events == [
        ("turn.caller", {"end_ms": 900, "interrupted": False}),
        ("tool.called", {"name": "book"}),
        ("caller.digit", {}),
        ("turn.caller", {"text": "And now something else.", "end_ms": 2900, "interrupted": False}),
    ]
    assert await Consents(database).of_call("c1") == [WITHDRAWN]


async def test_both_wait_in_a_file_while_the_database_is_away(database: Database, tmp_path) -> None:
    store = CallStore(database)
    await store.open_call(make_call())
    await store.add_turn("c1", 0, Turn(Speaker.CALLER, "Before.", 0, 1))
    waiting = [
        WaitingEntry(TurnEntry("c1", 0, Turn(Speaker.CALLER, "Alex.", 2, 3)), is_placed=False),
        WaitingEntry(ForgetWordsEntry("c1", 1, 1), is_placed=False),
        WaitingEntry(EventEntry("c1", 0, CallEvent("caller.digit", 4, {"digit": "4"})), is_placed=False),
        WaitingEntry(ConsentEntry("c1", UNANSWERED), is_placed=False),
    ]
    backlog = Backlog(tmp_path / "backlog", "one", store)
    await backlog.keep(waiting)
    assert await backlog.take_in() == 4
    assert await store.list_turns("c1") == []
    assert [event.data for event in await store.list_events("c1")] == [{}]
    assert await Consents(database).of_call("c1") == [UNANSWERED]


def test_an_event_that_nobody_has_thought_of_tells_nothing() -> None:
    assert without_words({"summary": "He wants a loan.", "ms": 12, "parts": ["a"]}, "handoff.made") == {"ms": 12}
    assert without_words({"name": "Alex Morgan"}, "transfer.asked") == {}
    assert without_words({"name": "pay", "arguments": {"card": "4111"}, "took_ms": 3}, "tool.called") == {
        "name": "pay",
        "took_ms": 3,
    }
    assert without_words({"total_token_count": 12}, "model.usage") == {"total_token_count": 12}
