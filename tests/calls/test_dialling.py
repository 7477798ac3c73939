"""The dialler against the stand-in Twilio, without a server: only Twilio's list tells what became of a request."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from api.dialling import room_of
from calling.dialler import Dialler
from calling.errors import OverLimit, TwilioUnusable
from calling.placing import Patience
from calling.progress import State, after
from calling.request import CallRequest
from config.agent import AgentConfig
from config.agents_folder import AgentCatalog
from config.prices import load_prices
from config.settings import Settings
from simulators.call_setup import AnswerPolicy
from simulators.twilio import TwilioSimulator
from simulators.twilio_rest import CREATE_CALL, LIST_CALLS, UPDATE_CALL
from storage.engine import Database
from telephony.rest import DialRequest, TwilioRest
from tests.databases import database, database_url
from transcripts.call import Call, CallStatus
from transcripts.models import CallRow
from transcripts.outgoing import Outgoing, OutgoingStore, Room
from transcripts.owners import Owners

__all__ = ["database", "database_url"]

PERSON, OURS = "+15551230177", "+15551230100"
# Nobody listens there: Twilio's requests to us are lost, as they are while no server runs.
NOBODY = "http://127.0.0.1:9"
QUICK = Patience(settle_secs=0.3, looks_secs=(0.0, 0.2, 0.3), sweep_secs=0.1)


@dataclass
class Lines:
    """A house with room for everybody, or for nobody."""

    refusal: str = ""
    kept: list[str] = field(default_factory=list[str])

    async def keep(self, call: Call, agent: AgentConfig, secs: float) -> str:
        self.kept.append(call.call_id)
        return self.refusal

    def give_up(self, call_id: str) -> None:
        if call_id in self.kept:
            self.kept.remove(call_id)


@dataclass
class Desk:
    """Any number of processes that place calls, on one database."""

    twilio: TwilioSimulator
    rest: TwilioRest
    store: OutgoingStore
    database: Database
    lines: Lines = field(default_factory=Lines)

    def process(self, name: str, *, now: datetime | None = None, room: Room | None = None) -> Dialler:
        outbound = {"name": "front-desk", "bot": "b", "numbers": [OURS], "outbound": {"enabled": True}}
        catalog = AgentCatalog([AgentConfig.model_validate(outbound)])

        async def agents() -> AgentCatalog:
            return catalog

        return Dialler(
            self.store,
            self.rest,
            self.lines,
            agents,
            base_url=NOBODY,
            owner=name,
            room=room or Room(),
            patience=QUICK,
            now=lambda: now or datetime.now(UTC),
        )

    async def dies_in_mid_request(self) -> str:
        """A process asks Twilio, has no answer yet, and is gone; returns the call's id."""
        doomed = self.process("doomed")
        asking = asyncio.create_task(doomed.place(request()), name="asks for a call")
        async with asyncio.timeout(5):
            while not self.twilio.faults.hits:  # noqa: ASYNC110 - a fault has no event to wait for
                await asyncio.sleep(0.02)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        for task in doomed._placing.values():  # pyright: ignore[reportPrivateUsage]
            task.cancel()
        await doomed.close()
        await Owners(self.database).close_calls_of("doomed")
        (call_id,) = await self.store.list_orphans(datetime.now(UTC))
        return call_id

    async def swept(self, dialler: Dialler, call_id: str) -> Outgoing:
        """The call once a sweep has gone on with it, and nothing is open any more."""
        async with asyncio.timeout(10):
            while True:
                await dialler.sweep()
                await asyncio.sleep(0.1)
                found = await self.store.find(call_id)
                assert found is not None
                if found.open_attempt is None and (found.call.call_sid or found.call.status == "ended"):
                    return found


def request(to: str = PERSON, **changes: object) -> CallRequest:
    return CallRequest.model_validate({"agent": "front-desk", "to": to, **changes})


@pytest.fixture
async def desk(database: Database) -> AsyncGenerator[Desk]:
    async with AsyncExitStack() as closing:
        twilio = await closing.enter_async_context(TwilioSimulator())
        twilio.answer_policy = AnswerPolicy(after_ms=60_000)
        account = (twilio.account_sid, twilio.account_sid, twilio.auth_token)
        rest = await closing.enter_async_context(TwilioRest(*account, api_base=twilio.base_url, timeout_secs=1.0))
        yield Desk(twilio, rest, OutgoingStore(database), database)


async def test_a_call_that_twilio_took_from_a_dead_process_is_found_in_its_list(desk: Desk) -> None:
    desk.twilio.arm("created-late")
    call_id = await desk.dies_in_mid_request()
    found = await desk.swept(desk.process("next"), call_id)
    assert [found.call.call_sid] == list(desk.twilio.calls)
    assert (found.call.status, [attempt.outcome for attempt in found.attempts]) == ("queued", ["placed"])


