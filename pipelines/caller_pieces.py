"""A telephone's 20 ms of audio, several joined: each costs the same on its way, however long it is. No I/O."""

from dataclasses import dataclass, field

from pipelines.phone_audio import decode_mulaw, is_louder

_LOUD_RMS = 327
"""-40 dBFS: louder is perhaps a voice; a telephone line's own noise is not."""
_SEAM_MS = 5.0
"""Frames whose time stamps are further apart than their audio is long are not joined: something is missing between."""

Piece = tuple[float, bytes]
"""When its first sample was spoken, in ms since the stream's start; PCM16."""


@dataclass
class CallerPieces:
    """Takes mu-law frames as they come; gives PCM16 at the same rate.

    Attributes:
        rate_hz: samples a second.
        piece_ms: how long a piece is, in ms.
        quiet_piece_ms: the same in silence whose end nobody waits for; what is louder ends the piece at once.
        quiet_after_ms: so long after the last sound there is such silence. Who detects the end of speech waits for
            silence until then.
    """

    rate_hz: int
    piece_ms: float = 40.0
    quiet_piece_ms: float = 100.0
    quiet_after_ms: float = 1500.0
    _held: bytearray = field(default_factory=bytearray)
    _held_at_ms: float = 0.0
    _loud_at_ms: float = 0.0

    def add(self, timestamp_ms: float, mulaw: bytes) -> list[Piece]:
        """Take a frame; returns the pieces that are whole with it, most often none."""
        if not mulaw:
            return []
        whole: list[Piece] = []
        if self._held and abs(timestamp_ms - self._held_at_ms - self._held_ms) > _SEAM_MS:
            whole += self.take()
        if not self._held:
            self._held_at_ms = timestamp_ms
        pcm = decode_mulaw(mulaw)
        self._held += pcm
        is_loud = is_louder(pcm, _LOUD_RMS)
        if is_loud:
            self._loud_at_ms = timestamp_ms
        is_quiet = timestamp_ms - self._loud_at_ms >= self.quiet_after_ms
        held_ms = self._held_ms
        if held_ms >= (self.quiet_piece_ms if is_quiet else self.piece_ms):
            whole += self.take()
        return whole

    def take(self) -> list[Piece]:
        """What is held, if anything, whole or not."""
        if not self._held:
            return []
        piece = self._held_at_ms, bytes(self._held)
        self._held.clear()
        return [piece]

    @property
    def _held_ms(self) -> float:
        return len(self._held) / 2 / self.rate_hz * 1000
