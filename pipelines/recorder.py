"""The recording of a call: the caller on the left, what the caller really heard on the right."""

from transcripts.call import Speaker
from transcripts.recordings import RecordingWriter


class Recorder:
    """Hears the line and hands its audio to the writer. Implements `LineListener`."""

    def __init__(self, writer: RecordingWriter) -> None:
        """Take the writer of this call's recording."""
        self._writer = writer

    def caller_audio(self, at_ms: float, pcm: bytes) -> None:
        """Left channel."""
        self._writer.add(Speaker.CALLER, at_ms, pcm)

    def agent_audio(self, at_ms: float, pcm: bytes) -> None:
        """Right channel."""
        self._writer.add(Speaker.AGENT, at_ms, pcm)

    def agent_text(self, text: str, *, is_announced: bool) -> None:
        """Words are the scribe's."""

    def agent_finished(self) -> None:
        """Ends are the scribe's."""

    def agent_cut(self, at_ms: float) -> None:
        """Take back what was sent but never heard."""
        self._writer.retract(Speaker.AGENT, at_ms)

    def digit(self, at_ms: float, digit: str) -> None:
        """Keys are the scribe's."""
