"""How a simulated call is set up, and how it ended."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from simulators.answering_machine import MachineVoice
from simulators.conference import ConferenceRooms
from simulators.media_socket import Keep
from simulators.twilio_webhook import CallError, WebhookClient

EndedBy = Literal["caller", "server", "error"]
"""`caller` is the person on the telephone, whoever dialled; `server` is TwiML, REST or the end of a document."""

ENDED_STATUSES = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


@dataclass(frozen=True, slots=True)
class AnswerPolicy:
    """What happens when the server places a call.

    `machine` takes the call in a person's place, and is told of as Twilio would; without one `answered_by` is told,
    `detection_ms` after the answer, to a server that asked for machine detection: human, machine_start, ...
    Who took the call is told `told_times` times.
    `replies` are what the person does at one `<Gather>` after the other, each `reply_after_ms` after it began: presses
    keys ("1"), says words ("yes", recognized with `confidence`), or nothing (""); after the last one, nothing.
    """

    outcome: Literal["answer", "busy", "no-answer", "failed"] = "answer"
    after_ms: int = 50
    answered_by: str = "human"
    detection_ms: int = 100
    machine: MachineVoice | None = None
    told_times: int = 1
    replies: tuple[str, ...] = ()
    reply_after_ms: int = 100
    confidence: float = 0.9


@dataclass(frozen=True, slots=True)
class DialOutcome:
    """What `<Dial>` meets: `status` becomes `DialCallStatus` after `ring_ms`; an answered one talks for `talk_ms`.

    One that rings longer than the verb lets it has not answered.
    """

    status: Literal["completed", "answered", "busy", "no-answer", "failed", "canceled"] = "completed"
    ring_ms: int = 50
    talk_ms: int = 200


@dataclass(frozen=True, slots=True)
class Detection:
    """How Twilio is to tell a machine from a person; the defaults are its own."""

    timeout_secs: float = 30
    speech_threshold_ms: int = 2400
    speech_end_threshold_ms: int = 1200


@dataclass(frozen=True, slots=True)
class CallSetup:
    """How a call comes about: whom it joins, which URLs serve it, and how its far end behaves."""

    to: str
    from_: str
    direction: Literal["inbound", "outbound-api"]
    voice_url: str = ""
    voice_method: str = "POST"
    twiml: str = ""
    fallback_url: str = ""
    fallback_method: str = "POST"
    status_callback: str = ""
    status_callback_method: str = "POST"
    status_events: frozenset[str] = frozenset({"completed"})
    time_limit_secs: float = 14400
    ring_secs: float = 60
    machine_detection: str = ""
    detection: Detection = field(default_factory=Detection)
    async_amd: bool = False
    async_amd_callback: str = ""
    policy: AnswerPolicy = field(default_factory=AnswerPolicy)
    dial_outcome: DialOutcome = field(default_factory=DialOutcome)
    dial_outcomes: Mapping[str, DialOutcome] = field(default_factory=dict[str, DialOutcome])

    def dial_outcome_of(self, address: str) -> DialOutcome:
        """What `<Dial>` meets at this address."""
        return self.dial_outcomes.get(address, self.dial_outcome)


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How a call ended. `duration_ms` counts from the answer; `verbs` are (at_ms since dialling, verb, detail)."""

    status: str
    ended_by: EndedBy
    verbs: list[tuple[int, str, str]]
    errors: list[CallError]
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Network:
    """What every call of a simulator shares. `keep` runs what outlasts a call."""

    account_sid: str
    auth_token: str
    webhooks: WebhookClient
    trust: ssl.SSLContext
    say_word_ms: int
    keep: Keep
    rooms: ConferenceRooms
