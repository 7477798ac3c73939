"""A call as the API shows it: in lists, and with all that is known of it."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from pydantic import ConfigDict, Field

from aftercall.models import AnalysisProblem, AnalysisRow, AnalysisStatus, CostRow
from api.shapes import Moment, Shown
from transcripts.call import CallStatus, Direction, EndReason, RecordingStatus, Speaker
from transcripts.call_times import Told, ToolOutcome, times_of, tool_calls
from transcripts.models import CallEventRow, CallRow, OutgoingRow, TurnRow

_ID = "3f0b6c9a51d24e7e9a1d5b7c8e2f4a60"


class RecordingShown(Shown):
    """What became of the recording."""

    status: RecordingStatus = Field(description="`recording` on a call that is over: its process died.")
    error: str | None = Field(description="Why it failed, in one sentence.")
    url: str | None = Field(description="Where it can be heard, with the scope `recordings:read`; null: there is none.")


_EXAMPLE: dict[str, Any] = {
    "call_id": _ID,
    "status": "ended",
    "direction": "outbound",
    "agent": "front-desk",
    "agent_version": None,
    "from": "+15551230100",
    "to": "+15551230177",
    "variables": {"business": "Blue Door Dental"},
    "overrides": {},
    "call_sid": "CA11111111111111111111111111111111",
    "created_at": "2026-03-01T09:00:00Z",
    "live_at": "2026-03-01T09:00:09.500000Z",
    "ended_at": "2026-03-01T09:01:13.250000Z",
    "duration_secs": 63.75,
    "end_reason": "caller_hung_up",
    "transfers": [],
    "answered_by": "human",
    "recording": {"status": "none", "error": None, "url": None},
    "at": None,
    "ring_secs": 30,
    "dialled_at": "2026-03-01T09:00:00.125000Z",
    "answered_secs": 64,
    "problem": None,
    "problem_code": None,
}


class CallShown(Shown):
    """A call, without what was said in it."""

    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra={"examples": [_EXAMPLE]},
    )

    call_id: str
    status: CallStatus
    direction: Direction
    agent: str = Field(description="Who speaks.")
    agent_version: int | None = Field(description="Which version of an agent that was made over the API.")
    from_number: str | None = Field(alias="from", description="E.164; null in a browser.")
    to_number: str | None = Field(alias="to", description="E.164; null in a browser.")
    variables: dict[str, Any]
    overrides: dict[str, Any] = Field(description="What is otherwise in this call than in its agent.")
    call_sid: str | None = Field(description="Twilio's id of the call.")
    created_at: Moment = Field(description="When it rang here, or was asked for.")
    live_at: Moment | None = Field(description="When somebody was on the line.")
    ended_at: Moment | None
    duration_secs: float | None = Field(description="From `live_at` to `ended_at`.")
    end_reason: EndReason | None = Field(description="Why it ended; null before that.")
    transfers: list[dict[str, Any]] = Field(description="Who was rung for the caller, and what became of it.")
    answered_by: str | None = Field(description="Who took a placed call, in Twilio's word.")
    recording: RecordingShown
    at: Moment | None = Field(description="When a placed call was to be placed; null: at once.")
    ring_secs: int | None = Field(description="How long the phone of a placed call rings; seconds.")
    dialled_at: Moment | None = Field(description="When Twilio was first asked to place it.")
    answered_secs: int | None = Field(description="How long a placed call lasted from its answer on, by Twilio.")
    problem: str | None = Field(description="Why it was not placed, in one sentence.")
    problem_code: int | None = Field(description="Twilio's error code behind it.")


class CallPage(Shown):
    """A page of calls."""

    calls: list[CallShown]
    next_cursor: str | None = Field(description="Gives the next page as `cursor`; null: this is the last one.")


class TurnShown(Shown):
    """One utterance, as far as it was heard. Moments are ms of call time: 0 is the start of the stream."""

    speaker: Speaker
    text: str
    start_ms: int
    end_ms: int
    interrupted: bool
    error: str | None = Field(description="What went wrong just before it.")


class ToolCallShown(Shown):
    """One use of a tool. Arguments that are secret are hidden."""

    name: str
    at_ms: int = Field(description="When the model asked for it; ms of call time.")
    arguments: dict[str, Any] | None
    outcome: ToolOutcome
    result: Any = Field(description="What the model was given.")
    problem: str | None = Field(description="Why it failed or was refused.")
    took_ms: int | None = Field(description="From the model's wish to the result; ms.")


class EventShown(Shown):
    """Something that happened. `seq` counts a call's events as they were told."""

    seq: int
    at_ms: int = Field(description="When; ms of call time.")
    kind: str = Field(examples=["turn.caller"])
    data: dict[str, Any]


