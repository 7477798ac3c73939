"""What another process may ask of this one, and a slot that is asked for while others share the limit."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from api.errands import Errands
from api.orders import call_in, order_for
from api.slots import admit
from pipelines.live import LiveCall, LiveCalls
from switchboard.colleagues import Alone
from switchboard.messages import Placed
from switchboard.refusal import Refusal
from telephony.machine_detection import AnsweredBy
from tests.unit.api.wire import CALL_SID, STREAM_SID, Line, start_message
from transcripts.call import Call, Direction

CALL = Call(
    "c1", CALL_SID, "front-desk", Direction.INBOUND, "+15557654321", None, {"name": "Zoë"}, datetime.now(UTC), True
)


class Shared(Alone):
    """Colleagues that have an opinion on the limit, and hear what is freed."""

    def __init__(self, answer: Placed | None, share: int | None = None) -> None:
        self.answer, self.share = answer, share
        self.gone: list[str] = []

    async def admit(self, call_id: str, call_sid: str = "") -> Placed | None:
        return self.answer

    def freed(self, call_id: str) -> None:
        self.gone.append(call_id)


def test_a_call_is_the_same_after_its_way_to_another_process() -> None:
    assert call_in(order_for(CALL)) == CALL
    assert call_in(order_for(replace(CALL, call_sid=None, is_announced=False))).call_sid is None


async def test_a_call_that_is_placed_here_has_its_slot_and_its_model(line: Line) -> None:
    errands, live = Errands(line.server.services), line.server.services.live
    assert [await errands.reserve(order_for(CALL)) for _ in range(2)] == ["", ""]
    assert live.is_reserved("c1")
    ((call, agent),) = line.models.expected
    assert (call, agent.name) == (CALL, "front-desk")
    live.most_here = 1
    assert errands.refusal() == "process_full"
    assert await errands.reserve(order_for(replace(CALL, call_id="c2"))) == "process_full"
    errands.give_up("c1")
    assert (live.count, line.models.forgotten, errands.refusal()) == (0, ["c1"], "")


async def test_a_slow_database_sends_no_call_elsewhere(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    errands, services = Errands(line.server.services), line.server.services

    async def slow() -> int:
        await asyncio.sleep(10)
        return 0

    monkeypatch.setattr(services.in_force.store, "counter", slow)
    async with asyncio.timeout(0.45):  # after half a second the call would be offered to another process
        assert await errands.reserve(order_for(CALL)) == ""
    assert services.live.is_reserved("c1")
    assert [agent.name for _, agent in line.models.expected] == ["front-desk"]
    errands.give_up("c1")


async def test_a_call_that_we_place_keeps_its_slot_for_as_long_as_it_rings_and_its_agents_changes(line: Line) -> None:
    errands, live = Errands(line.server.services), line.server.services.live
    live.collect_secs = 0.05
    placed = replace(CALL, direction=Direction.OUTBOUND, overrides={"greeting": "Dear Zoë."}, is_disclosed=True)
    assert call_in(order_for(placed)) == placed
    assert await errands.reserve(order_for(placed, keep_secs=5.0)) == ""
    ((_call, agent),) = line.models.expected
    assert agent.greeting == "Dear Zoë."
    await asyncio.sleep(0.1)
    assert live.is_reserved("c1")
    assert await errands.reserve(order_for(placed)) == "", "it was answered: its stream comes at once now"
    await line.eventually(lambda: not live.is_reserved("c1"))
    assert line.models.forgotten == ["c1"]


async def test_a_call_here_is_asked_about_and_ended_from_elsewhere(line: Line) -> None:
    errands = Errands(line.server.services)
    given = await line.ring()
    nothing: Mapping[str, str] = {}
    for name in ("next", "caller_left", "end_call", "hang_up", "dance"):
        assert await errands.run_errand(name, "c9", "CA9", nothing) is None
    async with line.open_stream() as stream:
        await stream.send(start_message(given))
        await line.eventually(lambda: len(line.calls.given) == 1)
        held = await errands.run_errand("next", "", CALL_SID, {"stream_sid": "MZother"})
        assert held is not None
        assert "<Pause" in held["twiml"], "the call goes on in another stream than the one that is over"
        slot = line.server.services.live.get(given["call_id"])
        assert slot is not None
        told = list[str]()
        slot.on_end(lambda reason: told.append(reason.value))
        assert await errands.run_errand("caller_left", given["call_id"], "", nothing) == {}
        assert told == ["caller_hung_up"]
        assert await errands.run_errand("end_call", given["call_id"], "", nothing) == {}
        assert told == ["caller_hung_up"] * 2, "the first reason stands"
        line.calls.is_told_to_end.set()
    over = await errands.run_errand("next", "", CALL_SID, {"stream_sid": STREAM_SID})
    assert over is not None
    assert "<Hangup" in over["twiml"]


async def test_the_whole_servers_limit_goes_before_ones_own() -> None:
    live = LiveCalls(max_calls=10)
    assert await admit(Shared(Placed(refusal="max_calls")), live, "a") == Refusal.MAX_CALLS
    assert isinstance(await admit(Shared(Placed(instance="x")), live, "a"), LiveCall)
    assert live.holds("a")


async def test_a_slot_that_is_not_taken_here_is_given_back_there() -> None:
    colleagues, live = Shared(Placed(instance="x")), LiveCalls(max_calls=10, is_slow=lambda: True)
    assert await admit(colleagues, live, "a") == Refusal.SLOW
    assert colleagues.gone == ["a"]


async def test_while_nobody_can_be_asked_a_process_keeps_to_its_share() -> None:
    colleagues, live = Shared(None, share=1), LiveCalls(max_calls=10)
    assert isinstance(await admit(colleagues, live, "a"), LiveCall)
    assert await admit(colleagues, live, "b") == Refusal.MAX_CALLS
    assert colleagues.gone == ["b"]
    assert isinstance(await admit(Alone(), live, "b"), LiveCall), "a server of one process has no shares"


async def test_who_took_a_call_is_told_to_the_process_that_has_it_whenever_its_call_begins(line: Line) -> None:
    services = line.server.services
    errands, heard = Errands(services), list[AnsweredBy]()
    told = {"answered_by": "machine_start"}
    assert await errands.run_errand("answered_by", "c1", CALL_SID, told) is None, "the call is not here"
    live = services.live.admit("c1")
    assert live is not None
    assert await errands.run_errand("answered_by", "c1", CALL_SID, told) == {}
    live.on_answered(heard.append)
    assert heard == [AnsweredBy.MACHINE_START], "it was told before the call had begun"
    await errands.run_errand("answered_by", "c1", CALL_SID, {"answered_by": "machine_end_beep"})
    assert heard == [AnsweredBy.MACHINE_START, AnsweredBy.MACHINE_END_BEEP]
    services.live.release("c1")
