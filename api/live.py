"""`/v1/events` and `/v1/calls/{call_id}/events`: what happens, as server-sent events, while it happens."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.sse import format_sse_event

from api.api_keys import MayFollow, MayFollowAll
from api.asking import agents_of
from api.call_events import follow_call
from api.call_shapes import EventShown
from api.calls import find_call
from api.deps import Services, ServicesDep
from api.errors import BadEventId
from api.event_stream import LOOK_SECS, EventStream, Source
from api.patience import database_in_time
from api.problems import problems
from api.shapes import CallId, Moment, Shown
from transcripts.call import CallStatus, Direction, EndReason
from transcripts.moves import Moves, Place, read_place

router = APIRouter(prefix="/v1", tags=["calls"])

_SPACE_SECS = LOOK_SECS / 2

Follow = Annotated[bool, Query(description="false: what is stored, and then the end.")]
LastSeq = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        pattern=r"^[0-9]{1,9}$",
        description="Go on behind this event, by its `seq`; left out: from the beginning.",
    ),
]
LastPlace = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        pattern=r"^[0-9]{1,18}-[0-9]{1,18}$",
        description="Go on behind this event; left out: with what happens from now on.",
    ),
]


class CallMoved(Shown):
    """A call came to a status."""

    kind: str
    call_id: str
    agent: str
    direction: Direction
    status: CallStatus
    end_reason: EndReason | None
    at: Moment


def _stream_of(model: type[Shown], told: str) -> dict[int | str, dict[str, Any]]:
    """Return how the document describes a stream: what each of its events is."""
    ended: dict[str, Any] = {"type": "object", "maxProperties": 0, "description": "Of `event: end`."}
    data: dict[str, Any] = {"anyOf": [{"$ref": f"#/components/schemas/{model.__name__}"}, ended]}
    event: dict[str, Any] = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "Given as Last-Event-ID, the stream goes on behind this event."},
            "event": {"type": "string", "enum": ["message", "end"]},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
            "retry": {"type": "integer", "description": "When to come back after the end; ms."},
        },
    }
    return {200: {"description": told, "content": {EventStream.media_type: {"schema": event}}}}


@router.get(
    "/calls/{call_id}/events",
    status_code=200,
    response_class=EventStream,
    responses=problems(404) | _stream_of(EventShown, "What happened and what happens in the call."),
)
async def follow_call_events(
    call_id: CallId,
    request: Request,
    services: ServicesDep,
    _asked_by: MayFollow,
    follow: Follow = True,
    last_event_id: LastSeq = None,
) -> EventStream:
    """Tell all that happened in a call and then what happens, until it is over; `event: end` comes last.

    `data` is an event as in GET /v1/calls/{call_id}, `id` is its `seq`. Comments keep the connection alive.
    """
    async with database_in_time():
        await find_call(request, services, call_id)
    after = -1 if last_event_id is None else int(last_event_id)
    return EventStream(request, services, _events(services, call_id, after, is_live=follow))


@router.get(
    "/events",
    status_code=200,
    response_class=EventStream,
    responses=_stream_of(CallMoved, "What happens to calls."),
)
async def follow_calls(
    request: Request,
    services: ServicesDep,
    _asked_by: MayFollowAll,
    follow: Follow = True,
    last_event_id: LastPlace = None,
) -> EventStream:
    """Tell of each call of every process and machine when it is asked for, rings, is live, is over.

    `data` has `kind` (`call.queued`, `call.ringing`, `call.live`, `call.ended`), `call_id`, `agent`, `direction`,
    `status`, `end_reason` and `at`. Comments keep the connection alive.
    """
    moves = Moves(services.database)
    async with database_in_time():
        if last_event_id is None:
            place = await moves.last()
        else:
            given = read_place(last_event_id)
            if given is None or not await moves.is_possible(given):
                raise BadEventId
            place = given
    return EventStream(request, services, _moves(moves, place, agents_of(request), is_live=follow))


async def _events(services: Services, call_id: str, after: int, *, is_live: bool) -> Source:
    rows = follow_call(services, call_id, after, is_live=is_live)
    try:
        async for row in rows:
            if row is None:
                yield None
                continue
            shown = EventShown(seq=row.seq, at_ms=row.at_ms, kind=row.kind, data=row.data)
            yield format_sse_event(data_str=shown.model_dump_json(), id=str(row.seq))
        yield format_sse_event(event="end", data_str="{}")
    finally:
        await rows.aclose()


async def _moves(moves: Moves, place: Place, agents: frozenset[str] | None, *, is_live: bool) -> Source:
    # Whoever loses the connection before anything has happened knows already where to go on.
    yield format_sse_event(id=str(place))
    while True:
        # Whoever sees few agents must not look through the calls of all others again and again.
        seen = place if agents is None else await moves.last()
        found = await moves.after(place, agents)
        for move in found:
            place = move.place
            shown = CallMoved(
                kind=f"call.{move.status}",
                call_id=move.call_id,
                agent=move.agent_name,
                direction=Direction(move.direction),
                status=CallStatus(move.status),
                end_reason=None if move.end_reason is None else EndReason(move.end_reason),
                at=move.at,
            )
            yield format_sse_event(data_str=shown.model_dump_json(), id=str(place))
        if not found and not is_live:
            yield format_sse_event(event="end", data_str="{}")
            return
        if not found:
            if seen > place:
                place = seen
                yield format_sse_event(id=str(place))
            yield None
            await asyncio.sleep(_SPACE_SECS)
