"""The ear: when does someone start and stop speaking? Judged by loudness, counted in samples, never by the clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from simulators.clips import Samples

FRAME_MS = 20
START_MS = 120
DEFAULT_END_SILENCE_MS = 500

# Voice must stand this far over the noise floor to begin, and may sink this low before it counts as silence.
_START_OVER_FLOOR = 3.0
_STAY_OVER_FLOOR = 2.0
# Root mean square of 16-bit samples; about -45 and -49 dBFS, well under a quiet caller.
_START_LEAST = 180.0
_STAY_LEAST = 120.0
_FLOOR_WINDOW_FRAMES = 2000 // FRAME_MS
_BEFORE_FRAMES = 200 // FRAME_MS
_AFTER_FRAMES = 100 // FRAME_MS


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Someone has been speaking for at least `START_MS`. `start_ms`: position of the first voice in the stream."""

    start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Someone stopped speaking. Positions are ms of received audio; `samples` has a little room on both sides."""

    start_ms: int
    end_ms: int
    samples: Samples
    rate_hz: int


class Ear:
    """Listens to one stream of mono PCM16. Feed it pieces of any length; it tells what began or ended in them."""

    def __init__(self, rate_hz: int, *, end_silence_ms: int = DEFAULT_END_SILENCE_MS, position_ms: int = 0) -> None:
        self.rate_hz = rate_hz
        self._frame_samples = rate_hz * FRAME_MS // 1000
        self._end_frames = max(1, end_silence_ms // FRAME_MS)
        self._rest: Samples = np.zeros(0, dtype=np.int16)
        self._position_ms = position_ms
        # The quietest of the last two seconds is the noise floor: even fluent speech has dips, steady noise has none.
        self._levels: deque[float] = deque(maxlen=_FLOOR_WINDOW_FRAMES)
        self._before: deque[Samples] = deque(maxlen=_BEFORE_FRAMES + START_MS // FRAME_MS)
        self._voiced_frames = 0
        self._quiet_frames = 0
        self._start_ms: int | None = None
        self._spoken: list[Samples] = []

    @property
    def position_ms(self) -> int:
        """Milliseconds of audio heard so far."""
        return self._position_ms

    @property
    def is_hearing_speech(self) -> bool:
        return self._start_ms is not None

    def hear(self, samples: Samples) -> list[SpeechStarted | SpeechEnded]:
        """Takes the next samples of the stream; returns what began or ended, in order."""
        samples = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        count = len(samples) // self._frame_samples
        self._rest = samples[count * self._frame_samples :].copy()
        events: list[SpeechStarted | SpeechEnded] = []
        for index in range(count):
            frame = samples[index * self._frame_samples : (index + 1) * self._frame_samples]
            event = self._hear_frame(frame)
            if event is not None:
                events.append(event)
        return events

    def stop(self) -> SpeechEnded | None:
        """The stream pauses or ends here: what was being said counts as said."""
        return self._finish() if self._start_ms is not None else None

    def _hear_frame(self, frame: Samples) -> SpeechStarted | SpeechEnded | None:
        level = float(np.sqrt(np.mean(np.square(frame, dtype=np.float32))))
        self._levels.append(level)
        floor = min(self._levels)
        self._position_ms += FRAME_MS
        if self._start_ms is None:
            return self._wait_for_voice(frame, is_voice=level > max(_START_LEAST, _START_OVER_FLOOR * floor))
        self._spoken.append(frame)
        is_voice = level > max(_STAY_LEAST, _STAY_OVER_FLOOR * floor)
        self._quiet_frames = 0 if is_voice else self._quiet_frames + 1
        return self._finish() if self._quiet_frames >= self._end_frames else None

    def _wait_for_voice(self, frame: Samples, *, is_voice: bool) -> SpeechStarted | None:
        self._before.append(frame)
        # One quiet frame inside a word (the closure of a plosive) does not begin the count anew; two do.
        if is_voice:
            self._voiced_frames += 1
            self._quiet_frames = 0
        else:
            self._quiet_frames += 1
            if self._quiet_frames >= 2:
                self._voiced_frames = 0
        if self._voiced_frames * FRAME_MS < START_MS:
            return None
        self._start_ms = self._position_ms - self._voiced_frames * FRAME_MS
        self._spoken = list(self._before)
        self._before.clear()
        self._voiced_frames = 0
        self._quiet_frames = 0
        return SpeechStarted(self._start_ms)

    def _finish(self) -> SpeechEnded:
        assert self._start_ms is not None
        end_ms = self._position_ms - self._quiet_frames * FRAME_MS
        surplus = max(0, self._quiet_frames - _AFTER_FRAMES)
        frames = self._spoken[: len(self._spoken) - surplus]
        ended = SpeechEnded(self._start_ms, end_ms, np.concatenate(frames), self.rate_hz)
        self._start_ms = None
        self._spoken = []
        self._quiet_frames = 0
        return ended
