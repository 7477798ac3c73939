"""Which fault is played on which call, when, and how long it lasts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from simulators.faults import FAULTS, Fault

DROPPED = "dropped"
SLOW_TOOL = "slow-tool"
"""Two troubles that are none of the stand-ins' faults: a connection that is closed by hand, and a tool of ours."""

SORRY = "I am sorry, something went wrong on my side. Could you say that again?"
ANSWERS: Mapping[str, str] = {
    "ask-sunday": "I am sorry, on Sunday we are closed.",
    "cancel-appointment": "I am sorry, I could not find that appointment.",
    "goodbye": "Thank you for calling. Goodbye!",
}
"""What the stand-in model says to what the caller says, by clip; the first two after it has used a tool."""


class Moment(Enum):
    """When trouble begins."""

    BEFORE_CALL = auto()
    BEFORE_QUESTION = auto()
    IN_QUESTION = auto()
    """The caller is in the middle of his sentence."""
    IN_TOOL = auto()
    """The model waits for the result of a tool."""


@dataclass(frozen=True, slots=True)
class Drill:
    """One fault on one call.

    Attributes:
        name: Of the fault, and which way it is played; no two drills share one.
        fault: What a stand-in does wrong; None when it does all right.
        moment: When it is armed, or the connection is dropped.
        times: How many occasions it hits; None: it does not end.
        is_dropped: The model's connection is closed at the moment, so that another one is needed.
        settings: The fault's own numbers.
        with_fault: A second fault, at the other stand-in or at the same, from the beginning.
        tool_secs: How long the tool takes that the question needs.
        question: The clip that the caller says into it.
        answer: What the model says to that.
    """

    name: str
    fault: Fault | None
    moment: Moment = Moment.BEFORE_QUESTION
    times: int | None = 1
    is_dropped: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    with_fault: str | None = None
    tool_secs: float = 0.0
    question: str = "ask-sunday"
    answer: str = ANSWERS["ask-sunday"]

    @property
    def subject(self) -> str:
        """The fault that it is about; a way to play it is behind a comma."""
        return self.name.split(",")[0]

    @property
    def is_outage(self) -> bool:
        """Whether the model is not to be had any more: nobody is left who could write down what the caller says."""
        return self.times is None or (self.fault is not None and self.fault.name in _HOPELESS)

    @property
    def destroys_speech(self) -> bool:
        """Whether the fault itself takes away what the caller says."""
        return self.fault is not None and bool({"caller sentence", "caller audio"} & self.fault.destroys)


_HOPELESS = ("tls-error", "http-401", "http-403", "http-429")
"""One such answer is enough: to ask again is no use."""

_FOR_GOOD = (*_HOPELESS, "connection-refused", "http-503", "no-setup-complete")
"""Faults of a whole endpoint: they are also played as an outage that does not end, on a call that goes on."""

_AT_FIRST = ("connection-refused", "tls-error", "http-503", "no-setup-complete", "delayed-setup")
"""Faults that meet the first connection and are over when it is tried again."""

_SHORT: Mapping[str, Mapping[str, Any]] = {
    "connection-limit": {"limit_secs": 4.5, "notice_secs": 3.0},
    "goaway": {"time_left_secs": 3.0},
    "stall-burst": {"after_secs": 2.5},
    "socket-drop": {"after_secs": 4.0},
    "no-frames": {"after_secs": 4.0},
}
"""Numbers for a call of a few seconds."""


def all_drills() -> Iterator[Drill]:
    """Yield every fault of the catalogue at least once, in its order; then what is none of its faults."""
    for name, fault in FAULTS.items():
        if fault.occasion == "placement":
            continue  # no caller hears of it: a call that we place is not there yet
        if fault.side == "gemini":
            yield from _gemini_drills(name, fault, _SHORT.get(name, {}))
        else:
            yield from _twilio_drills(name, fault, _SHORT.get(name, {}))
    yield from _dropped_drills()
    yield Drill(SLOW_TOOL, None, tool_secs=4.0)


def _gemini_drills(name: str, fault: Fault, settings: Mapping[str, Any]) -> Iterator[Drill]:
    if name in _AT_FIRST or fault.occasion in ("connection", "conversation"):
        yield Drill(name, fault, Moment.BEFORE_CALL, settings=settings)
    if name in _FOR_GOOD:
        # The port opens again by itself unless it is told to stay closed for longer than the call.
        lasting = {"secs": 120.0} if name == "connection-refused" else settings
        yield Drill(f"{name}, from the start, for good", fault, Moment.BEFORE_CALL, None, settings=lasting)
        yield Drill(f"{name}, in mid-call, for good", fault, times=None, is_dropped=True, settings=lasting)
    elif fault.occasion == "resume":
        yield Drill(name, fault, is_dropped=True, settings=settings)
    elif fault.occasion in ("turn", "reply"):
        yield Drill(name, fault, settings=settings)
    elif fault.occasion == "call":
        yield Drill(name, fault, settings=settings, answer=SORRY)
    if name == "goaway":
        yield Drill(f"{name}, no time left", fault, settings={"time_left_secs": 0.0})
        yield Drill(f"{name}, while a tool runs", fault, settings={"time_left_secs": 2.0}, tool_secs=4.0)
    if name == "http-503":
        yield Drill(f"{name}, in mid-call", fault, times=3, is_dropped=True)


def _twilio_drills(name: str, fault: Fault, settings: Mapping[str, Any]) -> Iterator[Drill]:
    if fault.occasion == "request":
        # Twilio's REST API is needed when the media stream is dead: then it fails as well, at first.
        yield Drill(name, FAULTS["no-frames"], Moment.BEFORE_CALL, settings=_SHORT["no-frames"], with_fault=name)
        return
    yield Drill(name, fault, Moment.BEFORE_CALL, settings=settings)
    if name in ("socket-drop", "no-frames"):
        yield Drill(f"{name}, while the caller speaks", fault, Moment.BEFORE_CALL, settings={"after_secs": 2.8})


def _dropped_drills() -> Iterator[Drill]:
    refused = FAULTS["resume-refused"]
    for way, fault in (("", None), (", and not resumed", refused)):
        yield Drill(
            f"{DROPPED}, while the caller speaks{way}",
            fault,
            Moment.IN_QUESTION,
            is_dropped=True,
            question="cancel-appointment",  # a longer sentence
            answer=ANSWERS["cancel-appointment"],
        )
        yield Drill(f"{DROPPED}, while a tool runs{way}", fault, Moment.IN_TOOL, is_dropped=True, tool_secs=3.0)


def once_each(drills: Sequence[Drill]) -> list[Drill]:
    """Return one drill for each fault: the first that passes; the first of all, where each lasts for good."""
    chosen: dict[str, Drill] = {}
    for drill in drills:
        kept = chosen.setdefault(drill.subject, drill)
        if kept.times is None and drill.times is not None:
            chosen[drill.subject] = drill
    return list(chosen.values())


def select(name: str | None) -> list[Drill]:
    """Return every drill, or those of one fault. Raises ValueError for a fault that there is not."""
    drills = list(all_drills())
    if name is None:
        return drills
    chosen = [drill for drill in drills if name in (drill.name, drill.subject)]
    if not chosen:
        known = ", ".join(dict.fromkeys(drill.subject for drill in drills))
        raise ValueError(f"no drill is about {name!r}; there are {known}")
    return chosen
