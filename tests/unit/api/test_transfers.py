"""People rung for callers: what Twilio is told, in any order and by any process, and that nobody is left alone."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from api import transfer_answers, transfer_desk, transfer_rows
from api.transfer_desk import TransferDesk
from config.settings import Settings
from pipelines.transfer_attempt import Attempt
from simulators.call_setup import AnswerPolicy
from simulators.simulated_call import SimulatedCall
from simulators.twilio import TwilioSimulator
from tests.unit.api.wire import AUTH_TOKEN, CALLER, NUMBER, PUBLIC_URL, Line, reachable, serve, tags
from transcripts.call import Call, Direction
from transcripts.models import TransferRow
from transcripts.transfer import TransferEvent, TransferStatus

PERSON = "+15551230199"
S, E = TransferStatus, TransferEvent


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits long for a call's log that no test has handed over."""
    monkeypatch.setattr(transfer_answers, "_HAND_OVER_SECS", 0.2)
    monkeypatch.setattr(transfer_rows, "_HAND_OVER_SECS", 0.2)


@pytest.fixture
async def twilio() -> AsyncGenerator[TwilioSimulator]:
    async with TwilioSimulator(auth_token=AUTH_TOKEN) as simulator:
        simulator.answer_policy = AnswerPolicy(after_ms=20)
        yield simulator


@pytest.fixture
async def line(settings: Settings, twilio: TwilioSimulator) -> AsyncGenerator[Line]:
    """A server with a Twilio that it can ask."""
    given = {"twilio_account_sid": twilio.account_sid, "twilio_api_base": twilio.base_url}
    async with serve(reachable(settings, **given)) as running:
        twilio.serve_at(PUBLIC_URL, running.server.base_url)
        yield running


@pytest.fixture
async def caller(line: Line, twilio: TwilioSimulator) -> AsyncGenerator[SimulatedCall]:
    """A caller on his stream."""
    url = f"{PUBLIC_URL}/twilio/voice"
    call = await twilio.dial(to=NUMBER, from_=CALLER, voice_url=url, status_callback=f"{PUBLIC_URL}/twilio/status")
    await call.connected()
    await line.eventually(lambda: bool(line.calls.given))
    yield call
    await call.hang_up()


def desk_of(line: Line) -> TransferDesk:
    return line.server.services.transfers


def attempt_for(line: Line, told: list[str] | None = None, **changes: Any) -> Attempt:
    """Somebody to be rung for the call that is on its stream."""
    _, call, agent = line.calls.given[-1]
    fields: dict[str, Any] = {
        "call": call,
        "agent_name": agent.name,
        "destination": "owner",
        "address": PERSON,
        "from_number": NUMBER,
        "ring_secs": 20,
        "language": "de-DE",
        "summary": "Alex fragt nach einer Rechnung.",
        "looks_for_machine": False,
        "tell": lambda kind, **_data: None if told is None else told.append(kind),
    }
    return Attempt(**(fields | changes))


async def until(attempt: Attempt, *statuses: TransferStatus) -> None:
    assert await attempt.wait_for(frozenset(statuses), 5), attempt.status


async def talking(line: Line, attempt: Attempt) -> TransferRow:
    """The call is Twilio's: its log has its last entry, as when a pipeline has wound up."""
    log = line.server.services.log_writer.open(attempt.call.call_id)
    log.event("transfer.accepted", 10)
    log.hand_over()
    desk_of(line).hand_over(attempt, log)
    assert await attempt.wait_handed_over(5)
    return await row_of(line, attempt)


async def row_of(line: Line, attempt: Attempt) -> TransferRow:
    row = await desk_of(line).store.get(attempt.transfer_id)
    assert row is not None
    return row


async def reached(line: Line, attempt: Attempt, status: TransferStatus) -> None:
    async with asyncio.timeout(8):
        while (await row_of(line, attempt)).status != status:  # noqa: ASYNC110 - a row tells nobody
            await asyncio.sleep(0.02)


def path(attempt: Attempt, what: str, query: str = "") -> str:
    return f"/twilio/transfer/{attempt.transfer_id}/{what}?call={attempt.call.call_id}{query}"


