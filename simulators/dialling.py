"""What `<Dial>` does: rings telephones, all named in one verb at once, and lets caller and first to answer talk.

https://www.twilio.com/docs/voice/twiml/dial, /number and /sip.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

from simulators.call_setup import DialOutcome
from simulators.media_socket import new_sid

_DIAL = frozenset(
    "action answerOnBridge callerId hangupOnStar method record recordingChannels recordingStatusCallback "
    "recordingStatusCallbackEvent recordingStatusCallbackMethod recordingTrack referMethod referUrl ringTone "
    "sequential timeLimit timeout trim".split()
)
_TOLD = frozenset("method statusCallback statusCallbackEvent statusCallbackMethod url".split())
_NOUNS = {
    "Number": _TOLD | {"byoc", "sendDigits", "machineDetection", "amdStatusCallback", "amdStatusCallbackMethod"},
    "Sip": _TOLD | {"username", "password", "machineDetection", "amdStatusCallback", "amdStatusCallbackMethod"},
    "Client": _TOLD,
}
_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True)
class DialTarget:
    """One telephone to ring. `events` are those of its own call that `status_callback` is told of."""

    kind: str
    address: str
    status_callback: str = ""
    status_method: str = "POST"
    events: frozenset[str] = frozenset({"completed"})


@dataclass(frozen=True, slots=True)
class Dial:
    """`timeout_secs` is how long they ring; `is_sequential`: one after the other instead of all at once."""

    targets: tuple[DialTarget, ...]
    caller_id: str
    action: str
    method: str
    timeout_secs: float = 30.0
    time_limit_secs: float = 14400.0
    is_sequential: bool = False
    answer_on_bridge: bool = False


def read_dial(element: ElementTree.Element) -> Dial:
    """Read `<Dial>`. Raises ValueError for an attribute or noun that Twilio does not know, or a bad value."""
    _check(element, _DIAL)
    timeout_secs = _secs(element, "timeout", 30.0)
    if not 0 < timeout_secs <= 600:
        raise ValueError(f"timeout must be 1 to 600 seconds, not {timeout_secs:g}")
    text = " ".join((element.text or "").split())
    targets = tuple(_read_noun(child) for child in element) or (DialTarget("Number", text),)
    return Dial(
        targets=targets,
        caller_id=element.get("callerId", ""),
        action=element.get("action", ""),
        method=element.get("method", "POST").upper(),
        timeout_secs=timeout_secs,
        time_limit_secs=_secs(element, "timeLimit", 14400.0),
        is_sequential=element.get("sequential", "false") == "true",
        answer_on_bridge=element.get("answerOnBridge", "false") == "true",
    )


def _read_noun(element: ElementTree.Element) -> DialTarget:
    if element.tag not in _NOUNS:
        raise ValueError(f"<{element.tag}> has no place in <Dial>")
    _check(element, _NOUNS[element.tag])
    address = " ".join("".join(element.itertext()).split())
    if element.tag == "Sip" and not address.lower().startswith(("sip:", "sips:")):
        raise ValueError("<Sip> needs an address that begins with sip:")
    events = frozenset(element.get("statusCallbackEvent", "completed").split())
    if events - _EVENTS:
        raise ValueError(f"statusCallbackEvent knows {sorted(_EVENTS)}")
    callback = element.get("statusCallback", "")
    return DialTarget(element.tag, address, callback, element.get("statusCallbackMethod", "POST").upper(), events)


def _check(element: ElementTree.Element, known: frozenset[str] | set[str]) -> None:
    if unknown := sorted(set(element.keys()) - known):
        raise ValueError(f"<{element.tag}> has no attribute {', '.join(unknown)}")


def _secs(element: ElementTree.Element, name: str, usual: float) -> float:
    text = element.get(name)
    if text is None:
        return usual
    if not text.isdecimal():
        raise ValueError(f"{name} must be whole seconds, not {text!r}")
    return float(text)


Tell = Callable[[DialTarget, Mapping[str, str]], Awaitable[None]]
"""Tells a target's status callback of its own call, as `CallSid` and `CallStatus` in these fields."""


