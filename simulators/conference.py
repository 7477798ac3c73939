"""Conferences at the stand-in Twilio: who is in which room, from when to when, and what the server is told of it.

https://www.twilio.com/docs/voice/twiml/conference
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Literal
from xml.etree import ElementTree

from simulators.media_socket import Keep, new_sid
from simulators.twilio_webhook import WebhookAnswer

_EVENTS = frozenset({"start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement"})
_FLAGS = frozenset({"true", "false"})
_BEEPS = frozenset({"true", "false", "onEnter", "onExit"})
_NAMES = {
    "start": "conference-start",
    "end": "conference-end",
    "join": "participant-join",
    "leave": "participant-leave",
}

Tell = Callable[[str, str, Mapping[str, str]], Awaitable[WebhookAnswer]]
"""Posts a form: URL, method, form."""


@dataclass(frozen=True, slots=True)
class JoinConference:
    """`<Dial><Conference>`: `action` and `method` belong to Dial."""

    name: str
    starts_on_enter: bool
    ends_on_exit: bool
    beep: str
    wait_url: str | None
    label: str
    most: int
    status_callback: str
    status_callback_method: str
    status_events: frozenset[str]
    action: str
    method: str


def read_conference(dial: ElementTree.Element) -> JoinConference:
    """Read a `<Dial>` that has a `<Conference>` in it. Raises ValueError for what Twilio would not take."""
    noun = dial.find("Conference")
    name = "" if noun is None else " ".join("".join(noun.itertext()).split())
    if noun is None or len(dial) != 1 or not name:
        raise ValueError("<Dial> takes one <Conference>, with the room's name in it")
    events = frozenset(noun.get("statusCallbackEvent", "").split())
    if events - _EVENTS:
        raise ValueError(f"no event of a conference: {', '.join(sorted(events - _EVENTS))}")
    return JoinConference(
        name=name,
        starts_on_enter=_choice(noun, "startConferenceOnEnter", "true", _FLAGS) == "true",
        ends_on_exit=_choice(noun, "endConferenceOnExit", "false", _FLAGS) == "true",
        beep=_choice(noun, "beep", "true", _BEEPS),
        wait_url=noun.get("waitUrl"),
        label=noun.get("participantLabel", ""),
        most=int(noun.get("maxParticipants", "250")),
        status_callback=noun.get("statusCallback", ""),
        status_callback_method=_choice(noun, "statusCallbackMethod", "POST", frozenset({"GET", "POST"})),
        status_events=events,
        action=dial.get("action", ""),
        method=_choice(dial, "method", "POST", frozenset({"GET", "POST"})),
    )


def _choice(element: ElementTree.Element, attribute: str, default: str, allowed: frozenset[str]) -> str:
    value = element.get(attribute, default)
    if value not in allowed:
        raise ValueError(f"{attribute} must be one of {', '.join(sorted(allowed))}, not {value!r}")
    return value


@dataclass
class Participant:
    """Somebody in a conference; times in seconds of the monotonic clock."""

    call_sid: str
    verb: JoinConference
    joined_secs: float
    left_secs: float | None = None
    heard: set[str] = field(default_factory=set[str])
    """The call SIDs of those he heard: who was there with him once the conference had begun."""
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Conference:
    """One conference, from its first participant to its end. `participants` are all there ever were."""

    sid: str
    name: str
    told_at: JoinConference
    """The first participant's verb: his status callback stands, those of others are ignored."""
    status: Literal["init", "in-progress", "completed"] = "init"
    participants: list[Participant] = field(default_factory=list[Participant])
    ended_because: str = ""
    callbacks: list[WebhookAnswer] = field(default_factory=list[WebhookAnswer])
    sequence: int = 0
    news: asyncio.Queue[Mapping[str, str] | None] = field(default_factory=asyncio.Queue[Mapping[str, str] | None])

    @property
    def present(self) -> list[Participant]:
        """Those who are in it now."""
        return [one for one in self.participants if one.left_secs is None]