async def briefed(line: Line, twilio: TwilioSimulator, attempt: Attempt) -> tuple[asyncio.Task[Any], SimulatedCall]:
    ringing = asyncio.create_task(desk_of(line).ring(attempt))
    person = await twilio.next_placed()
    await until(attempt, S.BRIEFING)
    return ringing, person


async def test_an_accepted_call_is_joined_once_however_often_it_is_accepted(
    line: Line, twilio: TwilioSimulator, caller: SimulatedCall
) -> None:
    told: list[str] = []
    line.calls.writes_end = False
    attempt = attempt_for(line, told)
    ringing, person = await briefed(line, twilio, attempt)
    form = {"CallSid": person.sid, "Digits": "1"}
    answers = await asyncio.gather(*(line.post(path(attempt, "answer"), **form) for _ in range(3)))
    assert [tags(answer) for answer in answers] == [["Dial"]] * 3
    assert await ringing is S.JOINED
    late = await line.post(path(attempt, "answer"), CallSid=person.sid, Digits="2")
    assert tags(late) == ["Dial"], "a decision is made once"
    again = await line.post(path(attempt, "briefing"), CallSid=person.sid)
    assert tags(again) == ["Dial"]
    moves = [request for request in twilio.requests if caller.sid in request.path and request.method == "POST"]
    assert len(moves) == 1
    assert told == ["transfer.ringing", "transfer.briefed", "transfer.accepted", "transfer.moved"]
    assert caller.verbs[-1][1:] == ("Conference", attempt.transfer_id)
    assert (await row_of(line, attempt)).leg_sid == person.sid


async def test_what_happens_in_the_room_is_written_by_anybody_and_ends_the_call(
    line: Line, twilio: TwilioSimulator, caller: SimulatedCall
) -> None:
    line.calls.writes_end = False
    attempt = attempt_for(line)
    ringing, person = await briefed(line, twilio, attempt)
    await person.press("1")
    assert await ringing is S.JOINED
    row = await talking(line, attempt)
    assert desk_of(line).find(attempt.transfer_id) is None
    async with asyncio.timeout(5):
        while (row := await row_of(line, attempt)).caller_joined_at is None or row.person_joined_at is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await person.hang_up()
    assert (await caller.ended()).status == "completed"
    await reached(line, attempt, S.ENDED)
    assert await line.ended(caller.sid) == "transferred"
    store = line.server.services.store
    events = [event for event in await store.list_events(attempt.call.call_id)]
    assert [event.kind for event in events].count("transfer.ended") == 1
    assert {event.data["who"] for event in events if event.kind == "transfer.joined"} == {"caller", "person"}
    # Whatever Twilio says again, or late, changes nothing.
    count = len(events)
    for form in ({"StatusCallbackEvent": "conference-end"}, {"StatusCallbackEvent": "participant-mute"}):
        assert (await line.post(path(attempt, "room"), **form)).status_code == 204
    await line.post(path(attempt, "leg"), CallSid=person.sid, CallStatus="completed")
    assert len(await store.list_events(attempt.call.call_id)) == count


@pytest.mark.parametrize("what", ["machine", "leg"])
async def test_reports_that_come_too_late_take_nobody_out_of_the_room(
    line: Line, twilio: TwilioSimulator, caller: SimulatedCall, what: str
) -> None:
    line.calls.writes_end = False
    attempt = attempt_for(line)
    ringing, person = await briefed(line, twilio, attempt)
    await person.press("1")
    assert await ringing is S.JOINED
    await talking(line, attempt)
    forms = {"machine": {"AnsweredBy": "machine_start"}, "leg": {"CallStatus": "ringing"}}
    assert (await line.post(path(attempt, what), CallSid=person.sid, **forms[what])).status_code == 204
    assert (await row_of(line, attempt)).status == "joined"
    assert not person.is_over


async def test_a_caller_who_leaves_while_it_rings_stops_the_ringing(
    line: Line, twilio: TwilioSimulator, caller: SimulatedCall
) -> None:
    twilio.answer_policy = AnswerPolicy(after_ms=5000)
    attempt = attempt_for(line)
    ringing = asyncio.create_task(desk_of(line).ring(attempt))
    person = await twilio.next_placed()
    await until(attempt, S.RINGING)
    assert desk_of(line).tell(attempt, E.CALLER_LEFT)
    assert not desk_of(line).tell(attempt, E.CALLER_LEFT)
    assert (await person.ended()).status == "canceled"
    assert await ringing is S.CALLER_LEFT