async def test_a_call_that_twilio_never_took_is_placed_by_the_next_process_once(desk: Desk) -> None:
    desk.twilio.arm("rest-timeout")
    call_id = await desk.dies_in_mid_request()
    assert not desk.twilio.calls
    processes = [desk.process(f"next{number}") for number in range(3)]
    found, *_ = await asyncio.gather(*(desk.swept(process, call_id) for process in processes))
    assert [found.call.call_sid] == list(desk.twilio.calls), "three processes looked, and one phone rang"
    assert [attempt.outcome for attempt in found.attempts] == ["not_sent", "placed"]


async def test_a_timeout_is_looked_into_before_anything_is_dialled_again(desk: Desk) -> None:
    desk.twilio.arm("created-late")
    outgoing, _ = await desk.process("one").place(request())
    assert [outgoing.call.call_sid] == list(desk.twilio.calls)
    desk.twilio.arm("rest-500")
    other, _ = await desk.process("one").place(request("+15551230178"))
    assert other.call.call_sid in desk.twilio.calls
    assert [attempt.outcome for attempt in other.attempts] == ["not_sent", "placed"]
    assert len(desk.twilio.calls) == 2


async def test_calls_that_cannot_be_told_apart_are_never_dialled_again(desk: Desk) -> None:
    desk.twilio.arm("created-late")
    call_id = await desk.dies_in_mid_request()
    # Somebody else uses this account, and calls the same person at the same time.
    stranger = await desk.rest.place(_as_somebody_else())
    assert len(desk.twilio.calls) == 2
    following = desk.process("next")
    await following.sweep()
    await following.place_now(call_id)
    found = await desk.store.find(call_id)
    assert found is not None
    assert (found.call.status, found.call.call_sid) == ("queued", None)
    assert found.open_attempt is not None
    ours = next(call_sid for call_sid in desk.twilio.calls if call_sid != stranger)
    row = await following.take_webhook(call_id, ours)
    assert row is not None, "Twilio's own request tells which it is"
    late = desk.process("late", now=datetime.now(UTC) + timedelta(hours=1))
    await late.place_now(call_id)
    assert len(desk.twilio.calls) == 2


async def test_a_call_that_was_called_off_while_twilio_was_silent_is_ended_there(desk: Desk) -> None:
    desk.twilio.arm("created-late")
    call_id = await desk.dies_in_mid_request()
    following = desk.process("next")
    await following.call_off(call_id)
    found = await desk.swept(following, call_id)
    assert (found.call.status, found.call.end_reason) == ("ended", "cancelled")
    (call,) = desk.twilio.calls.values()
    await call.ended()
    assert call.answered_at is None


async def test_a_second_phone_call_for_one_request_is_ended_at_once(desk: Desk) -> None:
    process = desk.process("one")
    outgoing, _ = await process.place(request())
    second = await desk.rest.place(_as_somebody_else())
    assert await process.take_webhook(outgoing.call.call_id, second) is None
    await desk.twilio.calls[second].ended()
    assert not desk.twilio.calls[outgoing.call.call_sid or ""].is_over


async def test_a_call_is_placed_when_its_time_has_come_and_not_when_that_is_long_past(desk: Desk) -> None:
    due_at = datetime.now(UTC) + timedelta(hours=1)
    process = desk.process("one")
    first, second = [(await process.place(request(at=due_at)))[0] for _ in range(2)]
    await process.sweep()
    assert not desk.twilio.calls
    await process.call_off(second.call.call_id)
    late = desk.process("late", now=due_at + timedelta(hours=1))
    found = await desk.swept(late, first.call.call_id)
    assert (found.call.end_reason, found.order.problem) == (
        "missed",
        "No server was there to place it when it was to be placed.",
    )
    third, _ = await process.place(request(at=due_at))
    in_time = desk.process("in time", now=due_at + timedelta(seconds=1))
    assert (await in_time.place_now(third.call.call_id)).call.call_sid in desk.twilio.calls
    assert (await in_time.place_now(third.call.call_id)).call.call_sid in desk.twilio.calls
    assert len(desk.twilio.calls) == 1


async def test_a_call_whose_last_word_never_came_is_asked_about(desk: Desk) -> None:
    desk.twilio.answer_policy = AnswerPolicy("busy")
    outgoing, _ = await desk.process("one").place(request())
    await desk.twilio.calls[outgoing.call.call_sid or ""].ended()
    later = desk.process("later", now=datetime.now(UTC) + timedelta(minutes=5))
    await later.sweep()
    found = await desk.store.find(outgoing.call.call_id)
    assert found is not None
    assert (found.call.status, found.call.end_reason) == ("ended", "busy")


