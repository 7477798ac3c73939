"""Speech out: shipped sentences as they were recorded, everything else from single words, in a believable length."""

from __future__ import annotations

import re

import numpy as np
import pytest

from simulators.clips import CLIP_RATE_HZ, agent_clips, caller_clips, caller_samples, read_samples, word_index
from simulators.script import Script, Step, load_scripts
from simulators.speech import is_recorded, number_words, speak


def length_secs(text: str) -> float:
    return len(speak(text)) / 2 / CLIP_RATE_HZ


def texts_of(script: Script) -> list[str]:
    """Every sentence of a script that has no placeholders."""

    def of(step: Step) -> list[str]:
        own = [step.say] if step.say else []
        return own + [text for inner in (*step.then, *step.otherwise) for text in of(inner)]

    texts = [script.otherwise, script.failed, *(text for rule in script.rules for text in of(rule))]
    return [text for text in texts if "{" not in text]


def test_every_listed_clip_is_there_and_says_something() -> None:
    for clip in [*caller_clips().values(), *agent_clips().values()]:
        samples = read_samples(clip.path)
        words = len(clip.text.split())
        assert 0.15 * words < len(samples) / CLIP_RATE_HZ < 0.75 * words + 0.6, clip.clip_id
        assert 10_000 < int(np.abs(samples).max()) < 32_000, clip.clip_id
    assert len(caller_samples("long-story")) > 6 * CLIP_RATE_HZ


def test_every_word_of_the_bank_sounds() -> None:
    total = len(read_samples(next(iter(agent_clips().values())).path.parent.parent / "words.ogg"))
    for word, (start, count) in word_index().items():
        assert start + count <= total, word
        assert 0.1 < count / CLIP_RATE_HZ < 1.6, word
    assert len(word_index()) > 400


def test_a_shipped_sentence_is_its_recording_whatever_its_punctuation() -> None:
    recorded = read_samples(agent_clips()["greeting"].path).tobytes()
    assert speak("Good morning, Blue Door Dental. How can I help?") == recorded
    assert speak("good morning blue door dental - how can I help") == recorded


def test_the_shipped_scripts_speak_in_whole_sentences() -> None:
    missing = [text for script in load_scripts() for text in texts_of(script) if not is_recorded(text)]
    assert missing == []


@pytest.mark.parametrize(
    "text",
    [
        "Your appointment is booked for Friday at two thirty.",
        "The office is open from 8 to 17, and on Saturday from 10 to 12.",
        "Please tell me your phone number, then I will call you.",
    ],
)
def test_any_sentence_takes_a_believable_time(text: str) -> None:
    words = len(re.findall(r"\w+", text))
    assert 0.3 * words < length_secs(text) < 0.9 * words
    samples = np.frombuffer(speak(text), dtype=np.int16)
    loud = np.abs(samples.astype(np.int32)) > 300
    assert 0.3 < loud.mean() < 0.95


def test_unknown_words_are_spelled_and_numbers_read() -> None:
    assert length_secs("Zbigniew") > length_secs("nine") * 4
    assert number_words(0) == ["zero"]
    assert number_words(345) == ["three", "hundred", "forty", "five"]
    assert number_words(5550) == ["five", "five", "five", "zero"]
    assert length_secs("007") > length_secs("7") * 2


def test_a_text_without_words_is_a_short_silence() -> None:
    assert speak("...") == bytes(2 * CLIP_RATE_HZ // 5)


def test_other_alphabets_sound_too() -> None:
    one_letter = len(speak("x"))
    for text in ("Äü", "Привет", "こんにちは"):
        assert len(speak(text)) > one_letter
    assert len(speak("... ?!")) == 24_000 * 2 // 5  # nothing to say: 200 ms
