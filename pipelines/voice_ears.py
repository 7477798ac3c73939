"""An ear for each call: audio in, and word of it when its caller begins and stops speaking."""

from collections import deque
from collections.abc import Callable, Sequence

from loguru import logger

from pipelines.voice_state import Change, SpeechJudge, SpeechState, VoiceSettings
from pipelines.voice_windows import WINDOW_MS, RunModel, VoiceWindows

MOST_AT_ONCE = 32
"""Windows in one run of the model, a millisecond or two. More would cost as much for each, and hold up the loop."""

TellMs = Callable[[float], None]
"""Told the call time, in ms, of the end of the window that decided."""


class Ear:
    """One caller's ear; made by `VoiceModel.listen`, used on the event loop only."""

    def __init__(
        self, row: "EarRow", settings: VoiceSettings, on_started: TellMs, on_stopped: TellMs, wake: Callable[[], None]
    ) -> None:
        """Take a place in a row; `wake` is called whenever a window waits in it."""
        self.place = row.windows.take_place(settings)
        self.judge = SpeechJudge(settings, WINDOW_MS / 1000)
        self.waiting: deque[tuple[bytes, float]] = deque()
        """Windows that are not judged yet, each with the call time of its end."""
        self.is_closed = False
        self._row = row
        self._wake = wake
        self._on = {Change.STARTED: on_started, Change.STOPPED: on_stopped}
        self._pcm = bytearray()

    def hear(self, pcm: bytes, until_ms: float) -> None:
        """Take audio in, to be judged within some 30 ms together with that of other calls.

        Args:
            pcm: PCM16 mono at the ear's rate, of any length; an odd byte waits for its other half.
            until_ms: call time at which its last sample was spoken.
        """
        if self.is_closed:
            return
        heard, size = self._pcm, self._row.window_bytes
        heard += pcm
        if len(heard) < size:
            return
        was_waiting = bool(self.waiting)
        whole = len(heard) - len(heard) % size
        for end in range(size, whole + 1, size):
            end_ms = until_ms - (len(heard) - end) * WINDOW_MS / size
            self.waiting.append((bytes(heard[end - size : end]), end_ms))
        del heard[:whole]
        if not was_waiting:
            self._row.waiting.append(self)
        self._wake()

    def flush(self) -> None:
        """Judge now what waits. Audio shorter than a window is kept for the next `hear`."""
        while self.waiting:
            self._row.judge_window_of([self])
        self._row.forget(self)

    def close(self) -> None:
        """Forget what waits and give the place back; nothing is told afterwards. May be called twice."""
        if not self.is_closed:
            self.is_closed = True
            self.waiting.clear()
            self._row.forget(self)
            self._row.windows.free_place(self.place)

    def tell(self, change: Change, end_ms: float) -> None:
        """Tell this call's listener; what he raises is logged and nobody else's trouble."""
        if self.is_closed:
            return
        try:
            self._on[change](end_ms)
        except Exception:
            logger.exception("a call failed over what its ear heard")


class EarRow:
    """All ears of one sampling rate, and those of them that have something to be judged."""

    def __init__(self, rate_hz: int, run_model: RunModel) -> None:
        """An empty row for 8000 or 16000 Hz."""
        self.windows = VoiceWindows(rate_hz, run_model)
        self.window_bytes = 2 * self.windows.samples
        self.waiting: list[Ear] = []
        """Each ear with a window that waits, once."""

    def judge_round(self) -> None:
        """Judge a window of each ear that has one waiting, or of those of them that have waited longest."""
        ears, others = self.waiting[:MOST_AT_ONCE], self.waiting[MOST_AT_ONCE:]
        self.waiting = others + [ear for ear in ears if len(ear.waiting) > 1]
        self.judge_window_of(ears)

    def judge_window_of(self, ears: Sequence[Ear]) -> None:
        """Take a window of each of these ears, who all have one, and tell what it changed."""
        taken = [ear.waiting.popleft() for ear in ears]
        voices = self.windows.have_voice([ear.place for ear in ears], [pcm for pcm, _ in taken])
        changes: list[tuple[Ear, Change, float]] = []
        for ear, has_voice, (_, end_ms) in zip(ears, voices, taken, strict=True):
            before = ear.judge.state
            if not has_voice and before is SpeechState.QUIET:
                continue
            change = ear.judge.judge(has_voice)
            self.windows.set_quiet(ear.place, ear.judge.state is SpeechState.QUIET)
            if change is not None:
                changes.append((ear, change, end_ms))
        # Listeners may close ears, open others and let them hear: all else is done by now.
        for ear, change, end_ms in changes:
            ear.tell(change, end_ms)

    def forget(self, ear: Ear) -> None:
        """The ear has nothing waiting any more."""
        if ear in self.waiting:
            self.waiting.remove(ear)
