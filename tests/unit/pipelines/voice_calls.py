"""Phone calls made of the shipped recordings, and what Pipecat's analyzer and ours hear in them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soxr  # pyright: ignore[reportMissingTypeStubs]
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams, VADState

from pipelines.voice_model import VoiceModel
from pipelines.voice_state import VoiceSettings
from simulators.clips import CLIP_RATE_HZ, caller_clips, caller_samples
from simulators.telephone_audio import decode_ulaw, encode_ulaw

NOISES_DBFS = (-60, -48, -40, -35)
LEVELS_DB = (0, -6, -12, -20)
WINDOW_MS = 32

Boundary = tuple[str, float]


@dataclass(frozen=True)
class Call:
    """One caller's sound, PCM16 mono, and how his agent wants voice judged."""

    rate_hz: int
    pcm: bytes
    settings: VoiceSettings


def make_calls(
    count: int, clips_each: int, *, rate_hz: int = 8000, longest_pause_secs: float = 5.0, seed: int = 1
) -> list[Call]:
    """Calls at every noise and level in turn: clips with pauses of 0.2 s and more between them, over hiss."""
    random = np.random.default_rng(seed)
    names = sorted(caller_clips())
    calls: list[Call] = []
    for number in range(count):
        noise_dbfs = NOISES_DBFS[number % len(NOISES_DBFS)]
        level_db = LEVELS_DB[number // len(NOISES_DBFS) % len(LEVELS_DB)]
        pieces = [_silence(random, rate_hz, 0.1, 3)]
        for _ in range(clips_each):
            pieces += [_at_rate(str(random.choice(names)), rate_hz) * 10 ** (level_db / 20)]
            pieces += [_silence(random, rate_hz, 0.2, longest_pause_secs)]
        speech = np.concatenate(pieces)
        # A room's hiss: white noise, softer above a quarter of the band.
        hiss = np.convolve(random.standard_normal(len(speech)), np.ones(4) / 4, mode="same")
        hiss *= 32768 * 10 ** (noise_dbfs / 20) / np.sqrt((hiss**2).mean())
        pcm = np.clip(speech + hiss, -32768, 32767).astype(np.int16)
        if rate_hz == 8000:
            pcm = decode_ulaw(encode_ulaw(pcm))
        settings = VoiceSettings(0.2, (0.3, 0.2, 0.8)[number % 3], 0.7, 0.6)
        calls.append(Call(rate_hz, pcm.tobytes(), settings))
    return calls


def heard_by_pipecat(call: Call) -> list[Boundary]:
    """Starts and stops with the call time at which each was decided, of audio in frames of 20 ms."""
    settings = call.settings
    params = VADParams(
        confidence=settings.confidence,
        start_secs=settings.start_secs,
        stop_secs=settings.stop_secs,
        min_volume=settings.min_volume,
    )
    analyzer = SileroVADAnalyzer(params=params)
    analyzer.set_sample_rate(call.rate_hz)
    size = call.rate_hz // 50 * 2
    found: list[Boundary] = []
    was_speaking = False
    for start in range(0, len(call.pcm) - size + 1, size):
        state = analyzer._run_analyzer(call.pcm[start : start + size])  # pyright: ignore[reportPrivateUsage]
        if state in (VADState.SPEAKING, VADState.QUIET) and (state is VADState.SPEAKING) is not was_speaking:
            was_speaking = not was_speaking
            # Decided by the window that this frame completed.
            windows = (start + size) // (call.rate_hz * WINDOW_MS // 500)
            found.append(("started" if was_speaking else "stopped", float(windows * WINDOW_MS)))
    return found


def heard_together(model: VoiceModel, calls: list[Call], *, seed: int = 1) -> list[list[Boundary]]:
    """The same of our ears: all calls at once, in pieces of 40 ms that come late and several at a time."""
    random = np.random.default_rng(seed)
    found: list[list[Boundary]] = [[] for _ in calls]
    ears = [
        model.listen(
            call.settings,
            call.rate_hz,
            lambda at_ms, into=into: into.append(("started", at_ms)),
            lambda at_ms, into=into: into.append(("stopped", at_ms)),
        )
        for call, into in zip(calls, found, strict=True)
    ]
    pieces = [_pieces(call) for call in calls]
    are_on = set(range(len(calls)))
    while are_on:
        for index in sorted(are_on):
            # As often nothing as two pieces, and now and then a burst.
            for _ in range(int(random.choice([0, 1, 1, 1, 2, 8], p=[0.31, 0.2, 0.2, 0.1, 0.17, 0.02]))):
                piece = next(pieces[index], None)
                if piece is None:
                    are_on.discard(index)
                    break
                ears[index].hear(*piece)
        while model.judge_waiting() and random.random() < 0.9:
            pass
    for ear in ears:
        ear.flush()
        ear.close()
    return found


def matches(theirs: list[Boundary], ours: list[Boundary]) -> tuple[int, int]:
    """How many of both sides' boundaries there are, each pair once, and how many have a partner within one window."""
    left = list(ours)
    matched = 0
    for kind, at_ms in theirs:
        partner = next((b for b in left if b[0] == kind and abs(b[1] - at_ms) <= WINDOW_MS), None)
        if partner is not None:
            left.remove(partner)
            matched += 1
    return len(theirs) + len(left), matched


def _pieces(call: Call) -> Iterator[tuple[bytes, float]]:
    size = call.rate_hz // 25 * 2
    for start in range(0, len(call.pcm), size):
        piece = call.pcm[start : start + size]
        yield piece, (start + len(piece)) / 2 / call.rate_hz * 1000


def _silence(random: np.random.Generator, rate_hz: int, least_secs: float, most_secs: float) -> np.ndarray:
    return np.zeros(int(random.uniform(least_secs, most_secs) * rate_hz))


def _at_rate(clip_id: str, rate_hz: int) -> np.ndarray:
    return np.asarray(soxr.resample(caller_samples(clip_id).astype(np.float64), CLIP_RATE_HZ, rate_hz))