class SpreadShown(Shown):
    """How durations are spread; ms."""

    count: int
    p50: int = Field(description="Half of them are not longer.")
    p95: int = Field(description="95 of 100 are not longer.")
    max: int


class ReplyShown(Shown):
    """One reply."""

    at_ms: int = Field(description="When the agent began to be heard; ms of call time.")
    ms: int = Field(description="How long the caller had been silent by then; ms.")


class LatencyShown(Shown):
    """How long the caller waited for what, measured where he hears it; ms. Null: it never came to that."""

    connect_ms: int | None = Field(description="From `created_at` to `live_at`: a phone rang and was answered.")
    first_word_ms: int | None = Field(description="From the start of the stream to the agent's first sound.")
    reply_ms: SpreadShown | None = Field(
        description="From the end of the caller's words to the first sound of the agent's reply: hearing that he is "
        "done, the model, the network and the playing together."
    )
    replies: list[ReplyShown] = Field(description="Each of them.")
    model_ready_ms: int | None = Field(description="How long the model took to be connected, the first time.")
    recoveries: int = Field(description="How often a model that was lost or stalled was replaced in mid-call.")
    tools: dict[str, SpreadShown] = Field(description="By tool, from the model's wish to the result.")


class CostItem(Shown):
    """So much of one thing that the call used."""

    item: str = Field(description="What was used.", examples=["audio_out"])
    source: str = Field(description="By what: conversation, consent, sentences, analysis, call, transfer and so on.")
    model: str = Field(description="Which model used tokens; empty for anything else.")
    unit: str
    quantity: int
    price_usd: str | None = Field(description="The price of `price_per`, as it stood on `price_date`.")
    price_per: str | None
    price_date: date | None
    micro_usd: int = Field(description="Quantity times price, in millionths of a US dollar.")


class CostShown(Shown):
    """What a call cost. It grows until some minutes after the end, when Twilio has told the length."""

    micro_usd: int = Field(description="Its sum, in millionths of a US dollar.")
    items: list[CostItem]


class AnalysisPart(Shown):
    """What was made of a call once it was over."""

    status: AnalysisStatus
    problem: AnalysisProblem | None = Field(description="Why there is no result.")
    requested_at: Moment
    finished_at: Moment | None
    result: dict[str, Any] | None = Field(description="Summary, fields, success and sentiment.")


class CallDetail(CallShown):
    """A call with what is known of it; parts that were not asked for with `include` are null."""

    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {
                    **_EXAMPLE,
                    "turns": [
                        {
                            "speaker": "agent",
                            "text": "Good morning.",
                            "start_ms": 600,
                            "end_ms": 1500,
                            "interrupted": False,
                            "error": None,
                        }
                    ],
                    "tools": [],
                    "events": [],
                    "events_left_off": False,
                    "latency": None,
                    "cost": {"micro_usd": 0, "items": []},
                    "analysis": None,
                }
            ]
        },
    )

    turns: list[TurnShown] | None
    tools: list[ToolCallShown] | None
    events: list[EventShown] | None
    events_left_off: bool = Field(description="There are more events; GET /v1/calls/{call_id}/events has them all.")
    latency: LatencyShown | None
    cost: CostShown | None = Field(description="For keys with the scope `usage:read`.")
    analysis: AnalysisPart | None = Field(description="For keys with the scope `analysis:read`; null: there is none.")


def show_call(row: CallRow, order: OutgoingRow | None = None) -> CallShown:
    """Return a call as lists show it."""
    return CallShown(**_fields(row, order))


