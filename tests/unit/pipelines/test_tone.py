"""The tone of an answering machine is heard, and nothing else is taken for one."""

import numpy as np
import pytest

from pipelines.tone import ToneEar
from simulators.clips import CLIP_RATE_HZ, caller_clips, caller_samples
from simulators.telephone_audio import decode_ulaw, encode_ulaw, resample_to_telephone

RATE_HZ = 8000


def tone(hz: float, ms: int, level: float = 9000) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(ms * 8) / RATE_HZ)).astype(np.int16)


def hear(sound: np.ndarray, piece_ms: int = 60) -> float | None:
    """As it comes by telephone, in pieces."""
    ear, size = ToneEar(RATE_HZ), piece_ms * 8
    sound = decode_ulaw(encode_ulaw(sound.astype(np.int16)))
    for start in range(0, sound.size, size):
        ear.caller_audio(start / 8, sound[start : start + size].tobytes())
    return ear.over_ms


def silence(ms: int) -> np.ndarray:
    return np.zeros(ms * 8, np.int16)


@pytest.mark.parametrize("hz", [440, 800, 1000, 1400, 2000])
@pytest.mark.parametrize("piece_ms", [20, 60, 130])
def test_a_tone_is_heard_and_when_it_was_over(hz: float, piece_ms: int) -> None:
    over_ms = hear(np.concatenate((silence(500), tone(hz, 300), silence(300))), piece_ms)
    assert over_ms is not None
    assert abs(over_ms - 800) < 50


def test_a_quiet_line_and_its_noise_have_none() -> None:
    noise = np.random.default_rng(1).normal(0, 1500, RATE_HZ * 3)
    assert hear(silence(2000)) is None
    assert hear(noise) is None
    assert hear(np.concatenate((silence(300), tone(1000, 60), silence(300)))) is None, "a click"
    assert hear(np.concatenate((silence(300), tone(1000, 400, level=100), silence(300)))) is None, "far too quiet"


def test_no_speech_has_one() -> None:
    taken = [clip for clip in caller_clips() if hear(resample_to_telephone(caller_samples(clip), CLIP_RATE_HZ))]
    assert taken == []


def test_a_tone_behind_speech_is_heard() -> None:
    speech = resample_to_telephone(caller_samples("long-story"), CLIP_RATE_HZ)
    over_ms = hear(np.concatenate((speech, silence(400), tone(1000, 400), silence(400))))
    assert over_ms is not None
    assert abs(over_ms - (speech.size / 8 + 800)) < 50
