"""A call that has ended is gone: without a collection of garbage, which would hold up the calls that go on."""

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.transports.base_transport import BaseTransport
from pipecat.workers.runner import WorkerRunner

from pipelines.conductor import Conductor
from pipelines.line import CallLine
from pipelines.model_link import ModelLink
from pipelines.scribe import Scribe
from pipelines.voice_pieces import VoicePieces
from simulators.call_setup import DialOutcome
from tests.calls.test_handoff import CONNECT, SCRIPTS
from tests.calls.test_handoff import agents as handing_over
from tests.calls.test_transfers import MODEL as TRANSFERRING

_KINDS = (
    FrameProcessor,
    PipelineWorker,
    BaseTransport,
    WorkerRunner,
    Conductor,
    CallLine,
    ModelLink,
    Scribe,
    VoicePieces,
)


def living() -> Counter[str]:
    """How many there are of what each call has its own of."""
    return Counter(type(one).__name__ for one in gc.get_objects() if issubclass(type(one), _KINDS))


async def left_by(house: Any, talk: Callable[[], Awaitable[None]]) -> tuple[Counter[str], int]:
    """What still lives once these calls are over, and how much garbage a collection then finds."""
    gc.collect()
    gc.disable()
    try:
        before = living()
        await talk()
        while house.server.services.live.count:  # noqa: ASYNC110 - the server tells nobody that it is idle
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        left = living() - before
        found = gc.collect()
    finally:
        gc.enable()
    return left, found


async def test_nothing_of_a_call_waits_for_the_collector(quiet_house: Any) -> None:
    house = quiet_house

    async def talk() -> None:
        call = await house.dial_quietly()
        await house.say(call, "wait-book")
        await call.wait_heard()
        await call.hang_up()
        await call.ended()
        await house.ended_row(call)

    await talk()  # what is made once is made
    await asyncio.sleep(1.2)  # its garbage is seen to
    left, found = await left_by(house, talk)
    assert not left
    assert found < 5000


SALES = {"describe": "Sales.", "say": CONNECT, "to": ["+15551230198"]}
ASKING = {"consent": "ask", "question": "This call may be recorded.", "answer_secs": 1}


async def test_nor_does_anything_of_one_that_was_asked_handed_over_or_put_through(make_house: Any) -> None:
    agents = handing_over() | {
        "asking": {"numbers": ["+15551230301"], "recording": ASKING},
        "connecting": {"numbers": ["+15551230302"], "greeting": "", "transfers": {"sales": SALES}},
        "ringing": {
            "numbers": ["+15551230303"],
            "greeting": "",
            "transfers": {"sales": SALES | {"to": ["+15551230195"]}},
        },
    }
    house = await make_house(agents=agents, gemini={"scripts": [*SCRIPTS, TRANSFERRING]})
    house.twilio.dial_outcomes |= {
        "+15551230198": DialOutcome("completed", ring_ms=100, talk_ms=200),
        "+15551230195": DialOutcome("completed", ring_ms=8000),
    }

    async def agree() -> None:
        call = await house.dial(to="+15551230301")
        await house.until_event(call, "consent.asked")
        await call.press("1")
        await house.until_event(call, "consent.given")
        await call.hang_up()
        await house.ended_row(call)

    async def be_handed_over() -> None:
        call = await house.dial_quietly()
        await house.say(call, "transfer-me")
        await house.until_event(call, "agent.handed_over")
        await call.wait_heard()
        await call.hang_up()
        await house.ended_row(call)

    async def be_put_through() -> None:
        call = await house.dial_quietly(to="+15551230302")
        await house.say(call, "transfer-me")
        await call.ended()
        await house.ended_row(call)

    async def leave_while_it_rings() -> None:
        call = await house.dial_quietly(to="+15551230303")
        await house.say(call, "transfer-me")
        await house.until_event(call, "transfer.ringing")
        await call.hang_up()
        await house.ended_row(call)

    async def talk() -> None:
        async with asyncio.TaskGroup() as calls:
            for one in (agree, be_handed_over, be_put_through, leave_while_it_rings):
                calls.create_task(one())

    left, _ = await left_by(house, talk)
    assert not left
