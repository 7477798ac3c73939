"""The recording of a call: the caller on the left, what the caller really heard on the right."""

from collections.abc import Iterator
from math import inf

from pipelines.playout import Playout
from transcripts.call import Speaker
from transcripts.recordings import RecordingWriter


class Recorder:
    """Hears the line and hands its audio to the writer. Implements `LineListener`."""

    def __init__(self, writer: RecordingWriter, playout: Playout, *, from_ms: float = 0.0) -> None:
        """Take the writer of this call's recording, and what the far end has played.

        What sounded before `from_ms` is left out, whenever it comes.
        """
        self._writer = writer
        self._playout = playout
        self._gaps: list[tuple[float, float]] = [(-inf, from_ms)] if from_ms else []

    def pause(self, at_ms: float) -> None:
        """Leave out what sounds from `at_ms` on, also what was told before."""
        self._gaps.append((at_ms, inf))
        self._writer.retract(Speaker.AGENT, at_ms)
        self._writer.retract(Speaker.CALLER, at_ms)

    def resume(self, at_ms: float) -> None:
        """Go on with what sounds from `at_ms` on."""
        if self._gaps and self._gaps[-1][1] == inf:
            self._gaps[-1] = self._gaps[-1][0], at_ms

    def caller_audio(self, at_ms: float, pcm: bytes) -> None:
        """Left channel."""
        self._add(Speaker.CALLER, at_ms, pcm)

    def agent_audio(self, at_ms: float, pcm: bytes) -> None:
        """Right channel."""
        self._add(Speaker.AGENT, at_ms, pcm)

    def agent_background(self, at_ms: float, pcm: bytes) -> None:
        """Right channel: it was heard."""
        self._add(Speaker.AGENT, at_ms, pcm)

    def agent_text(self, text: str, *, is_announced: bool) -> None:
        """Words are the scribe's."""

    def agent_finished(self) -> None:
        """Ends are the scribe's."""

    def agent_cut(self, at_ms: float) -> None:
        """Take back what was sent but never heard; of a background more may have been than of speech."""
        self._writer.retract(Speaker.AGENT, max(at_ms, self._playout.emptied_ms))

    def digit(self, at_ms: float, digit: str) -> None:
        """Keys are the scribe's."""

    def _add(self, speaker: Speaker, at_ms: float, pcm: bytes) -> None:
        if not self._gaps:
            self._writer.add(speaker, at_ms, pcm)
            return
        for start_ms, piece in self._outside(at_ms, pcm):
            self._writer.add(speaker, start_ms, piece)

    def _outside(self, at_ms: float, pcm: bytes) -> Iterator[tuple[float, bytes]]:
        """Yield the parts of a piece that are in no gap, each with its time."""
        samples_per_ms = self._writer.sample_rate_hz / 1000
        parts = [(at_ms, at_ms + len(pcm) / 2 / samples_per_ms)]
        for gap_start, gap_end in self._gaps:
            cut: list[tuple[float, float]] = []
            for start, end in parts:
                cut += [(start, min(end, gap_start)), (max(start, gap_end), end)]
            parts = [(start, end) for start, end in cut if end > start]
        for start, end in parts:
            first, last = (round((edge - at_ms) * samples_per_ms) for edge in (start, end))
            yield start, pcm[2 * first : 2 * last]
