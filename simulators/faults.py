"""Everything that the stand-ins can do wrong on purpose: the catalogue of faults, and the armoury that hands them out.

    emulator.arm("close-1011-mid-turn")              # the next reply is cut off by a close, later ones are not
    emulator.arm("http-503", times=None)             # every handshake fails, until emulator.disarm("http-503")
    emulator.arm("slow-audio", skip=1)               # not the greeting, but the reply after it
    call = await twilio.dial(..., fault="jitter-30")

In a script of the stand-in model a step says `fault: NAME`. By hand: `python -m simulators.faults` prints the table.
What each fault does stands in `gemini_faults.py`, `gemini_live.py` (the port), `line_faults.py`, `call_faults.py` and
`rest_faults.py`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Side = Literal["gemini", "twilio"]

Occasion = Literal[
    "port",  # now: the listening port itself
    "tls",  # a client's TLS handshake
    "handshake",  # a client's request for a Live WebSocket
    "connection",  # a Live WebSocket that was just accepted
    "resume",  # a setup that presents a resumption handle
    "conversation",  # the next message to any conversation, running or new; lasts until its connection ends
    "turn",  # the model is about to reply: to speech, or to a text
    "reply",  # the same, but it is the reply itself that is replaced
    "call",  # the model calls a tool
    "phone call",  # a telephone call begins
    "request",  # a request to Twilio's REST API
    "placement",  # a call was placed by REST, and its answer is about to be sent
]
"""When an armed fault hits, and what its `times` count. Conversations that only read a sentence aloud are spared the
last of Gemini's: conversation, turn, reply and call."""

