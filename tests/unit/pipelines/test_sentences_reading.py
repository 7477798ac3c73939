"""Whether a reading is the sentence: its transcript word by word, its sound by length and loudness."""

import numpy as np
import pytest

from pipelines.sentence_pauses import Pauses
from pipelines.sentence_reading import RATE_HZ, WrongReading, check_words, trim_reading

ONE_MOMENT = "One moment, please."
LONG = "I am sorry, something went wrong on our side. Please call again later. Goodbye."


def silence(ms: int) -> bytes:
    return bytes(RATE_HZ * ms // 1000 * 2)


def voice(ms: int, level: int = 8000) -> bytes:
    wave = level * np.sin(np.arange(RATE_HZ * ms // 1000) * 2 * np.pi * 220 / RATE_HZ)
    return wave.astype("<i2").tobytes()


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (" One moment please", ONE_MOMENT),
        ("ONE  MOMENT -- PLEASE!", ONE_MOMENT),
        ("Thank you for calling. Good bye!", "Thank you for calling. Goodbye!"),
        ("We have 1 minute left.", "We have one minute left."),
        ("It’s Meyer and Sons here.", "It's Maier and Sons here."),
        ("Call five five five zero one hundred for help at any time", "Call 555-0100 for help at any time"),
        ("Un instant, s’il vous plaît", "Un instant, s'il vous plaît."),
        ("少々お待ちください", "少々、お待ちください。"),
        ("少少お待ちください", "少々、お待ちください。"),
    ],
)
def test_the_same_words_are_the_sentence_however_they_are_written(said: str, text: str) -> None:
    check_words(said, text)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("", ONE_MOMENT),
        ("Sure. One moment, please.", ONE_MOMENT),
        ("One moment.", ONE_MOMENT),
        ("Two moments, please.", ONE_MOMENT),
        ("How can I help you today?", ONE_MOMENT),
        (f"Okay. {LONG}", LONG),
        (f"{LONG} Is there anything else?", LONG),
        ("I am sorry, something went wrong on our side. Please call again later.", LONG),
        ("I am happy, nothing went right on your side. Please never call again. Goodbye.", LONG),
        ("少々お待ち", "少々、お待ちください。"),
    ],
)
def test_other_words_are_refused_and_not_repeated_in_the_message(said: str, text: str) -> None:
    with pytest.raises(WrongReading) as caught:
        check_words(said, text)
    assert not set(said.lower().split()) & {"moment", "sorry", "help"} & set(str(caught.value).lower().split())


def test_silence_is_cut_at_both_ends_and_the_voice_is_not() -> None:
    kept = trim_reading(silence(900) + voice(1200) + silence(2000), ONE_MOMENT)
    assert len(kept) == len(silence(50) + voice(1200) + silence(200))
    assert kept[len(silence(50)) : -len(silence(200))] == voice(1200)


def test_a_pause_inside_stays() -> None:
    sound = voice(600) + silence(700) + voice(600)
    assert trim_reading(sound, ONE_MOMENT) == sound


def test_half_a_sample_at_the_end_is_dropped() -> None:
    assert trim_reading(voice(1200) + b"\x01", ONE_MOMENT) == voice(1200)


@pytest.mark.parametrize(
    ("sound", "expected"),
    [
        (b"", "silent"),
        (b"\x00", "silent"),
        (silence(3000), "silent"),
        (voice(2000, level=100), "silent"),
        (voice(2000, level=500), "silent"),
        (silence(2000) + voice(200) + silence(2000), "too short"),
    ],
)
def test_silence_and_fragments_are_refused(sound: bytes, expected: str) -> None:
    with pytest.raises(WrongReading, match=expected):
        trim_reading(sound, ONE_MOMENT)


def test_pauses_grow_to_an_hour_and_end_with_a_success() -> None:
    now_secs = 100.0
    pauses = Pauses(lambda: now_secs)
    lengths: list[float] = []
    for _ in range(8):
        assert pauses.is_over("model")
        pauses.failed("model")
        pauses.failed("model")  # a second maker found the same failure: it does not count twice
        began_secs = now_secs
        while not pauses.is_over("model"):
            now_secs += 1
        lengths.append(now_secs - began_secs)
    assert lengths == [5, 20, 80, 320, 1280, 3600, 3600, 3600]
    assert pauses.is_over("another")
    pauses.failed("model")
    pauses.succeeded("model")
    assert pauses.is_over("model")
    pauses.failed("model")
    pauses.forget_all_but({"another"})
    assert pauses.is_over("model")
