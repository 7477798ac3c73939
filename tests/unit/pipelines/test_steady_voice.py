"""A voice in time passes untouched; one that comes too slowly is said in pieces of half a second."""

import pytest
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.utils.text.base_text_aggregator import TextType

from pipelines.clock import CallClock
from pipelines.steady_voice import SteadyVoice

_PIECE_MS = 100


class Voice:
    """A steady voice, what has passed it, and the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ms = 0.0
        self.passed: list[Frame] = []
        monkeypatch.setattr(CallClock, "now_ms", property(lambda _clock: self.now_ms))
        self.stage = SteadyVoice(CallClock())

        async def push(frame: Frame, _direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
            self.passed.append(frame)

        monkeypatch.setattr(self.stage, "push_frame", push)

    async def take(self, frame: Frame) -> Frame:
        await self.stage.process_frame(frame, FrameDirection.DOWNSTREAM)
        return frame

    async def hear(self, count: int, *, every_ms: float) -> list[Frame]:
        """So many pieces of a tenth of a second, one every `every_ms`."""
        frames: list[Frame] = []
        for _ in range(count):
            frames.append(await self.take(TTSAudioRawFrame(bytes(_PIECE_MS * 16), 8000, 1)))
            self.now_ms += every_ms
        return frames


@pytest.fixture
def voice(monkeypatch: pytest.MonkeyPatch) -> Voice:
    return Voice(monkeypatch)


@pytest.mark.parametrize("every_ms", [0, 40, 100, 110])
async def test_a_voice_in_time_passes_untouched(voice: Voice, every_ms: float) -> None:
    started = await voice.take(TTSStartedFrame())
    pieces = await voice.hear(20, every_ms=every_ms)
    assert voice.passed == [started, *pieces]


async def test_a_slow_voice_is_said_in_longer_pieces(voice: Voice) -> None:
    started = await voice.take(TTSStartedFrame())
    pieces: list[Frame] = []
    growth: list[int] = []
    for _ in range(60):
        count = len(voice.passed)
        pieces += await voice.hear(1, every_ms=200)
        growth.append(len(voice.passed) - count)
    assert max(growth) == 5
    assert growth.count(5) >= 3
    assert all(growth[at - 4 : at] == [0] * 4 for at, size in enumerate(growth) if size == 5)
    assert voice.passed[1:] == pieces[: len(voice.passed) - 1], "in order, none twice and none left out"
    assert voice.passed[0] is started


async def test_words_stay_before_their_sound_and_the_rest_goes_out_at_the_end(voice: Voice) -> None:
    await voice.take(TTSStartedFrame())
    await voice.hear(4, every_ms=300)
    held = [
        await voice.take(TTSTextFrame("and then", text_type=TextType.SENTENCE)),
        *await voice.hear(1, every_ms=300),
    ]
    other = await voice.take(LLMTextFrame("not spoken"))
    assert voice.passed[-1] is other, "what nobody hears waits for nothing"
    assert held[0] not in voice.passed
    stopped = await voice.take(TTSStoppedFrame())
    assert voice.passed[-3:] == [*held, stopped]


async def test_what_was_held_is_dropped_at_an_interruption(voice: Voice) -> None:
    await voice.take(TTSStartedFrame())
    await voice.hear(4, every_ms=300)
    [held] = await voice.hear(1, every_ms=300)
    assert held not in voice.passed
    cut = await voice.take(InterruptionFrame())
    assert voice.passed[-1] is cut
    fresh = await voice.hear(3, every_ms=100)
    assert voice.passed[-3:] == fresh, "the next answer begins in time"
    assert held not in voice.passed