Loss = Literal["caller sentence", "caller audio", "agent audio"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. `destroys`: what no server can save; `settings`: names and their usual values."""

    name: str
    side: Side
    occasion: Occasion
    description: str
    destroys: frozenset[Loss] = frozenset()
    settings: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def _gemini(name: str, occasion: Occasion, description: str, *destroys: Loss, **settings: float) -> Fault:
    return Fault(name, "gemini", occasion, description, frozenset(destroys), MappingProxyType(settings))


def _twilio(name: str, occasion: Occasion, description: str, *destroys: Loss, **settings: float) -> Fault:
    return Fault(name, "twilio", occasion, description, frozenset(destroys), MappingProxyType(settings))


_ALL = (
    _gemini("connection-refused", "port", "the port is closed; it opens after `secs`, or when disarmed", secs=2.0),
    _gemini("tls-error", "tls", "the certificate is by an authority that nobody knows"),
    _gemini("http-401", "handshake", "the key is not valid: 401 instead of a WebSocket"),
    _gemini("http-403", "handshake", "the key may not use this model: 403 instead of a WebSocket"),
    _gemini("http-429", "handshake", "the quota is used up: 429 instead of a WebSocket"),
    _gemini("http-503", "handshake", "the service is overloaded: 503 instead of a WebSocket"),
    _gemini("no-setup-complete", "connection", "the setup is never answered, the socket stays open"),
    _gemini("delayed-setup", "connection", "setupComplete comes `secs` late", secs=2.0),
    _gemini("resume-refused", "resume", "the handle is refused with `code` and dead from then on", code=1008),
    _gemini("close-1000-mid-turn", "turn", "closed with 1000 after half of the reply's audio", "agent audio"),
    _gemini("close-1007-mid-turn", "turn", "closed with 1007 after half of the reply's audio", "agent audio"),
    _gemini("close-1008-mid-turn", "turn", "closed with 1008 after half of the reply's audio", "agent audio"),
    _gemini("close-1011-mid-turn", "turn", "closed with 1011 after half of the reply's audio", "agent audio"),
    _gemini(
        "goaway",
        "turn",
        "goAway as the reply begins; closed with 1011 `time_left_secs` later, whatever goes on then",
        time_left_secs=5.0,
    ),
    _gemini(
        "connection-limit",
        "connection",
        "goAway `notice_secs` before the connection is `limit_secs` old, closed with 1011 then",
        limit_secs=60.0,
        notice_secs=5.0,
    ),
    _gemini("silence-after-turn", "turn", "hears the caller and says nothing any more on this connection"),
    _gemini("half-open", "turn", "reads and answers nothing any more, not even a close; TCP stays open"),
    _gemini("empty-turn", "reply", "turnComplete without a reply; a nudge on this connection helps"),
    _gemini("slow-audio", "turn", "the reply's audio comes at half the speed that it is played at"),
    _gemini("invalid-json", "turn", "a frame that is not JSON in the middle of the reply"),
    _gemini("unknown-fields", "conversation", "unheard-of fields in every message"),
    _gemini("unknown-message", "turn", "a message of an unheard-of kind before the reply"),
    _gemini("empty-audio", "turn", "an empty turn before the reply, and parts without data in it"),
    _gemini("truncated-chunk", "turn", "the last chunk of audio is cut in the middle of a sample", "agent audio"),
    _gemini("duplicate-turn-complete", "turn", "turnComplete comes twice"),
    _gemini("interrupted-storm", "turn", "`count` times interrupted before the reply, while nobody speaks", count=12),
    _gemini("tool-call-cancelled", "call", "a tool call is cancelled before its result; goes on without"),
    _gemini("unknown-tool", "reply", "before the reply a tool is called that was never declared"),
    _gemini("usage-missing", "conversation", "no usageMetadata"),
    _twilio("jitter-30", "phone call", "30 % of the caller's frames are 20 to 200 ms late, in order", seed=1),
    _twilio("loss-2", "phone call", "2 % of the caller's frames are lost", "caller audio", seed=1),
    _twilio(
        "stall-burst",
        "phone call",
        "nothing from the caller for `secs`, `after_secs` into the stream; then all of it at once",
        after_secs=3.0,
        secs=2.0,
    ),
    _twilio(
        "socket-drop",
        "phone call",
        "the media socket's TCP connection is torn `after_secs` into the stream; the action URL follows",
        "caller audio",
        "agent audio",
        after_secs=5.0,
    ),
    _twilio(
        "no-frames",
        "phone call",
        "`after_secs` into the stream nothing arrives any more in either direction, not even a close",
        "caller sentence",
        "caller audio",
        "agent audio",
        after_secs=5.0,
    ),
    _twilio(
        "duplicate-webhook",
        "phone call",
        "the voice webhook is sent twice at once, and again `later_secs` later",
        later_secs=2.0,
    ),
    _twilio("out-of-order-status", "phone call", "all status callbacks at the end, the last first, each twice"),
    _twilio("rest-429", "request", "the REST API answers 429, with Retry-After", retry_after_secs=1.0),
    _twilio("rest-500", "request", "the REST API answers 500"),
    _twilio("rest-timeout", "request", "the REST API does not answer for `secs`", secs=60.0),
    _twilio("created-late", "placement", "the call is placed, and the answer comes `secs` later", secs=60.0),
    _twilio("created-500", "placement", "the call is placed, and the answer is 500 all the same"),
)

FAULTS: Mapping[str, Fault] = MappingProxyType({fault.name: fault for fault in _ALL})
"""Every fault by its name."""


def find_fault(name: str, side: Side | None = None) -> Fault:
    """The fault of this name.

    Raises:
        ValueError: there is none, or it belongs to the other side; the text names those there are.
    """
    fault = FAULTS.get(name)
    if fault is None or (side is not None and fault.side != side):
        known = sorted(fault.name for fault in _ALL if side in (None, fault.side))
        what = f"no fault of {side}" if side else "no fault"
        raise ValueError(f"{what} is called {name!r}; there are {', '.join(known)}")
    return fault


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that hits now, with its settings. `time`: seconds of the monotonic clock.

    `is_open_ended`: it was armed without a number of times, and ends when it is disarmed.
    """

    fault: Fault
    settings: Mapping[str, float]
    time: float
    is_open_ended: bool = False

    @property
    def name(self) -> str:
        return self.fault.name


def strike_now(name: str, occasion: Occasion) -> Strike:
    """A fault with its usual settings, without an armoury.

    Raises:
        ValueError: no such fault, or it is for another occasion.
    """
    fault = find_fault(name)
    if fault.occasion != occasion:
        raise ValueError(f"fault {name!r} does not hit a {occasion}: it is for {fault.occasion}; arm it")
    return Strike(fault, fault.settings, time.monotonic())


@dataclass(slots=True)
class _Armed:
    fault: Fault
    settings: Mapping[str, float]
    times: int | None
    skip: int


class Armoury:
    """The faults one stand-in has in store. `hits`: every one that has struck, in order."""

    def __init__(self, side: Side) -> None:
        self.hits: list[Strike] = []
        self._side: Side = side
        self._armed: dict[str, _Armed] = {}

    @property
    def armed(self) -> list[str]:
        """Names of the faults that may still hit."""
        return list(self._armed)

    def arm(self, name: str, *, times: int | None = 1, skip: int = 0, **settings: float) -> None:
        """Makes a fault hit the next occasions of its kind.

        Args:
            name: one of FAULTS; arming it again replaces what was armed.
            times: how many occasions it hits; None: all, until disarmed.
            skip: how many occasions it lets pass first.
            **settings: the fault's own numbers, as `time_left_secs=3`; each has a usual value.

        Raises:
            ValueError: no such fault on this side, no such setting, or a number below what makes sense.
        """
        fault = find_fault(name, self._side)
        unknown = sorted(set(settings) - set(fault.settings))
        if unknown:
            raise ValueError(f"fault {name!r} has no setting {unknown[0]!r}; it has {sorted(fault.settings)}")
        if skip < 0 or (times is not None and times < 1):
            raise ValueError(f"fault {name!r}: times must be at least 1 (or None) and skip at least 0")
        if skip and fault.occasion == "port":
            raise ValueError(f"fault {name!r} hits at once: it cannot skip")
        self._armed[name] = _Armed(fault, MappingProxyType({**fault.settings, **settings}), times, skip)

    def disarm(self, name: str | None = None) -> None:
        """Makes a fault, or all, hit no more. One that is not armed is none.

        Raises:
            ValueError: no such fault on this side.
        """
        if name is None:
            self._armed.clear()
        else:
            self._armed.pop(find_fault(name, self._side).name, None)

    def take(self, occasion: Occasion, *, but: Collection[str] = ()) -> list[Strike]:
        """What hits this occasion now. `but`: faults that hit this one before, and do not hit it twice."""
        strikes: list[Strike] = []
        for armed in list(self._armed.values()):
            if armed.fault.occasion != occasion or armed.fault.name in but:
                continue
            if armed.skip:
                armed.skip -= 1
                continue
            strikes.append(Strike(armed.fault, armed.settings, time.monotonic(), armed.times is None))
            if armed.times is not None:
                armed.times -= 1
                if not armed.times:
                    del self._armed[armed.fault.name]
        self.hits += strikes
        return strikes


def _write_table() -> None:
    for fault in _ALL:
        settings = ", ".join(f"{name}={value:g}" for name, value in fault.settings.items())
        print(f"{fault.side:7} {fault.name:24} {fault.description}{f' ({settings})' if settings else ''}")


if __name__ == "__main__":
    _write_table()
