"""What the stand-in model says: each answer as messages that are ready to be sent, and when each is due."""

from dataclasses import dataclass

from bench.loudness import trim
from simulators import gemini_wire as wire
from simulators.clips import Samples, agent_clips, read_samples
from simulators.gemini_pacing import CHUNK_MS, due_ms, duration_ms, reply_messages
from simulators.speech import SPEECH_RATE_HZ

GREETING = "greeting"
ANSWERS = ("booked-tuesday", "booked-wednesday", "open-monday-short", "taken-tuesday", "sorry-to-hear")
"""Clips of 2.5 to 4 s: long enough to break into, and no caller waits long for his turn."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer.

    Attributes:
        with_words: (due in ms after its beginning, message as it goes over the wire), the transcript among the sound.
        sound_only: the same without the transcript, for a client that did not ask for it.
        length_ms: how long it sounds.
        letters: length of its text.
    """

    with_words: tuple[tuple[float, bytes], ...]
    sound_only: tuple[tuple[float, bytes], ...]
    length_ms: float
    letters: int


def load_reply(clip_id: str) -> Reply:
    """Prepare an answer from a shipped recording; its first sample is in a loud 20 ms frame. Blocks.

    Raises:
        KeyError: no such clip.
    """
    clip = agent_clips()[clip_id]
    samples: Samples = trim(read_samples(clip.path), SPEECH_RATE_HZ // 50, lead_frames=0)
    pcm = samples.tobytes()
    messages: list[tuple[float, bytes, bool]] = []
    position_ms = 0.0
    for outgoing in reply_messages(clip.text, pcm, with_transcript=True):
        messages.append((due_ms(position_ms), wire.encode(outgoing.message), outgoing.audio_ms > 0))
        position_ms += outgoing.audio_ms
    return Reply(
        with_words=tuple((due, message) for due, message, _ in messages),
        sound_only=tuple((due, message) for due, message, is_sound in messages if is_sound),
        length_ms=duration_ms(pcm),
        letters=len(clip.text),
    )


__all__ = ["ANSWERS", "CHUNK_MS", "GREETING", "Reply", "load_reply"]
