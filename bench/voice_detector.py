"""What it costs to hear voice: Pipecat's analyzer for each call beside one model for all, in CPU time of one window.

Run as `python -m bench.voice_detector`. Each call hears a caller of the density bench, in messages of 40 ms, of
which the server makes the same PCM for both.
"""

import asyncio
import base64
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams

from bench.caller_voice import CallerVoice, load_voices
from pipelines.voice_model import VoiceModel, load_run_model
from pipelines.voice_state import VoiceSettings
from simulators.telephone_audio import RATE_HZ, decode_ulaw

CALLS = (1, 10, 25, 50, 75, 100)
SECONDS = 8
RUNS = 3

_SETTINGS = VoiceSettings(start_secs=0.2, stop_secs=0.3, confidence=0.7, min_volume=0.6)
_MESSAGE_MS = 40
_WINDOW_MS = 32
_MICROSECONDS = 1e6

Messages = Sequence[bytes]


def caller_messages(voice: CallerVoice, turn: int) -> Messages:
    """Some seconds of a caller who speaks about a third of the time, as PCM16 of 40 ms; `turn` shifts him."""
    sentence = voice.sentences[turn % len(voice.sentences)]
    frames = [*voice.noise[: 200 - len(sentence)], *sentence] * 2
    shift = turn * 37 % len(frames)
    pcm = np.concatenate([decode_ulaw(base64.b64decode(frame)) for frame in frames[shift:] + frames[:shift]])
    whole = pcm[: SECONDS * RATE_HZ].tobytes()
    size = RATE_HZ * _MESSAGE_MS // 1000 * 2
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def hear_apart(calls: Sequence[Messages]) -> Callable[[], object]:
    """Pipecat's analyzer for each call, as fast as it goes."""
    analyzers = [SileroVADAnalyzer(params=VADParams(**vars(_SETTINGS))) for _ in calls]
    for analyzer in analyzers:
        analyzer.set_sample_rate(RATE_HZ)

    def hear() -> None:
        for messages in zip(*calls, strict=True):
            for analyzer, message in zip(analyzers, messages, strict=True):
                analyzer._run_analyzer(message)  # pyright: ignore[reportPrivateUsage]

    return hear


def hear_together(model: VoiceModel, calls: Sequence[Messages]) -> Callable[[], object]:
    """One model for all calls, asked when a message of each is there: the timer's pace, without the waiting."""
    ears = [model.listen(_SETTINGS, RATE_HZ, _ignore, _ignore) for _ in calls]

    def hear() -> None:
        for number, messages in enumerate(zip(*calls, strict=True), 1):
            for ear, message in zip(ears, messages, strict=True):
                ear.hear(message, number * _MESSAGE_MS)
            while model.judge_waiting():
                pass
        for ear in ears:
            ear.close()

    return hear


def us_for_window(hear: Callable[[], object], calls: int) -> float:
    """CPU microseconds that a window of one call took."""
    before = time.process_time()
    hear()
    return (time.process_time() - before) / (calls * SECONDS * 1000 / _WINDOW_MS) * _MICROSECONDS


def compare(write: Callable[[str], object]) -> None:
    """Measure both at every number of calls, one right after the other, and write a table of the medians."""
    voices = load_voices()
    model = VoiceModel(load_run_model())
    write("| calls | Pipecat's analyzer, us a window | one model, us a window | times less |\n|---|---|---|---|\n")
    for count in CALLS:
        calls = [caller_messages(voices[number % len(voices)], number) for number in range(count)]
        runs = [
            (us_for_window(hear_apart(calls), count), us_for_window(hear_together(model, calls), count))
            for _ in range(RUNS)
        ]
        apart, together = (median(figures) for figures in zip(*runs, strict=True))
        write(f"| {count} | {apart:.0f} | {together:.0f} | {apart / together:.1f} |\n")


async def _main() -> None:
    logger.remove()
    compare(sys.stdout.write)


def _ignore(at_ms: float) -> None:
    pass


if __name__ == "__main__":
    # Ears belong to an event loop, whose timer never comes to run here.
    asyncio.run(_main())
