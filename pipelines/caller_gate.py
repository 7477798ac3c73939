"""A gate between the caller's voice and the model: while the agent speaks, only what has lasted long enough passes.

No I/O and no clock: times are ms of call time, and come with the audio.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from pipelines.outbox import Audio

BEFORE_MS = 300.0
"""So much is passed on of what was heard before a voice began, and after it ended."""
PAUSE_MS = 600.0
"""A longer pause ends what is said; a shorter one is between two words."""
EARLY_ANSWER_MS = 1500.0
"""A short sound that ended so late in the agent's speech may be its answer ("yes"), and is passed on after it."""
_MOST_HELD_MS = 30_000.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known when a piece of audio comes.

    Attributes:
        is_voiced: A voice is in it.
        voice_since_ms: When the caller last began to speak.
        is_agent_heard: The agent is being heard.
        is_protected: Nothing of the caller may reach the model now, however long it lasts.
    """

    is_voiced: bool
    voice_since_ms: float | None
    is_agent_heard: bool
    is_protected: bool = False


@dataclass(slots=True)
class _Sound:
    """Something with a voice in it. `voiced_ms` leaves out the pauses."""

    since_ms: float
    until_ms: float
    voiced_ms: float

    def holds(self, audio: Audio) -> bool:
        """Whether this audio is of it, or just before or after."""
        begins_ms = audio.until_ms - audio.duration_ms
        return begins_ms <= self.until_ms + BEFORE_MS and audio.until_ms > self.since_ms - BEFORE_MS


@dataclass
class CallerGate:
    """Takes the caller's audio piece by piece; gives what the model shall hear in its place.

    While the agent is heard that is silence, until a voice has lasted `min_ms`: then all of it is passed on at once,
    from before its first sound, and what follows as it comes. Whoever spoke before the agent began is not stopped.
    When the agent has been heard out, what was too short is passed on if it may have been an answer; what was long
    and came where nothing may pass, is passed on in any case.

    Attributes:
        min_ms: Voice that opens the gate, in ms, pauses not counted.
        notice_ms: The detector of voice tells of one so long after it began, at the latest.
        tell: Told of each sound that was kept from the model: its voiced ms, and whether it is passed on after all.
    """

    min_ms: float
    notice_ms: float
    tell: Callable[[float, bool], None]
    _is_open: bool = True
    _closed_since_ms: float = 0.0
    _held: deque[Audio] = field(default_factory=deque[Audio])
    _kept: list[_Sound] = field(default_factory=list[_Sound])
    _sound: _Sound | None = None
    _last_until_ms: float = 0.0
    _since_ms: float = -1.0

    def take(self, audio: Audio, moment: Moment) -> list[Audio]:
        """Take a piece; returns what the model is to hear now, in order."""
        self._listen(audio, moment)
        if not (moment.is_agent_heard or moment.is_protected):
            return [*self._open(audio.until_ms), audio]
        if self._is_open and not moment.is_protected and self._sound is not None:
            return [audio]  # he was speaking before the agent was, or was let through
        if self._is_open:
            self._is_open, self._closed_since_ms = False, audio.until_ms - audio.duration_ms
        self._hold(audio)
        sound = self._sound
        if sound is not None and not moment.is_protected:
            has_begun_before = sound.since_ms < self._closed_since_ms
            if moment.is_voiced and (has_begun_before or sound.voiced_ms >= self.min_ms):
                return self._open(audio.until_ms)
        return [Audio(bytes(len(audio.pcm)), audio.hz, audio.until_ms)]

    def _listen(self, audio: Audio, moment: Moment) -> None:
        """Follow the voice: one sound until there was a longer pause."""
        sound, since_ms = self._sound, moment.voice_since_ms
        begins_ms = audio.until_ms - audio.duration_ms
        # One may have begun and ended between two looks at it.
        is_new = since_ms is not None and self._since_ms < since_ms and begins_ms - since_ms <= self.notice_ms
        if since_ms is not None:
            self._since_ms = since_ms
        if moment.is_voiced and sound is not None:
            sound.until_ms = audio.until_ms
            sound.voiced_ms += audio.duration_ms
        elif moment.is_voiced or (is_new and sound is None):
            if since_ms is not None and self._last_until_ms < since_ms < begins_ms:
                begins_ms = max(since_ms, begins_ms - self.notice_ms)
            self._sound = _Sound(begins_ms, audio.until_ms, audio.until_ms - begins_ms)
        elif sound is not None and audio.until_ms - sound.until_ms > PAUSE_MS:
            self._sound, self._last_until_ms = None, sound.until_ms
            if not self._is_open:
                self._kept.append(sound)

    def _hold(self, audio: Audio) -> None:
        self._held.append(audio)
        for sound in list(self._kept):
            is_late = audio.until_ms - sound.until_ms > EARLY_ANSWER_MS
            is_old = audio.until_ms - sound.since_ms > _MOST_HELD_MS
            if is_old or (is_late and sound.voiced_ms < self.min_ms):
                self._kept.remove(sound)
                self.tell(sound.voiced_ms, False)
        begins_ms = audio.until_ms - self.notice_ms - BEFORE_MS
        if self._sound is not None:
            begins_ms = min(begins_ms, self._sound.since_ms - BEFORE_MS)
        if self._kept:
            begins_ms = min(begins_ms, self._kept[0].since_ms - BEFORE_MS)
        while self._held[0].until_ms < max(begins_ms, audio.until_ms - _MOST_HELD_MS):
            self._held.popleft()

    def _open(self, now_ms: float) -> list[Audio]:
        """Let through what is heard now; returns what was held and is to be heard before it."""
        if self._is_open:
            return []
        self._is_open = True
        sounds, self._kept = [*self._kept], []
        held, self._held = self._held, deque()
        passed = [sound for sound in sounds if self._is_worth(sound, now_ms)]
        if self._sound is not None:
            passed.append(self._sound)
        for sound in sounds:
            self.tell(sound.voiced_ms, sound in passed)
        return [audio for audio in held if any(sound.holds(audio) for sound in passed)]

    def _is_worth(self, sound: _Sound, now_ms: float) -> bool:
        return sound.voiced_ms >= self.min_ms or now_ms - sound.until_ms <= EARLY_ANSWER_MS