class ConferenceRooms:
    """The rooms of one account. `history`: every conference there was, in the order of their beginning."""

    def __init__(self) -> None:
        self.history: list[Conference] = []
        self._account_sid = ""
        self._tell: Tell | None = None
        self._keep: Keep | None = None

    def open(self, account_sid: str, tell: Tell, keep: Keep) -> None:
        """Take whose rooms they are, how the server is told, and what runs the telling."""
        self._account_sid, self._tell, self._keep = account_sid, tell, keep

    def find(self, name: str) -> Conference | None:
        """The conference of that name that goes on, if any."""
        return next((one for one in self.history if one.name == name and one.status != "completed"), None)

    async def attend(self, call_sid: str, verb: JoinConference) -> dict[str, str]:
        """Be in it until it is over for this call; cancelled, the call has left. Returns parameters for the action."""
        conference = self.find(verb.name) or self._begin(verb)
        if len(conference.present) >= verb.most:
            return {"DialCallStatus": "failed"}
        participant = self._enter(conference, call_sid, verb)
        try:
            await participant.over.wait()
        finally:
            self._leave(conference, participant)
        secs = round((participant.left_secs or 0.0) - participant.joined_secs)
        return {"DialCallStatus": "answered", "DialCallDuration": str(secs), "DialBridged": "true"}

    def _begin(self, verb: JoinConference) -> Conference:
        conference = Conference(new_sid("CF"), verb.name, verb)
        self.history.append(conference)
        if verb.status_callback and self._keep is not None:
            self._keep(self._deliver(conference))
        return conference

    def _enter(self, conference: Conference, call_sid: str, verb: JoinConference) -> Participant:
        participant = Participant(call_sid, verb, time.monotonic())
        conference.participants.append(participant)
        self._note(conference, "join", participant)
        present = conference.present
        # "Conferences will not start until at least two participants join."
        is_begun = len(present) > 1 and any(one.verb.starts_on_enter for one in conference.participants)
        if conference.status == "init" and is_begun:
            conference.status = "in-progress"
            self._note(conference, "start")
        if conference.status == "in-progress":
            for one in present:
                one.heard |= {other.call_sid for other in present if other is not one}
        return participant

    def _leave(self, conference: Conference, participant: Participant) -> None:
        if participant.left_secs is not None:
            return
        participant.left_secs = time.monotonic()
        self._note(conference, "leave", participant)
        if conference.status == "completed":
            return
        if participant.verb.ends_on_exit:
            self._end(conference, participant, "participant-with-end-conference-on-exit-left")
        elif not conference.present:
            self._end(conference, participant, "last-participant-left")

    def _end(self, conference: Conference, participant: Participant, reason: str) -> None:
        conference.status, conference.ended_because = "completed", reason
        self._note(conference, "end", CallSidEndingConference=participant.call_sid, ReasonConferenceEnded=reason)
        for one in conference.present:
            self._leave(conference, one)
            one.over.set()
        conference.news.put_nowait(None)

    def _note(self, conference: Conference, event: str, participant: Participant | None = None, /, **more: str) -> None:
        if event not in conference.told_at.status_events:
            return
        conference.sequence += 1
        form = {
            "AccountSid": self._account_sid,
            "ConferenceSid": conference.sid,
            "FriendlyName": conference.name,
            "StatusCallbackEvent": _NAMES[event],
            "SequenceNumber": str(conference.sequence),
            "Timestamp": format_datetime(datetime.now(UTC)),
            **more,
        }
        if participant is not None:
            verb = participant.verb
            form |= {
                "CallSid": participant.call_sid,
                "Muted": "false",
                "Hold": "false",
                "Coaching": "false",
                "StartConferenceOnEnter": str(verb.starts_on_enter).lower(),
                "EndConferenceOnExit": str(verb.ends_on_exit).lower(),
            }
            if verb.label:
                form["ParticipantLabel"] = verb.label
        conference.news.put_nowait(form)

    async def _deliver(self, conference: Conference) -> None:
        told = conference.told_at
        while self._tell is not None and (form := await conference.news.get()) is not None:
            answer = await self._tell(told.status_callback, told.status_callback_method, form)
            conference.callbacks.append(answer)
