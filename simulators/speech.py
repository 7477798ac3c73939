"""Speech out: a text as audio, made from shipped recordings, so no speech engine is needed."""

from __future__ import annotations

import functools
import re
import unicodedata

import numpy as np

from simulators.clips import CLIP_RATE_HZ, Samples, agent_clips, plain, read_samples, word_samples

SPEECH_RATE_HZ = CLIP_RATE_HZ

_WORD_PAUSE_MS = 40
_COMMA_PAUSE_MS = 180
_STOP_PAUSE_MS = 320
_PAUSES_MS = {",": _COMMA_PAUSE_MS, ";": _COMMA_PAUSE_MS, ":": _COMMA_PAUSE_MS, "-": _COMMA_PAUSE_MS}
_TOKEN = re.compile(r"(?:[^\W\d_]|')+|\d+|[^\s\w']")
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SYMBOLS = {"%": "percent", "*": "star", "#": "hash", "&": "and", "+": "and", "$": "dollars"}


def number_words(number: int) -> list[str]:
    """A number from 0 to 999 in words; a longer one digit by digit, as telephone numbers are read out."""
    if number < 20:
        return [_ONES[number]]
    if number < 100:
        ones = [_ONES[number % 10]] if number % 10 else []
        return [_TENS[number // 10 - 2], *ones]
    if number < 1000:
        rest = number_words(number % 100) if number % 100 else []
        return [_ONES[number // 100], "hundred", *rest]
    return [_ONES[int(digit)] for digit in str(number)]


def _spoken_words(token: str) -> list[str]:
    """What the bank has to say for one token; a word it does not hold is spelled."""
    if token.isdigit():
        digits_only = len(token) > 3 or (token.startswith("0") and len(token) > 1)
        return [_ONES[int(digit)] for digit in token] if digits_only else number_words(int(token))
    word = token.lower().replace("’", "'").strip("'")
    if word_samples(word) is not None:
        return [word]
    if word.endswith("'s") and word_samples(word[:-2]) is not None:
        return [word[:-2]]
    if word.endswith("s") and word_samples(word[:-1]) is not None:
        return [word[:-1]]
    return [f"letter-{_latin(letter)}" for letter in unicodedata.normalize("NFKD", word) if letter.isalpha()]


def _latin(letter: str) -> str:
    """The letter itself, or one of ours for one of another alphabet: it sounds wrong, but it does sound."""
    return letter if "a" <= letter <= "z" else chr(ord("a") + ord(letter) % 26)


def _silence(ms: int) -> Samples:
    return np.zeros(SPEECH_RATE_HZ * ms // 1000, dtype=np.int16)


@functools.cache
def _sentences() -> dict[str, str]:
    return {plain(clip.text): clip_id for clip_id, clip in agent_clips().items()}


def is_recorded(text: str) -> bool:
    """True when the whole text is one shipped recording, so it sounds natural."""
    return plain(text) in _sentences()


@functools.lru_cache(maxsize=256)
def speak(text: str) -> bytes:
    """The text as 24 kHz mono PCM16 little-endian.

    A text that is a shipped recording (by its words; case and punctuation do not matter) is that recording. A text of
    several sentences uses recordings for those it has. Everything else is put together from single words, with pauses
    at punctuation; words that the bank lacks are spelled. A text without any letter or digit is 200 ms of silence.
    Decodes files on first use: call it in a thread.
    """
    whole = _sentences().get(plain(text))
    if whole is not None:
        return read_samples(agent_clips()[whole].path).tobytes()
    parts: list[Samples] = []
    for sentence in _split_sentences(text):
        if parts:
            parts.append(_silence(_STOP_PAUSE_MS))
        recorded = _sentences().get(plain(sentence))
        if recorded is not None:
            parts.append(read_samples(agent_clips()[recorded].path))
        else:
            parts.extend(_joined_words(sentence))
    return (np.concatenate(parts) if parts else _silence(200)).tobytes()


def _split_sentences(text: str) -> list[str]:
    sentences = re.split(r"(?<=[.!?])\s+", text.strip())
    return [sentence for sentence in sentences if any(character.isalnum() for character in sentence)]


def _joined_words(sentence: str) -> list[Samples]:
    parts: list[Samples] = []
    for found in _TOKEN.finditer(sentence):
        token = _SYMBOLS.get(found[0], found[0])
        if any(character.isalnum() for character in token):
            for word in _spoken_words(token):
                samples = word_samples(word)
                if samples is not None:
                    parts += [samples, _silence(_WORD_PAUSE_MS)]
        elif parts:
            parts.append(_silence(_PAUSES_MS.get(token, 0)))
    return parts
