"""What is much softer than the caller is silence; what may be he is not."""

import numpy as np
import pytest

from pipelines.background_voices import CallerLoudness
from simulators.clips import CLIP_RATE_HZ, agent_clips, caller_samples, read_samples
from simulators.telephone_audio import Pcm, resample_to_telephone


def at_level(samples: Pcm, level_db: float) -> Pcm:
    scaled = samples / np.sqrt((samples.astype(float) ** 2).mean()) * 32768 * 10 ** (level_db / 20)
    return np.clip(scaled, -32768, 32767).astype(np.int16)


def caller(clip_id: str, level_db: float = -20) -> Pcm:
    return at_level(resample_to_telephone(caller_samples(clip_id), CLIP_RATE_HZ), level_db)


def other(level_db: float) -> Pcm:
    voice = read_samples(agent_clips()["open-monday"].path)
    return at_level(resample_to_telephone(voice, CLIP_RATE_HZ), level_db)


def heard(loudness: CallerLoudness, pcm: Pcm, piece_ms: int = 40) -> float:
    """How much of it passes, from 0 to 1."""
    data, size = pcm.tobytes(), piece_ms * 16
    passed = [loudness.pass_on(data[at : at + size]) for at in range(0, len(data), size)]
    assert sum(map(len, passed)) == len(data), "silence keeps the stream going"
    return sum(len(piece) for piece in passed if any(piece)) / len(data)


@pytest.mark.parametrize("piece_ms", [20, 40, 90, 100])
def test_a_voice_behind_him_is_silence_once_he_has_spoken(piece_ms: int) -> None:
    loudness = CallerLoudness(8000)
    assert heard(loudness, caller("wait-book"), piece_ms) > 0.9
    heard(loudness, np.zeros(8000, np.int16))
    assert heard(loudness, other(-42), piece_ms) == 0
    assert heard(loudness, caller("yes-please"), piece_ms) > 0.9


def test_before_he_has_spoken_everything_passes() -> None:
    assert heard(CallerLoudness(8000), other(-42)) > 0.9


def test_who_speaks_softer_after_a_loud_word_is_heard() -> None:
    loudness = CallerLoudness(8000)
    heard(loudness, caller("stop", -10))
    assert heard(loudness, caller("book-tuesday", -24)) > 0.8


def test_a_knock_says_nothing_about_his_voice() -> None:
    loudness = CallerLoudness(8000)
    heard(loudness, caller("wait-book", -28))
    knock = np.zeros(8000, np.int16)
    knock[4000:4240] = 20_000
    heard(loudness, knock)
    assert heard(loudness, caller("yes-please", -28)) > 0.8


def test_one_who_has_moved_away_from_his_telephone_is_heard_again_after_a_while() -> None:
    loudness = CallerLoudness(8000)
    heard(loudness, caller("wait-book", -14))
    away = np.concatenate([caller("long-story", -38)] * 4)
    assert heard(loudness, away[: 8000 * 4]) < 0.3
    assert heard(loudness, away) > 0.3
