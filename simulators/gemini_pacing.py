"""A spoken reply cut into messages: transcript among audio, and how far ahead of playback it goes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from simulators import gemini_wire as wire
from simulators.speech import SPEECH_RATE_HZ

CHUNK_MS = 40
# The real service generates ahead of playback: a burst first, then a few times faster than it is spoken.
_BURST_MS = 500
_AHEAD = 4.0
_CHUNK_BYTES = SPEECH_RATE_HZ * 2 * CHUNK_MS // 1000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One server message. `audio_ms`: how much sound it carries."""

    message: wire.Json
    audio_ms: float = 0.0


def duration_ms(pcm: bytes) -> float:
    """Length of 24 kHz mono PCM16."""
    return len(pcm) / 2 * 1000 / SPEECH_RATE_HZ


def due_ms(position_ms: float) -> float:
    """When the sound at a position of the reply is sent."""
    return max(0.0, position_ms - _BURST_MS) / _AHEAD


def word_fragments(text: str) -> list[str]:
    """The words with a space before each, as the service cuts its transcripts: joined, they are the text again."""
    return [f" {word}" for word in text.split()]


def word_places(text: str) -> list[tuple[float, str]]:
    """Each fragment with its place in the sentence, 0 to 1, judged by letters: (place, fragment)."""
    fragments = word_fragments(text)
    total = sum(len(fragment) for fragment in fragments)
    places: list[tuple[float, str]] = []
    position = 0
    for fragment in fragments:
        places.append((position / total, fragment))
        position += len(fragment)
    return places


def reply_messages(text: str, pcm: bytes, *, with_transcript: bool) -> Iterator[Outgoing]:
    """The messages of one spoken text, in order: each word's transcript just before the chunk in which it sounds."""
    length_ms = duration_ms(pcm)
    words = [(place * length_ms, word) for place, word in word_places(text)] if with_transcript else []
    for start in range(0, len(pcm), _CHUNK_BYTES):
        chunk = pcm[start : start + _CHUNK_BYTES]
        position_ms = start / 2 * 1000 / SPEECH_RATE_HZ
        while words and words[0][0] < position_ms + CHUNK_MS:
            yield Outgoing(wire.server_content(outputTranscription={"text": words.pop(0)[1]}))
        yield Outgoing(wire.audio_part(chunk), duration_ms(chunk))


def heard_fragments(text: str) -> list[str]:
    """An input transcript in pieces of up to three words, each with its leading space; a [remark] stays whole."""
    if re.fullmatch(r"\[.*\]", text):
        return [f" {text}"]
    words = word_fragments(text)
    return ["".join(words[first : first + 3]) for first in range(0, len(words), 3)]
