"""How fast a model speaks, against real time; and its voice in whole samples."""

from dataclasses import dataclass

from pipelines.model_voice import VOICE_HZ


@dataclass
class ModelPace:
    """One utterance of the model after the other. Times are ms of call time.

    Attributes:
        lag_ms: By how much what came last was later than real time; negative when it was earlier.
        heard_ms: When the model was last heard.
    """

    lag_ms: float = 0.0
    heard_ms: float = 0.0
    _since_ms: float = 0.0
    _spoken_ms: float = 0.0
    _odd_byte: bytes = b""

    def begin(self, now_ms: float) -> None:
        """An utterance begins now."""
        self._since_ms, self._spoken_ms = now_ms, 0.0

    def ahead_at(self, now_ms: float) -> float:
        """How far all that has come is ahead of real time, in ms."""
        return self._since_ms + self._spoken_ms - now_ms

    def forget_half(self) -> None:
        """The other half of a sample that was begun will not come any more."""
        self._odd_byte = b""

    def take(self, pcm: bytes, now_ms: float) -> bytes:
        """Take what came, PCM16 at `VOICE_HZ`; returns what there is of it in whole samples.

        A piece may end in the middle of a sample, whose other half comes with the next one, or never.
        """
        self.lag_ms = now_ms - self._since_ms - self._spoken_ms
        self._spoken_ms += len(pcm) / 2 / VOICE_HZ * 1000
        self.heard_ms = now_ms
        if not self._odd_byte and len(pcm) % 2 == 0:
            return pcm
        data = self._odd_byte + pcm
        size = len(data) // 2 * 2
        self._odd_byte = data[size:]
        return data[:size]
