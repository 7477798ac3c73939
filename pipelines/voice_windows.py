"""Is there voice in this window? Asked for one window of each of many calls at once, as numpy and the model like it.

What is loud enough and what is voice is decided as by Pipecat's analyzer: its volume and smoothing, its model, and the
model's fresh state from time to time.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from loguru import logger

from pipelines.voice_loudness import BLOCK_HALVES, STATES, Floats, KWeighting, volumes
from pipelines.voice_state import VoiceSettings

Places = npt.NDArray[np.intp]

RunModel = Callable[[Floats, Floats, int], tuple[Floats, Floats]]
"""From (windows behind their context, recurrent states (2, calls, 128), rate in Hz) to (confidences, next states)."""

WINDOW_MS = 32
"""What the model hears at a time: 256 samples at 8 kHz, 512 at 16 kHz, and before them an eighth of the last window."""

_CONTEXT = 8
_RECURRENT = (2, 128)
_SMOOTHING = 0.2
_FIRST_PLACES = 16

# The model hears worse after long silence or noise, so it gets a fresh state from time to time, though only in the
# midst of clear silence: after this many windows (2 s), the last of which, in a row, were surely without voice.
_RESET_WINDOWS = 63
_RESET_LOW_WINDOWS = 5
_RESET_CONFIDENCE = 0.1


class VoiceWindows:
    """All calls of one sampling rate; a call is a place, an index into one array of all that is known of each."""

    def __init__(self, rate_hz: int, run_model: RunModel) -> None:
        """No calls yet; 8000 or 16000 Hz."""
        self.samples = rate_hz * WINDOW_MS // 1000
        """Samples of a window."""
        self._rate_hz = rate_hz
        self._run_model = run_model
        self._is_failing = False
        self._weighting = KWeighting(rate_hz, self.samples)
        self._free: list[int] = []
        self._calls = np.zeros(
            0,
            [
                ("is_quiet", np.bool_),
                ("confidence", np.float32),
                ("min_volume", np.float64),
                ("volume", np.float64),
                ("halves", np.int64),
                ("filter", np.float32, STATES),
                ("energies", np.float32, BLOCK_HALVES),
                ("since_reset", np.int64),
                ("low", np.int64),
                ("context", np.float32, self.samples // _CONTEXT),
                ("recurrent", np.float32, _RECURRENT),
            ],
        )

    def take_place(self, settings: VoiceSettings) -> int:
        """A place for a call that begins."""
        if not self._free:
            count = len(self._calls)
            more = max(count, _FIRST_PLACES)
            self._calls = np.concatenate((self._calls, np.zeros(more, self._calls.dtype)))
            self._free += range(count, count + more)
        place = self._free.pop()
        self._calls[place] = np.zeros((), self._calls.dtype)
        self._calls["confidence"][place] = settings.confidence
        self._calls["min_volume"][place] = settings.min_volume
        self.set_quiet(place, True)
        return place

    def free_place(self, place: int) -> None:
        """Let another call have the place."""
        self._free.append(place)

    def set_quiet(self, place: int, is_quiet: bool) -> None:
        """Note whether this call's caller is silent; the model's state is left alone while he is not."""
        self._calls["is_quiet"][place] = is_quiet

    def have_voice(self, places: Sequence[int], windows: Sequence[bytes]) -> list[bool]:
        """Whether each of these calls has voice in its next window (PCM16). No place twice."""
        at = np.array(places)
        samples = np.frombuffer(b"".join(windows), np.int16).astype(np.float32)
        samples /= 32768
        samples = samples.reshape(len(at), -1)
        is_loud = self._measure(at, samples) >= self._calls["min_volume"][at]
        is_voice = self._infer(at, samples) >= self._calls["confidence"][at]
        return (is_loud & is_voice).tolist()

    def _measure(self, at: Places, samples: Floats) -> npt.NDArray[np.float64]:
        """Smoothed volume of each, this window included. A call's first 400 ms have volume 0."""
        calls = self._calls
        half_energies, calls["filter"][at] = self._weighting.weigh(samples, calls["filter"][at])
        energies = np.concatenate((calls["energies"][at][:, 2:], half_energies), axis=1)
        calls["energies"][at] = energies
        halves = calls["halves"][at] + 2
        calls["halves"][at] = halves
        volume = volumes(energies.sum(axis=1), BLOCK_HALVES * self.samples // 2) * (halves >= BLOCK_HALVES)
        smoothed = calls["volume"][at]
        smoothed += _SMOOTHING * (volume - smoothed)
        calls["volume"][at] = smoothed
        return smoothed

    def _infer(self, at: Places, samples: Floats) -> Floats:
        """The model's confidence that there is voice in each; 0 when the model fails, as in Pipecat."""
        calls = self._calls
        windows = np.concatenate((calls["context"][at], samples), axis=1)
        states = np.ascontiguousarray(calls["recurrent"][at].swapaxes(0, 1))
        try:
            confidences, states = self._run_model(windows, states, self._rate_hz)
        except Exception:
            # Whatever the runtime raises: all calls hear silence now, and the next window is another try.
            if not self._is_failing:
                logger.exception("the voice model failed: no call hears its caller begin to speak until it works again")
            self._is_failing = True
            return np.zeros(len(at), np.float32)
        self._is_failing = False
        calls["recurrent"][at] = states.swapaxes(0, 1)
        calls["context"][at] = samples[:, -(self.samples // _CONTEXT) :]
        since_reset = calls["since_reset"][at] + 1
        low = (calls["low"][at] + 1) * (confidences < _RESET_CONFIDENCE)
        calls["since_reset"][at] = since_reset
        calls["low"][at] = low
        is_due = (since_reset >= _RESET_WINDOWS) & (low >= _RESET_LOW_WINDOWS) & calls["is_quiet"][at]
        if is_due.any():
            fresh = at[is_due]
            calls["recurrent"][fresh] = 0
            calls["context"][fresh] = 0
            calls["since_reset"][fresh] = 0
        return confidences
