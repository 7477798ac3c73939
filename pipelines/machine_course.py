"""What to do about an answering machine, step by step: pure. Times are ms of call time."""

from dataclasses import dataclass
from enum import Enum, auto

from config.machine import Machine
from telephony.machine_detection import AnsweredBy

_UNDECIDED_MS = 10_000.0
"""Twilio's word comes at its time limit at the latest; so much later it is not waited for any more."""
_PERSON_WAITS_MS = 1500.0
"""Whoever spoke at length and then waits for this long wants an answer, and is likelier a person."""
_GREETING_OVER_MS = 2500.0
"""A machine that is quiet for this long has said all, with or without a tone."""


class Move(Enum):
    """What is to be done now."""

    HOLD_BACK = auto()
    """It may be a machine: the agent says nothing into its greeting until that is clear."""
    GO_ON = auto()
    """It is none after all, or is treated as a person: the agent speaks."""
    FALL_SILENT = auto()
    """It is one: what the agent says is broken off for good, and the greeting waited out."""
    LEAVE_MESSAGE = auto()
    """The machine records."""
    HANG_UP = auto()


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of the far end at one moment.

    `speaking_since_ms`: when it began to speak, None while it does not; `last_voice_ms`: when it was last heard;
    `tone_over_ms`: when a tone of its was over; all of this call.
    """

    now_ms: float
    speaking_since_ms: float | None = None
    last_voice_ms: float = 0.0
    tone_over_ms: float | None = None


class _Phase(Enum):
    OPEN = auto()
    DOUBTFUL = auto()
    GREETING = auto()
    RECORDING = auto()
    DECIDED = auto()


class MachineCourse:
    """One call's course; every move is made once, and nothing that comes late or twice makes another."""

    def __init__(self, machine: Machine) -> None:
        """Take what the agent does with machines."""
        self._machine = machine
        self._phase = _Phase.OPEN
        self._was_doubted = False
        self._greeting_since_ms = 0.0
        self._is_guess = False
        self.after = ""
        """By what was known that the machine records: beep, silence, other, or time."""

    @property
    def has_machine(self) -> bool:
        """Whether it is a machine that is dealt with as one."""
        return self._phase in (_Phase.GREETING, _Phase.RECORDING)

    def told(self, answered_by: AnsweredBy, heard: Heard) -> Move | None:
        """Twilio has said who took the call."""
        if answered_by is AnsweredBy.FAX or (answered_by.is_machine and self._machine.do == "hang_up"):
            return self._decide(Move.HANG_UP) if self._phase is not _Phase.DECIDED else None
        if not answered_by.is_machine or self._machine.do == "talk":
            # After machine_start no other word is of a person.
            return self._go_on(is_settled=True) if self._phase in (_Phase.OPEN, _Phase.DOUBTFUL) else None
        if answered_by.is_greeting_over:
            return self._end_greeting(answered_by.value.removeprefix("machine_end_"))
        if self._phase in (_Phase.GREETING, _Phase.RECORDING, _Phase.DECIDED):
            return None
        self._phase, self._greeting_since_ms = _Phase.GREETING, heard.now_ms
        return Move.FALL_SILENT

    def look(self, heard: Heard) -> Move | None:
        """Some time has passed; to be called about twenty times a second."""
        detection, now_ms = self._machine.detection, heard.now_ms
        is_late = now_ms > detection.timeout_secs * 1000 + _UNDECIDED_MS
        match self._phase:
            case _Phase.OPEN:
                since_ms = heard.speaking_since_ms
                is_long = since_ms is not None and now_ms - since_ms > detection.speech_threshold_ms
                if not is_long or is_late or self._was_doubted or self._machine.do == "talk":
                    return None
                self._phase, self._was_doubted = _Phase.DOUBTFUL, True
                return Move.HOLD_BACK
            case _Phase.DOUBTFUL:
                quiet_ms = 0.0 if heard.speaking_since_ms is not None else now_ms - heard.last_voice_ms
                if is_late or quiet_ms > detection.speech_end_threshold_ms + _PERSON_WAITS_MS:
                    return self._go_on(is_settled=False)
            case _Phase.GREETING:
                return self._wait_for_end(heard)
            case _Phase.RECORDING | _Phase.DECIDED:
                return None
        return None

    def _wait_for_end(self, heard: Heard) -> Move | None:
        """Nobody but ourselves tells when the greeting of a machine is over that was told of at its start."""
        since_ms = self._greeting_since_ms
        after = ""
        if heard.tone_over_ms is not None and heard.tone_over_ms > since_ms:
            after = "beep"
        elif heard.speaking_since_ms is None and heard.now_ms - max(since_ms, heard.last_voice_ms) > _GREETING_OVER_MS:
            after = "silence"
        elif heard.now_ms - since_ms > self._machine.detection.timeout_secs * 1000:
            after = "time"
        if not after:
            return None
        self._phase, self._is_guess, self.after = _Phase.RECORDING, True, after
        return Move.LEAVE_MESSAGE

    def _end_greeting(self, after: str) -> Move | None:
        # A message that was begun on our own guess is begun again when Twilio says that only now it is recorded.
        if self._phase is _Phase.DECIDED or (self._phase is _Phase.RECORDING and not self._is_guess):
            return None
        self._phase, self._is_guess, self.after = _Phase.RECORDING, False, after
        return Move.LEAVE_MESSAGE

    def _go_on(self, *, is_settled: bool) -> Move | None:
        was_held, self._phase = self._phase is _Phase.DOUBTFUL, _Phase.DECIDED if is_settled else _Phase.OPEN
        return Move.GO_ON if was_held else None

    def _decide(self, move: Move) -> Move:
        self._phase = _Phase.DECIDED
        return move
