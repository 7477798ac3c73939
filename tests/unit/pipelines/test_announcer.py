"""Sentences that need no model, on their way between the frames of one that speaks, through a real pipeline."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InterruptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.text.base_text_aggregator import TextType
from pipecat.workers.runner import WorkerRunner

from pipelines.announcer import Announcer
from pipelines.line_taps import AnnouncedTextFrame
from pipelines.sentences import SentenceKind, Sentences, Spoken
from tests.unit.pipelines.conftest import QuietCall
from tests.unit.pipelines.quiet_voice import agent, call_of

HZ = 24_000
KINDS = (SentenceKind.FILLER, SentenceKind.APOLOGY)
SHIPPED = {("en", kind): Spoken(f"{kind}.", bytes([1 + number, 0]) * HZ, HZ) for number, kind in enumerate(KINDS)}


class Output(FrameProcessor):
    """The end of the pipeline: notes what passes, and plays it on the line at once."""

    def __init__(self, call: QuietCall) -> None:
        super().__init__()
        self.call = call
        self.passed: list[str] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        line = self.call.line
        if isinstance(frame, TTSAudioRawFrame):
            line.agent_audio(bytes(len(frame.audio) // 3 // 2 * 2))
            self._note(f"sound {frame.audio[0]}")
        elif isinstance(frame, TTSTextFrame):
            line.agent_text(frame.text, is_announced=isinstance(frame, AnnouncedTextFrame))
            self._note(frame.text)
        elif isinstance(frame, TTSStoppedFrame):
            line.agent_finished()
            self._note("stopped")
        elif isinstance(frame, TTSStartedFrame):
            self._note("started")
        await self.push_frame(frame, direction)

    def _note(self, what: str) -> None:
        if not self.passed or self.passed[-1] != what:
            self.passed.append(what)


class Studio:
    """An announcer between a model and an output."""

    def __init__(self, call: QuietCall, folder: Path) -> None:
        self.call = call
        self.announcer = Announcer(call_of(), agent(), Sentences(folder, SHIPPED, None), call.scribe)
        self.output = Output(call)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[PipelineWorker]:
        worker = PipelineWorker(
            Pipeline([self.announcer, self.output]),
            idle_timeout_secs=None,
            enable_rtvi=False,
            enable_turn_tracking=False,
        )
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        running = asyncio.create_task(runner.run(), name="pipeline")
        try:
            yield worker
        finally:
            await worker.queue_frame(EndFrame())
            await running

    async def until(self, *passed: str) -> None:
        async with asyncio.timeout(5):
            while self.output.passed != list(passed):  # noqa: ASYNC110 - frames have no event to wait for
                await asyncio.sleep(0.01)


@pytest.fixture
def studio(make_call: Callable[..., QuietCall], tmp_path: Path) -> Studio:
    return Studio(make_call(), tmp_path)


def piece(value: int = 9) -> TTSAudioRawFrame:
    """A tenth of a second of the model's voice."""
    return TTSAudioRawFrame(audio=bytes([value, 0]) * (HZ // 10), sample_rate=HZ, num_channels=1)


FILLER = ("started", "filler.", "sound 1", "stopped")
APOLOGY = ("started", "apology.", "sound 2", "stopped")


async def test_a_sentence_asked_for_before_the_pipeline_runs_is_its_first_word(studio: Studio) -> None:
    assert await studio.announcer.announce(SentenceKind.FILLER)
    assert await studio.announcer.announce(SentenceKind.APOLOGY)
    async with studio.running():
        await studio.until(*FILLER, *APOLOGY)
    assert [event.data for event in studio.call.kinds("agent.announced")] == [
        {"kind": "filler", "text": "filler."},
        {"kind": "apology", "text": "apology."},
    ]


async def test_two_at_once_are_each_in_one_piece(studio: Studio) -> None:
    async with studio.running():
        await asyncio.gather(*(studio.announcer.announce(kind) for kind in KINDS))
        await studio.until(*FILLER, *APOLOGY)
    assert studio.call.scribe.announced_count == 2


async def test_between_the_models_words_a_sentence_is_a_turn_of_its_own(studio: Studio) -> None:
    async with studio.running() as worker:
        model = [TTSStartedFrame(), TTSTextFrame("On Monday", text_type=TextType.SENTENCE), piece()]
        await worker.queue_frames(model)
        await studio.until("started", "On Monday", "sound 9")
        await studio.announcer.announce(SentenceKind.FILLER)
        await studio.until("started", "On Monday", "sound 9", "stopped", *FILLER)
        studio.call.now_secs += 2
        # It fell silent in mid-sentence, and the caller waits for the rest as he would for all of it.
        assert studio.call.scribe.waiting_since_ms is not None
        await worker.queue_frames([TTSTextFrame("from nine.", text_type=TextType.SENTENCE), piece(), TTSStoppedFrame()])
        await studio.until("started", "On Monday", "sound 9", "stopped", *FILLER, "from nine.", "sound 9", "stopped")
    await studio.call.wait(3)
    assert studio.call.texts == ["On Monday", "filler.", "from nine."]
    assert studio.call.scribe.waiting_since_ms is None


async def test_after_a_whole_answer_nothing_is_owed(studio: Studio) -> None:
    async with studio.running() as worker:
        await worker.queue_frames([TTSStartedFrame(), piece(), TTSStoppedFrame()])
        await studio.until("started", "sound 9", "stopped")
        await studio.announcer.announce(SentenceKind.FILLER)
        await studio.until("started", "sound 9", "stopped", *FILLER)
    await studio.call.wait(3)
    assert studio.call.scribe.waiting_since_ms is None


async def test_saying_out_takes_as_long_as_it_is_heard(studio: Studio) -> None:
    async with studio.running():
        saying = asyncio.create_task(studio.announcer.say_out(SentenceKind.FILLER), name="saying")
        await studio.until(*FILLER)
        await asyncio.sleep(0.2)
        assert not saying.done()
        await studio.call.wait(1.2)  # a second of sound
        async with asyncio.timeout(1):
            assert await saying
    assert not studio.call.kinds("agent.announcement_lost")


async def test_a_caller_who_speaks_up_over_it_is_not_waited_for(studio: Studio) -> None:
    async with studio.running() as worker:
        saying = asyncio.create_task(studio.announcer.say_out(SentenceKind.FILLER), name="saying")
        await studio.until(*FILLER)
        studio.call.line.agent_cut()
        await worker.queue_frame(InterruptionFrame())
        async with asyncio.timeout(1):
            assert await saying
    assert not studio.call.kinds("agent.announcement_lost")


async def test_what_has_no_sound_is_not_announced(studio: Studio) -> None:
    async with studio.running():
        assert not await studio.announcer.announce(SentenceKind.BUSY)
        assert not await studio.announcer.say_out(None)
        assert not await studio.announcer.say_out(None, "Words of its own.")
        # Words without a sound are stood in for by the clip of their kind, which says what it says.
        assert await studio.announcer.announce(SentenceKind.APOLOGY, "Words of its own.")
        await studio.until(*APOLOGY)
    assert [event.data["text"] for event in studio.call.kinds("agent.announced")] == ["apology."]