@dataclass
class Dialling:
    """One `<Dial>` while it is carried out. `legs` are the calls it made: SID, address and status, for REST's list."""

    verb: Dial
    outcomes: Callable[[str], DialOutcome]
    tell: Tell
    parent_sid: str
    legs: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    _answered: tuple[str, float] | None = None

    async def run(self) -> dict[str, str]:
        """Ring and talk; returns the parameters of the action."""
        groups = [[target] for target in self.verb.targets] if self.verb.is_sequential else [list(self.verb.targets)]
        result: dict[str, str] = {}
        for group in groups:
            result = await self._ring(group)
            if self._answered is not None:
                return result
        return result

    def interrupted(self) -> dict[str, str]:
        """The caller hung up meanwhile; returns the parameters of the action, which is asked all the same."""
        if self._answered is None:
            self.legs = {sid: (address, "no-answer") for sid, (address, _) in self.legs.items()}
            return {"DialCallStatus": "no-answer", "DialCallSid": next(iter(self.legs), new_sid("CA"))}
        sid, answered_at = self._answered
        return self._talked(sid, asyncio.get_running_loop().time() - answered_at)

    async def _ring(self, targets: list[DialTarget]) -> dict[str, str]:
        loop = asyncio.get_running_loop()
        ringing = [asyncio.create_task(self._ring_one(target), name=f"rings {target.kind}") for target in targets]
        try:
            for one in asyncio.as_completed(ringing):
                sid, target, status = await one
                if status != "answered":
                    continue
                self._answered = sid, loop.time()
                outcome = self.outcomes(target.address)
                await asyncio.sleep(min(outcome.talk_ms / 1000, self.verb.time_limit_secs))
                self.legs[sid] = target.address, "completed"
                await self._tell(target, sid, "completed", "completed")
                return self._talked(sid, outcome.talk_ms / 1000)
        finally:
            for task in ringing:
                task.cancel()
            await asyncio.wait(ringing)
            self.legs = {
                sid: (to, "canceled" if status == "ringing" else status) for sid, (to, status) in self.legs.items()
            }
        sid, _target, status = ringing[-1].result()
        return {"DialCallStatus": status, "DialCallSid": sid}

    async def _ring_one(self, target: DialTarget) -> tuple[str, DialTarget, str]:
        sid, outcome = new_sid("CA"), self.outcomes(target.address)
        self.legs[sid] = target.address, "ringing"
        await self._tell(target, sid, "initiated", "initiated")
        if target.kind == "Number" and not _E164.fullmatch(target.address):
            status = "failed"  # error 13224
        else:
            await self._tell(target, sid, "ringing", "ringing")
            await asyncio.sleep(min(outcome.ring_ms / 1000, self.verb.timeout_secs))
            is_late = outcome.ring_ms / 1000 > self.verb.timeout_secs
            status = "no-answer" if is_late else outcome.status
        if status in ("completed", "answered"):
            self.legs[sid] = target.address, "in-progress"
            await self._tell(target, sid, "answered", "in-progress")
            return sid, target, "answered"
        self.legs[sid] = target.address, status
        await self._tell(target, sid, "completed", status)
        return sid, target, status

    def _talked(self, sid: str, secs: float) -> dict[str, str]:
        return {
            "DialCallStatus": "completed",
            "DialCallSid": sid,
            "DialCallDuration": str(-(-round(secs * 1000) // 1000)),
            "DialBridged": "true",
        }

    async def _tell(self, target: DialTarget, sid: str, event: str, status: str) -> None:
        if target.status_callback and event in target.events:
            told = {"CallSid": sid, "ParentCallSid": self.parent_sid, "CallStatus": status, "To": target.address}
            await self.tell(target, told | {"Called": target.address, "Direction": "outbound-dial"})
