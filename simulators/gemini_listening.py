"""The caller's side of a conversation: audio in, utterances out, by the ear or by the client's own activity marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from simulators import gemini_wire as wire
from simulators.ear import DEFAULT_END_SILENCE_MS, Ear, SpeechEnded, SpeechStarted


class Listening:
    """Follows one stream of caller audio. `config`: realtimeInputConfig of the setup (camelCase).

    With automaticActivityDetection disabled, only audio between activityStart and activityEnd counts.
    """

    def __init__(self, config: dict[str, Any] | None = None, *, end_silence_ms: int = DEFAULT_END_SILENCE_MS) -> None:
        config = config or {}
        detection = cast(dict[str, Any], config.get("automaticActivityDetection") or {})
        self.may_interrupt = config.get("activityHandling") != "NO_INTERRUPTION"
        self.heard_secs = 0.0
        self._is_manual = bool(detection.get("disabled"))
        self._end_silence_ms = int(detection.get("silenceDurationMs") or end_silence_ms)
        self._ear: Ear | None = None
        self._marked: list[wire.Audio] | None = None

    def hear(self, audio: wire.Audio) -> list[SpeechStarted | SpeechEnded]:
        """The next piece of the stream; what began or ended in it. The rate may change at any time."""
        self.heard_secs += len(audio.samples) / audio.rate_hz
        if self._is_manual:
            if self._marked is not None:
                self._marked.append(audio)
            return []
        if self._ear is None or self._ear.rate_hz != audio.rate_hz:
            position_ms = self._ear.position_ms if self._ear else 0
            self._ear = Ear(audio.rate_hz, end_silence_ms=self._end_silence_ms, position_ms=position_ms)
        return self._ear.hear(audio.samples)

    def start_activity(self) -> SpeechStarted:
        """activityStart: what comes now is one utterance."""
        self._marked = []
        return SpeechStarted(round(self.heard_secs * 1000))

    def end_activity(self) -> SpeechEnded | None:
        """activityEnd: the marked utterance; None when nothing sounded in it."""
        pieces, self._marked = self._marked or [], None
        audio = _joined(pieces)
        if audio is None:
            return None
        end_ms = round(self.heard_secs * 1000)
        length_ms = len(audio.samples) * 1000 // audio.rate_hz
        return SpeechEnded(end_ms - length_ms, end_ms, audio.samples, audio.rate_hz)

    def end_stream(self) -> SpeechEnded | None:
        """audioStreamEnd: what was being said counts as said."""
        return self._ear.stop() if self._ear else None


def _joined(pieces: Sequence[wire.Audio]) -> wire.Audio | None:
    """Pieces as one; None when they are silent. Pieces of another rate than the first are dropped."""
    if not pieces:
        return None
    rate_hz = pieces[0].rate_hz
    samples = np.concatenate([piece.samples for piece in pieces if piece.rate_hz == rate_hz])
    return wire.Audio(samples, rate_hz) if samples.any() else None