async def test_a_person_who_listens_to_the_summary_is_told_that_the_caller_left(
    line: Line, twilio: TwilioSimulator, caller: SimulatedCall
) -> None:
    attempt = attempt_for(line)
    ringing, person = await briefed(line, twilio, attempt)
    desk_of(line).tell(attempt, E.CALLER_LEFT)
    assert "aufgelegt" in (await person.ended()).verbs[-2][2]
    assert await ringing is S.CALLER_LEFT
    late = await line.post(path(attempt, "answer"), CallSid=person.sid, Digits="1")
    assert "aufgelegt" in late.text


async def test_a_person_who_accepts_after_the_caller_is_gone_at_twilio_is_told_so(
    line: Line, twilio: TwilioSimulator, caller: SimulatedCall
) -> None:
    attempt = attempt_for(line)
    ringing, person = await briefed(line, twilio, attempt)
    await caller.hang_up()  # nobody has told us yet
    answer = await line.post(path(attempt, "answer"), CallSid=person.sid, SpeechResult="Ja, gerne", Confidence="0.9")
    assert "aufgelegt" in answer.text
    assert await ringing is S.CALLER_LEFT


async def test_a_person_who_hangs_up_when_he_has_just_accepted_leaves_no_caller_in_an_empty_room(
    line: Line, twilio: TwilioSimulator, caller: SimulatedCall
) -> None:
    line.calls.writes_end = False
    attempt = attempt_for(line)
    ringing, person = await briefed(line, twilio, attempt)
    accepting = asyncio.create_task(line.post(path(attempt, "answer"), CallSid=person.sid, Digits="1"))
    await until(attempt, S.ACCEPTED, S.JOINED)
    if attempt.status is S.ACCEPTED:
        desk_of(line).tell(attempt, E.LEG_OVER)
        assert attempt.status is S.DESERTED
    await accepting
    assert await ringing is S.ENDED
    assert "abgebrochen" in (await caller.ended()).verbs[-2][2]


async def test_a_caller_alone_in_the_room_is_told_and_let_go(
    line: Line, twilio: TwilioSimulator, caller: SimulatedCall
) -> None:
    line.calls.writes_end = False
    attempt = attempt_for(line)
    ringing, person = await briefed(line, twilio, attempt)
    # The answer to his yes never reaches Twilio, and he hangs up.
    await line.post(path(attempt, "answer"), CallSid=person.sid, Digits="1")
    assert await ringing is S.JOINED
    await talking(line, attempt)
    await person.hang_up()
    assert "abgebrochen" in (await caller.ended()).verbs[-2][2]
    assert await line.ended(caller.sid) == "transferred"


async def test_a_person_alone_in_the_room_is_told_and_let_go(
    line: Line, twilio: TwilioSimulator, caller: SimulatedCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_rows, "_LOOKS_SECS", (0.2, 0.5))
    line.calls.writes_end = False
    attempt = attempt_for(line)
    ringing, person = await briefed(line, twilio, attempt)
    await person.press("1")
    assert await ringing is S.JOINED
    caller.redirect("<Response><Hangup/></Response>")  # on his way he hangs up, and nobody is told
    await talking(line, attempt)
    assert "aufgelegt" in " ".join(detail for _, _, detail in (await person.ended()).verbs) or person.is_over
    await reached(line, attempt, S.ENDED)


async def test_an_answer_that_is_lost_rings_nobody_twice(
    line: Line, twilio: TwilioSimulator, caller: SimulatedCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_desk, "_DOUBT_SECS", 0.3)
    twilio.arm("rest-500")
    attempt = attempt_for(line)
    assert await desk_of(line).ring(attempt) is S.FAILED
    placed = [request for request in twilio.requests if request.path.endswith("/Calls.json")]
    assert len(placed) == 1


