"""What the output tells of: audio and words that are really sent, and nothing older than an interruption."""

from typing import Any

import pytest
from pipecat.frames.frames import Frame, InterruptionFrame, OutputAudioRawFrame, TTSAudioRawFrame, TTSTextFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.utils.text.base_text_aggregator import TextType

from pipelines.clock import CallClock
from pipelines.line import CallLine
from pipelines.line_taps import AgentTap

PIECE = bytes(640)


class Output:
    """Stands where Pipecat's output transport stands, below the tap."""

    def __init__(self) -> None:
        self.sent: list[Frame] = []
        self.pushed: list[Frame] = []

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        self.sent.append(frame)
        return True

    async def push_frame(self, frame: Frame, _direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        self.pushed.append(frame)

    async def process_frame(self, frame: Frame, _direction: FrameDirection) -> None:
        self.sent.append(frame)


class Tap(AgentTap):
    """The tap alone, over an output that keeps what it gets."""

    def __init__(self) -> None:
        self.output = Output()
        self.line = CallLine(CallClock(), caller_hz=8000, agent_hz=8000)
        self.told: list[Any] = []
        self.line.agent_audio = lambda pcm: self.told.append(pcm)
        self.line.agent_text = lambda text, **_: self.told.append(text)
        self.line.agent_cut = lambda: self.told.append("cut")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@pytest.fixture
def tap(monkeypatch: pytest.MonkeyPatch) -> Tap:
    tap = Tap()
    for name in ("write_audio_frame", "push_frame", "process_frame"):
        method = getattr(tap.output, name)
        monkeypatch.setattr(AgentTap.__mro__[1], name, lambda _self, *given, method=method: method(*given))
    return tap


def audio() -> TTSAudioRawFrame:
    return TTSAudioRawFrame(PIECE, 8000, 1)


def words(text: str) -> TTSTextFrame:
    return TTSTextFrame(text, text_type=TextType.SENTENCE)


async def test_what_is_sent_is_told(tap: Tap) -> None:
    await tap.push_frame(words("Hello."))
    piece = audio()
    assert await tap.write_audio_frame(piece)
    assert tap.told == ["Hello.", PIECE]
    assert tap.output.sent == [piece]


async def test_what_is_older_than_an_interruption_is_neither_sent_nor_told(tap: Tap) -> None:
    old_piece, old_words = audio(), words("of an hour ago")
    await tap.process_frame(InterruptionFrame(), FrameDirection.DOWNSTREAM)
    assert await tap.write_audio_frame(old_piece), "the transport goes on with the next piece"
    await tap.push_frame(old_words)
    assert tap.told == ["cut"]
    assert old_piece not in tap.output.sent
    new_piece = audio()
    await tap.write_audio_frame(new_piece)
    await tap.push_frame(words("Of course."))
    assert tap.told == ["cut", PIECE, "Of course."]
    assert tap.output.sent[-1] is new_piece


async def test_what_nobody_may_interrupt_is_sent_all_the_same(tap: Tap) -> None:
    piece = audio()
    piece.interruptible = False
    await tap.process_frame(InterruptionFrame(), FrameDirection.DOWNSTREAM)
    await tap.write_audio_frame(piece)
    assert tap.told == ["cut", PIECE]


async def test_audio_that_nobody_reads_behind_the_output_stays_there(tap: Tap) -> None:
    piece, text = audio(), words("Hello.")
    await tap.push_frame(piece)
    tap.passes_audio_on = False
    await tap.push_frame(audio())
    await tap.push_frame(text)
    assert tap.output.pushed == [piece, text]
