"""What a conversation with the stand-in Gemini leaves behind for a test to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

Json = dict[str, Any]


class Received(NamedTuple):
    """One client message. `time`: seconds of the monotonic clock. `payload`: its body with camelCase keys.

    Kinds: setup, clientContent, audio, text, activityStart, activityEnd, audioStreamEnd, toolResponse, contextUpdate.
    Audio is kept as {"rateHz": int, "lengthMs": float}, without its samples.
    """

    time: float
    kind: str
    payload: Json


@dataclass(frozen=True, slots=True)
class Heard:
    """One utterance of the caller, in ms of received audio. `clip`: the recognised clip's id, or None."""

    clip: str | None
    start_ms: int
    end_ms: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class ToolResult:
    """One function response. `is_expected` is False when no such call was open: answered, cancelled or never made."""

    call_id: str
    name: str
    response: Json
    is_expected: bool
    time: float
