"""What receivers are told: ids and facts always, words only where the operator has said so. Pure."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from aftercall.models import AnalysisRow
from config.webhooks import WebhookEvent
from telemetry.moments import moment_text
from transcripts.models import CallRow, TurnRow


def message_id(call_id: str, event: WebhookEvent, run: int = 1) -> str:
    """Return the id of an event, which is the same however often it is worked out; `run` is that of an analysis."""
    again = f"_{run}" if run > 1 else ""
    return f"msg_{call_id}_{event.value.removeprefix('call.')}{again}"


def payload(
    event: WebhookEvent,
    call: CallRow,
    at: datetime,
    *,
    include: frozenset[str] = frozenset(),
    turns: Sequence[TurnRow] = (),
    analysis: AnalysisRow | None = None,
    micro_usd: int | None = None,
) -> str:
    """Return the body, JSON; `at` (aware) is when it happened, `micro_usd` what the call has cost so far."""
    data: dict[str, Any] = {
        "call_id": call.call_id,
        "call_sid": call.call_sid,
        "agent": call.agent_name,
        "agent_version": call.agent_version,
        "direction": call.direction,
        "status": call.status if event is not WebhookEvent.CALL_STARTED else "live",
        "created_at": moment_text(call.created_at),
        "live_at": call.live_at and moment_text(call.live_at),
    }
    if event is not WebhookEvent.CALL_STARTED:
        data |= _end_of(call, micro_usd)
    if "numbers" in include:
        data |= {"from": call.from_number, "to": call.to_number}
    if "variables" in include:
        data["variables"] = dict(call.variables)
    if "transcript" in include and event is not WebhookEvent.CALL_STARTED:
        data["transcript"] = [_turn(turn) for turn in turns]
    if event is WebhookEvent.CALL_ANALYZED and analysis is not None:
        data["analysis"] = analysis_facts(analysis, with_words="analysis" in include)
    whole = {"type": event.value, "timestamp": moment_text(at), "data": data}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


def analysis_facts(analysis: AnalysisRow, *, with_words: bool) -> dict[str, Any]:
    """Return how an analysis stands, and what it says where that is wanted."""
    facts: dict[str, Any] = {"status": analysis.status, "problem": analysis.problem, "run": analysis.run}
    return facts | {"result": analysis.result} if with_words else facts


def _end_of(call: CallRow, micro_usd: int | None) -> Mapping[str, Any]:
    secs = None
    if call.live_at is not None and call.ended_at is not None:
        secs = round((call.ended_at - call.live_at).total_seconds(), 3)
    return {
        "ended_at": call.ended_at and moment_text(call.ended_at),
        "end_reason": call.end_reason,
        "live_secs": secs,
        "answered_by": call.answered_by,
        "recording": call.recording_status,
        "cost_micro_usd": micro_usd,
    }


def _turn(turn: TurnRow) -> dict[str, Any]:
    return {
        "speaker": turn.speaker,
        "text": turn.text,
        "start_ms": turn.start_ms,
        "end_ms": turn.end_ms,
        "interrupted": turn.interrupted,
    }
