"""Recognition: each shipped clip is known by its sound through a telephone line; nothing else is."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import soxr

from simulators.clips import CLIP_RATE_HZ, Samples, agent_clips, caller_clips, caller_samples, read_samples
from simulators.ear import Ear, SpeechEnded, SpeechStarted
from simulators.recognition import Match, recognise

KNOWN = sorted(clip_id for clip_id, clip in caller_clips().items() if clip.is_recognised)


def through_mulaw(samples: Samples) -> Samples:
    """What G.711 leaves of 16-bit samples: companded to 8 bits and back (continuous law, mu = 255)."""
    x = samples / 32768
    code = np.round(np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256) * 127) / 127
    return (np.sign(code) * (256 ** np.abs(code) - 1) / 255 * 32767).astype(np.int16)


@functools.cache
def on_the_phone(clip_id: str) -> Samples:
    """A caller clip at 8 kHz with a second of silence behind it."""
    narrow = np.asarray(soxr.resample(caller_samples(clip_id), CLIP_RATE_HZ, 8000), dtype=np.int16)
    return np.concatenate([np.zeros(2400, dtype=np.int16), narrow, np.zeros(8000, dtype=np.int16)])


def with_noise(samples: Samples, level: float, seed: int = 1) -> Samples:
    noise = np.random.default_rng(seed).normal(0, level, len(samples))
    return np.clip(samples + noise, -32768, 32767).astype(np.int16)


def heard(samples: Samples, rate_hz: int = 8000) -> list[Match]:
    events = Ear(rate_hz).hear(samples)
    return [recognise(event.samples, rate_hz) for event in events if isinstance(event, SpeechEnded)]


@pytest.mark.parametrize("clip_id", KNOWN)
def test_each_clip_is_one_utterance_and_known_through_mulaw_and_noise(clip_id: str) -> None:
    (match,) = heard(through_mulaw(with_noise(on_the_phone(clip_id), 300)))
    assert match.clip_id == clip_id, match


@pytest.mark.parametrize("clip_id", KNOWN)
def test_a_quiet_clip_that_lost_frames_is_known(clip_id: str) -> None:
    line = through_mulaw((on_the_phone(clip_id) * 0.15).astype(np.int16))
    frames = [line[start : start + 160] for start in range(0, len(line), 160)]
    for lost in (22, 31, 40):
        del frames[lost]
    (match,) = heard(np.concatenate(frames))
    assert match.clip_id == clip_id, match


@pytest.mark.parametrize("rate_hz", [16_000, 24_000, 48_000])
def test_other_rates_are_known_too(rate_hz: int) -> None:
    samples = np.asarray(soxr.resample(caller_samples("name-alex"), CLIP_RATE_HZ, rate_hz), dtype=np.int16)
    assert recognise(samples, rate_hz).clip_id == "name-alex"


def test_nothing_else_is_taken_for_a_clip() -> None:
    strangers = [caller_samples("unknown-remark"), *(read_samples(clip.path) for clip in agent_clips().values())]
    narrow = [np.asarray(soxr.resample(samples, CLIP_RATE_HZ, 8000), dtype=np.int16) for samples in strangers]
    assert [match for samples in narrow if (match := recognise(samples, 8000)).clip_id is not None] == []


def test_half_a_clip_two_clips_in_one_breath_noise_and_a_click_are_unknown() -> None:
    asked = on_the_phone("ask-opening-hours")
    both = np.concatenate([on_the_phone("yes-please")[:9000], on_the_phone("hello")])
    hiss = np.random.default_rng(2).normal(0, 3000, 16_000).astype(np.int16)
    for sound in (asked[: len(asked) // 2], both, hiss, hiss[:100]):
        assert recognise(sound, 8000).clip_id is None


def test_the_ear_counts_samples_in_pieces_of_any_size() -> None:
    line = on_the_phone("book-tuesday")
    whole = Ear(8000).hear(line)
    ear = Ear(8000)
    pieces = [event for start in range(0, len(line), 333) for event in ear.hear(line[start : start + 333])]
    assert [type(event) for event in whole] == [SpeechStarted, SpeechEnded] == [type(event) for event in pieces]
    assert whole[1].start_ms == pieces[1].start_ms
    ended = pieces[1]
    assert isinstance(ended, SpeechEnded)
    length_ms = len(caller_samples("book-tuesday")) * 1000 // CLIP_RATE_HZ
    assert abs(ended.start_ms - 300) <= 100
    assert abs(ended.end_ms - 300 - length_ms) <= 150


def test_steady_noise_and_short_clicks_are_not_speech() -> None:
    ear = Ear(8000)
    hum = np.random.default_rng(3).normal(0, 600, 40_000).astype(np.int16)
    assert ear.hear(hum) == []
    click = np.zeros(8000, dtype=np.int16)
    click[4000:4480] = 9000  # 60 ms
    assert Ear(8000).hear(click) == []


def test_the_end_waits_as_long_as_it_is_told() -> None:
    line = on_the_phone("stop")
    assert len(Ear(8000, end_silence_ms=900).hear(line)) == 2
    patient = Ear(8000, end_silence_ms=2000)
    assert [type(event) for event in patient.hear(line)] == [SpeechStarted]
    assert patient.stop() is not None
    assert patient.stop() is None