async def test_without_room_or_a_right_account_nothing_is_dialled(desk: Desk) -> None:
    desk.lines.refusal = "max_calls"
    with pytest.raises(Exception, match="Every line of this server is taken"):
        await desk.process("one").place(request())
    desk.lines.refusal = ""
    wrong = (desk.twilio.account_sid, desk.twilio.account_sid, "wrong")
    async with TwilioRest(*wrong, api_base=desk.twilio.base_url) as rest:
        stranger = Desk(desk.twilio, rest, desk.store, desk.database)
        with pytest.raises(TwilioUnusable, match="refuses our credentials") as caught:
            await stranger.process("two").place(request())
    assert caught.value.code == 20003
    assert not desk.twilio.calls
    assert not desk.lines.kept


async def test_what_twilio_tells_in_any_order_and_number_moves_the_row_as_the_table_says(desk: Desk) -> None:
    process, chance = desk.process("one"), random.Random(7)
    for number in range(12):
        outgoing, _ = await process.place(request(f"+155512302{number:02}"))
        end = chance.choice(["completed", "busy", "no-answer", "failed", "canceled"])
        told = ["initiated", "ringing", "in-progress", end, *chance.choices(["ringing", "in-progress", end], k=3)]
        chance.shuffle(told)
        state, stale = State(CallStatus.QUEUED), outgoing.call
        for word in told:
            state = after(state, word)
            # Two callbacks may be read at once: the second one then knows the row as it was before the first.
            await process.take_status(stale if chance.random() < 0.5 else await _row(desk, stale.call_id), word, 0)
            row = await _row(desk, stale.call_id)
            assert (row.status, row.end_reason) == (state.status, state.reason), told


async def _row(desk: Desk, call_id: str) -> CallRow:
    found = await desk.store.find(call_id)
    assert found is not None
    return found.call


async def test_every_parameter_is_one_that_the_sdk_sends_and_the_stand_in_refuses_any_other(desk: Desk) -> None:
    process = desk.process("one")
    outgoing, _ = await process.place(request(ring_secs=7))
    desk.twilio.arm("created-late")
    await process.place(request("+15551230178"))
    await process.call_off(outgoing.call.call_id)
    later = desk.process("later", now=datetime.now(UTC) + timedelta(minutes=5))
    await later.sweep()
    for asked in desk.twilio.requests:
        is_call = asked.path.endswith("/Calls.json")
        known = {("POST", True): CREATE_CALL, ("GET", True): LIST_CALLS, ("POST", False): UPDATE_CALL}
        assert set(asked.parameters) <= known.get((asked.method, is_call), frozenset()), asked
    assert {(asked.method, asked.path.endswith("/Calls.json")) for asked in desk.twilio.requests} == {
        ("POST", True),
        ("GET", True),
        ("POST", False),
        ("GET", False),
    }
    first = desk.twilio.requests[0].parameters
    assert first["StatusCallbackEvent"] == ["initiated", "ringing", "answered", "completed"]
    assert first["Url"] == [f"{NOBODY}/twilio/voice?call_id={outgoing.call.call_id}"]
    assert (first["Timeout"], first["TimeLimit"], first["Method"]) == (["7"], ["2400"], ["POST"])
    with pytest.raises(TypeError, match="idempotency_key"):
        await desk.rest.place(replace(_as_somebody_else(), further={"idempotency_key": "x"}))
    auth = httpx.BasicAuth(desk.twilio.account_sid, desk.twilio.auth_token)
    async with httpx.AsyncClient(auth=auth, trust_env=False) as http:
        sent = {**{name: values[0] for name, values in first.items()}, "IdempotencyKey": "x"}
        answer = await http.post(f"{desk.twilio.base_url}{desk.twilio.requests[0].path}", data=sent)
    assert (answer.status_code, "IdempotencyKey" in answer.json()["message"]) == (400, True)


async def test_what_a_day_may_cost_is_counted_in_started_minutes(desk: Desk) -> None:
    limit = Settings.model_validate({"max_spend_per_day_usd": 0.04})
    prices = load_prices().prices
    per_minute = prices.twilio_outgoing_call.usd + prices.twilio_media_stream.usd
    room = await asyncio.to_thread(room_of, limit)
    assert room == Room(20, int(0.04 / per_minute)) == Room(20, 2)
    assert (await asyncio.to_thread(room_of, Settings.model_validate({}))).most_minutes is None
    processes = [desk.process(name, room=room) for name in ("one", "two", "three")]
    for process in processes[:2]:
        await process.place(request())
    with pytest.raises(OverLimit, match="TRUNKLINE_MAX_SPEND_PER_DAY_USD"):
        await processes[2].place(request())
    assert len(desk.twilio.calls) == 2
    await asyncio.gather(*(call.hang_up() for call in desk.twilio.calls.values()))
    tomorrow = desk.process("four", room=room, now=datetime.now(UTC) + timedelta(days=1))
    await tomorrow.place(request())
    assert len(desk.twilio.calls) == 3


def _as_somebody_else() -> DialRequest:
    return DialRequest(PERSON, OURS, f"{NOBODY}/voice", f"{NOBODY}/status", 30, 600)
