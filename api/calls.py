"""`/v1/calls`: place a call, look at calls, call one off or hang up."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from api.api_keys import MayDial, MayList, MayRead, MayWrite
from api.asking import agents_of, check_agent, may_also
from api.call_shapes import CallDetail, CallPage, CallShown, show_call, show_detail
from api.deps import Services, ServicesDep
from api.idempotency import REPLAYED
from api.paging import cursor_after, position_of
from api.patience import database_in_time
from api.problems import problems
from api.shapes import CallId, Cursor, Limit, Number, When
from calling.errors import BadRequest, NoSuchCall
from calling.request import read_request
from storage.keyset import Position
from telephony.machine_detection import AnsweredBy
from transcripts.call import CallStatus, Direction, EndReason
from transcripts.call_list import CallFilter, CallList
from transcripts.models import CallEventRow, CallRow, OutgoingRow, TurnRow
from transcripts.piecewise import read_events, read_turns

router = APIRouter(prefix="/v1/calls", tags=["calls"])

_LONGEST_KEY = 200
_TELL_SECS = 2.0
_MOST_EVENTS = 5_000
_PARTS = ("turns", "tools", "events", "latency", "cost", "analysis")
_NEEDS_EVENTS = frozenset({"tools", "events", "latency"})
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/CallRequest"},
                "examples": {
                    "now": {
                        "summary": "At once",
                        "value": {
                            "agent": "front-desk",
                            "to": "+15551230177",
                            "variables": {"business": "Blue Door Dental"},
                        },
                    },
                    "later": {
                        "summary": "At a time, with other words",
                        "value": {
                            "agent": "front-desk",
                            "to": "+15551230177",
                            "at": "2026-03-01T09:00:00+01:00",
                            "overrides": {"greeting": "Good morning!"},
                        },
                    },
                },
            }
        },
    }
}

Include = Annotated[
    str | None,
    Query(
        pattern=rf"^(none|({'|'.join(_PARTS)})(,({'|'.join(_PARTS)}))*)$",
        max_length=100,
        description=f"Which parts to show: any of {', '.join(_PARTS)}, comma between, or none; left out: all.",
        examples=["turns,latency"],
    ),
]


@router.post(
    "",
    status_code=201,
    responses=problems(400, 404, 408, 409, 413, 415, 502) | {200: {"model": CallShown, "description": "The same call"}},
    openapi_extra=_BODY,
)
async def place_call(
    request: Request,
    response: Response,
    services: ServicesDep,
    asked_by: MayDial,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> CallShown:
    """Place a call, now or at the time in `at`. 201 and the call; 200 for a request that was made before.

    The answer waits for Twilio's; when that is late the call is `queued`.
    """
    if idempotency_key is not None and not (
        0 < len(idempotency_key) <= _LONGEST_KEY and idempotency_key.isascii() and idempotency_key.isprintable()
    ):
        raise BadRequest(f"Idempotency-Key: must be 1 to {_LONGEST_KEY} printable ASCII characters.")
    wanted = read_request(await request.body())
    check_agent(request, wanted.agent)
    outgoing, is_new = await services.dialler.place(wanted, requested_by=asked_by, idempotency_key=idempotency_key)
    if is_new:
        await services.audit.note(
            asked_by, "calls.place", "call", outgoing.call.call_id, request=request, detail={"agent": wanted.agent}
        )
    else:
        response.status_code = 200
        response.headers[REPLAYED] = "true"
    response.headers["Location"] = f"/v1/calls/{outgoing.call.call_id}"
    return show_call(outgoing.call, outgoing.order)


def wanted_calls(
    agent: Annotated[str | None, Query(min_length=1, max_length=100, description="Who speaks.")] = None,
    direction: Direction | None = None,
    status: CallStatus | None = None,
    end_reason: EndReason | None = None,
    number: Annotated[Number | None, Query(description="One of the two that were connected; + is %2B here.")] = None,
    answered_by: Annotated[AnsweredBy | None, Query(description="Who took a placed call.")] = None,
    has_recording: Annotated[bool | None, Query(description="Whether it can be heard.")] = None,
    since: Annotated[When | None, Query(description="Calls of that moment and later, by `created_at`.")] = None,
    until: Annotated[When | None, Query(description="Calls before that moment.")] = None,
    words: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=200,
            description="Up to 10 whole words, each of them said in the call; of agents with `search: true`.",
            examples=["table sunday"],
        ),
    ] = None,
) -> CallFilter:
    """Return which calls are wanted."""
    return CallFilter(
        agent=agent,
        direction=direction,
        status=status,
        end_reason=end_reason,
        number=number,
        answered_by=answered_by,
        has_recording=has_recording,
        since=since,
        until=until,
        words=words,
    )


@router.get("", responses=problems(422))
async def list_calls(
    request: Request,
    services: ServicesDep,
    _asked_by: MayList,
    wanted: Annotated[CallFilter, Depends(wanted_calls)],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CallPage:
    """List calls of any direction, newest first, a page at a time."""
    filters = {name: getattr(wanted, name) for name in CallFilter.__dataclass_fields__}
    behind = position_of(cursor, filters)
    async with database_in_time():
        found = CallList(services.database)
        rows = await found.page(wanted.only(agents_of(request)), limit + 1, behind)
    page = rows[:limit]
    last = page[-1][0] if len(rows) > limit else None
    return CallPage(
        calls=[show_call(row, order) for row, order in page],
        next_cursor=None if last is None else cursor_after(Position(last.created_at, last.call_id), filters),
    )


@router.get("/{call_id}", responses=problems(404))
async def read_call(
    call_id: CallId, request: Request, services: ServicesDep, _asked_by: MayRead, include: Include = None
) -> CallDetail:
    """Show one call: what was said, what its tools did, what happened, how long the caller waited for what, its cost.

    What it cost and what was made of it are shown to keys that may see these, see `usage:read` and `analysis:read`.
    """
    parts = frozenset(_PARTS if include is None else include.split(","))
    async with database_in_time():
        row, order = await find_call(request, services, call_id)
        turns = await _read_turns(services, call_id) if "turns" in parts else None
        events, is_cut = await _read_events(services, call_id) if parts & _NEEDS_EVENTS else (None, False)
        after = services.after_call
        has_cost = "cost" in parts and may_also(request, "usage:read")
        costs = await after.ledger.of_call(call_id) if has_cost else None
        has_analysis = "analysis" in parts and may_also(request, "analysis:read")
        analysis = await after.analyses.get(call_id) if has_analysis else None
    return show_detail(
        row, order, turns=turns, events=events, costs=costs, analysis=analysis, parts=parts, is_cut=is_cut
    )


@router.post("/{call_id}/hang-up", responses=problems(404, 502))
async def hang_up(call_id: CallId, request: Request, services: ServicesDep, asked_by: MayWrite) -> CallShown:
    """End a call: one that is queued or rings is called off, a live one is hung up. One that is over stays as it is.

    Answers the call as it is then; a live one may take a moment longer to be over.
    """
    async with database_in_time():
        row, _order = await find_call(request, services, call_id)
        was = row.status
        if row.status in (CallStatus.QUEUED, CallStatus.RINGING):
            await _call_off(services, row)
            row = await services.store.get_call(call_id) or row
        if row.status == CallStatus.LIVE:
            await _end_live(services, row)
        row, order = await find_call(request, services, call_id)
    if was != CallStatus.ENDED:
        await services.audit.note(asked_by, "calls.hang_up", "call", call_id, request=request)
    return show_call(row, order)


async def find_call(request: Request, services: Services, call_id: str) -> tuple[CallRow, OutgoingRow | None]:
    """Return a call that whoever asks may see, and what else is known of a placed one.

    Raises:
        NoSuchCall: there is none, or it is of an agent that is none of his business.
        DatabaseAway: nobody knows.
    """
    outgoing = await services.dialler.find(call_id)
    row = outgoing.call if outgoing is not None else await services.store.get_call(call_id)
    agents = agents_of(request)
    if row is None or (agents is not None and row.agent_name not in agents):
        raise NoSuchCall
    return row, None if outgoing is None else outgoing.order


async def _call_off(services: Services, row: CallRow) -> None:
    if await services.dialler.find(row.call_id) is not None:
        await services.dialler.call_off(row.call_id)
    elif row.call_sid is not None:
        # Somebody phones us, and is not yet through: Twilio ends that, and tells.
        await services.dialler.hang_up(row.call_sid, row.call_id)


async def _end_live(services: Services, row: CallRow) -> None:
    """Have the call ended where it is; Twilio ends one that no process holds."""
    live = services.live.get(row.call_id)
    if live is not None:
        live.end(EndReason.ENDED_BY_API)
        return
    told = await services.colleagues.run_errand("end_call", call_id=row.call_id, timeout_secs=_TELL_SECS)
    if told is None and row.call_sid is not None:
        await services.dialler.hang_up(row.call_sid, row.call_id)


async def _read_turns(services: Services, call_id: str) -> list[TurnRow]:
    turns = [turn async for piece in read_turns(services.database, call_id) for turn in piece]
    return sorted(turns, key=lambda turn: (turn.start_ms, turn.position))


async def _read_events(services: Services, call_id: str) -> tuple[list[CallEventRow], bool]:
    events: list[CallEventRow] = []
    pieces = read_events(services.database, call_id)
    try:
        async for piece in pieces:
            events += piece
            if len(events) > _MOST_EVENTS:
                return events[:_MOST_EVENTS], True
    finally:
        await pieces.aclose()
    return events, False
