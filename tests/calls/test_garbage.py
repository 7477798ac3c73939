"""A call that has ended is gone: without a collection of garbage, which would hold up the calls that go on."""

import asyncio
import gc
from collections import Counter

from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.transports.base_transport import BaseTransport
from pipecat.workers.runner import WorkerRunner

from pipelines.conductor import Conductor
from pipelines.line import CallLine
from pipelines.model_link import ModelLink
from pipelines.scribe import Scribe
from pipelines.voice_pieces import VoicePieces

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


async def test_nothing_of_a_call_waits_for_the_collector(quiet_house):
    house = quiet_house
    live = house.server.services.live

    async def talk() -> None:
        call = await house.dial_quietly()
        await house.say(call, "wait-book")
        await call.wait_heard()
        await call.hang_up()
        await call.ended()
        await house.ended_row(call)
        while live.count:  # noqa: ASYNC110 - the server tells nobody that it is idle
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)

    await talk()  # what is made once is made
    await asyncio.sleep(1.0)  # its garbage is seen to
    gc.collect()
    gc.disable()
    try:
        before = living()
        await talk()
        left = living() - before
        found = gc.collect()
    finally:
        gc.enable()
    assert not left
    assert found < 5000