def show_detail(
    row: CallRow,
    order: OutgoingRow | None,
    *,
    turns: Sequence[TurnRow] | None,
    events: Sequence[CallEventRow] | None,
    costs: Sequence[CostRow] | None,
    analysis: AnalysisRow | None,
    parts: frozenset[str],
    is_cut: bool,
) -> CallDetail:
    """Return a call with the parts that are asked for; `is_cut`: there are more events than were read."""
    ordered = sorted(events or (), key=lambda event: (event.at_ms, event.seq))
    told = [Told(event.kind, event.at_ms, event.data) for event in ordered]
    return CallDetail(
        **_fields(row, order),
        turns=None if turns is None else [_turn(turn) for turn in turns],
        tools=[ToolCallShown(**asdict(call)) for call in tool_calls(told)] if "tools" in parts else None,
        events=[_event(event) for event in ordered] if "events" in parts else None,
        events_left_off=is_cut,
        latency=_latency(row, told) if "latency" in parts else None,
        cost=None if costs is None else _cost(costs),
        analysis=None if analysis is None else _analysis(analysis),
    )


def _fields(row: CallRow, order: OutgoingRow | None) -> dict[str, Any]:
    has_recording = row.recording_status == RecordingStatus.COMPLETE
    return {
        "call_id": row.call_id,
        "status": row.status,
        "direction": row.direction,
        "agent": row.agent_name,
        "agent_version": row.agent_version,
        "from_number": row.from_number,
        "to_number": row.to_number,
        "variables": dict(row.variables),
        "overrides": dict(row.overrides or {}),
        "call_sid": row.call_sid,
        "created_at": row.created_at,
        "live_at": row.live_at,
        "ended_at": row.ended_at,
        "duration_secs": _secs(row.live_at, row.ended_at),
        "end_reason": row.end_reason,
        "transfers": list(row.transfer_attempts or []),
        "answered_by": row.answered_by,
        "recording": RecordingShown(
            status=RecordingStatus(row.recording_status),
            error=row.recording_error,
            url=f"/v1/calls/{row.call_id}/recording" if has_recording else None,
        ),
        "at": None if order is None else order.due_at,
        "ring_secs": None if order is None else order.ring_secs,
        "dialled_at": None if order is None else order.dialled_at,
        "answered_secs": None if order is None else order.answered_secs,
        "problem": None if order is None else order.problem,
        "problem_code": None if order is None else order.problem_code,
    }


def _secs(since: datetime | None, until: datetime | None) -> float | None:
    return None if since is None or until is None else max(0.0, (until - since).total_seconds())


def _turn(turn: TurnRow) -> TurnShown:
    return TurnShown(
        speaker=Speaker(turn.speaker),
        text=turn.text,
        start_ms=turn.start_ms,
        end_ms=turn.end_ms,
        interrupted=turn.interrupted,
        error=turn.error,
    )


def _event(event: CallEventRow) -> EventShown:
    return EventShown(seq=event.seq, at_ms=event.at_ms, kind=event.kind, data=event.data)


def _cost(costs: Sequence[CostRow]) -> CostShown:
    items = [CostItem(**{name: getattr(cost, name) for name in CostItem.model_fields}) for cost in costs]
    return CostShown(micro_usd=sum(item.micro_usd for item in items), items=items)


def _analysis(row: AnalysisRow) -> AnalysisPart:
    return AnalysisPart(
        status=AnalysisStatus(row.status),
        problem=None if row.problem is None else AnalysisProblem(row.problem),
        requested_at=row.requested_at,
        finished_at=row.finished_at,
        result=row.result,
    )


def _latency(row: CallRow, told: Sequence[Told]) -> LatencyShown:
    times, connect_secs = times_of(told), _secs(row.created_at, row.live_at)
    return LatencyShown(
        connect_ms=None if connect_secs is None else round(connect_secs * 1000),
        first_word_ms=times.first_word_ms,
        reply_ms=None if times.reply is None else SpreadShown(**asdict(times.reply)),
        replies=[ReplyShown(**asdict(reply)) for reply in times.replies],
        model_ready_ms=times.model_ready_ms,
        recoveries=times.recoveries,
        tools={name: SpreadShown(**asdict(found)) for name, found in times.tools.items()},
    )