async def test_twilio_that_asks_for_time_gets_it(line: Line, twilio: TwilioSimulator, caller: SimulatedCall) -> None:
    twilio.arm("rest-429", retry_after_secs=0)
    attempt = attempt_for(line)
    ringing, person = await briefed(line, twilio, attempt)
    await line.post(path(attempt, "answer"), CallSid=person.sid, Digits="2")
    assert await ringing is S.REFUSED


async def test_a_caller_who_cannot_be_moved_is_back_and_the_person_is_told(
    line: Line, twilio: TwilioSimulator, caller: SimulatedCall
) -> None:
    attempt = attempt_for(line)
    ringing, person = await briefed(line, twilio, attempt)
    twilio.arm("rest-500", times=2)
    answer = await line.post(path(attempt, "answer"), CallSid=person.sid, Digits="1")
    assert "nicht verbunden" in answer.text
    assert await ringing is S.FAILED
    assert not caller.is_over


async def test_a_transfer_whose_process_died_is_answered_by_its_row(line: Line, twilio: TwilioSimulator) -> None:
    services = line.server.services
    call_id, transfer_id = uuid4().hex, uuid4().hex
    call = Call(call_id, "CA77", "front-desk", Direction.INBOUND, CALLER, NUMBER, {}, datetime.now(UTC))
    await services.store.open_call(call)
    await services.store.go_live(call_id, owner="no-such-host-1-0")
    row = TransferRow(
        transfer_id=transfer_id,
        call_id=call_id,
        call_sid="CA77",
        agent_name="front-desk",
        destination="owner",
        address=PERSON,
        language="fr-FR",
        status="briefing",
        leg_sid="CA78",
        created_at=datetime.now(UTC),
    )
    await services.transfers.store.open(row)
    where = f"/twilio/transfer/{transfer_id}"
    answer = await line.post(f"{where}/answer?call={call_id}", CallSid="CA78", Digits="1")
    # Its process may live on another server: Twilio asks again, with the decision in the address.
    assert tags(answer) == ["Pause", "Redirect"]
    assert "tries=1" in answer.text
    assert "said=1" in answer.text
    last = await line.post(f"{where}/answer?call={call_id}&tries=8&said=1", CallSid="CA78")
    assert "raccroché" in last.text
    kept = await services.transfers.store.get(transfer_id)
    assert kept is not None
    assert kept.status == "caller_left"
    assert "raccroché" in (await line.post(f"{where}/briefing?call={call_id}", CallSid="CA78")).text


async def test_who_rings_for_the_caller_of_a_dead_process_is_let_go_and_who_talks_with_him_is_not(
    line: Line, twilio: TwilioSimulator, caller: SimulatedCall
) -> None:
    line.calls.writes_end = False
    desk = desk_of(line)
    attempt = attempt_for(line)
    ringing, person = await briefed(line, twilio, attempt)
    await person.press("1")
    assert await ringing is S.JOINED
    await reached(line, attempt, S.JOINED)
    assert await desk.is_with_a_person(attempt.call.call_id)
    await person.hang_up()
    assert not await desk.is_with_a_person(attempt.call.call_id)
    twilio.answer_policy = AnswerPolicy(after_ms=5000)
    other = attempt_for(line, address="+15551230188")
    rings = asyncio.create_task(desk.ring(other))
    second = await twilio.next_placed()
    await until(other, S.RINGING)
    await reached(line, other, S.RINGING)
    assert not await desk.is_with_a_person(other.call.call_id)
    await desk.let_go(other.call.call_id)
    assert (await second.ended()).status == "canceled"
    rings.cancel()


async def test_strangers_and_nonsense(line: Line, caller: SimulatedCall) -> None:
    attempt = attempt_for(line)
    unsigned = await line.post(path(attempt, "answer"), headers={}, CallSid="CA1", Digits="1")
    assert unsigned.status_code == 403
    unknown = await line.post(path(attempt, "answer"), CallSid="CA1", Digits="1")
    assert "not waiting for you any more" in unknown.text
    assert (await line.post(path(attempt, "room"), CallSid="CA1")).status_code == 400
    nowhere: Callable[[str], Any] = lambda where: line.post(where, CallSid="CA1")  # noqa: E731
    assert (await nowhere("/twilio/transfer/../voice/answer?call=x")).status_code in (404, 422)
    assert (await nowhere(path(attempt, "briefing", "&asked=99"))).status_code == 422
