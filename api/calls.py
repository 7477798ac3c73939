"""`/v1/calls`: place a call, look at calls, call one off or hang up."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from api.api_keys import MayRead, MayWrite
from api.deps import Services, ServicesDep
from api.patience import database_in_time
from calling.errors import BadRequest, NoSuchCall
from calling.request import read_request
from transcripts.call import CallStatus, EndReason
from transcripts.models import CallRow, OutgoingRow

router = APIRouter(prefix="/v1/calls", tags=["calls"])

_MOST_LISTED = 200
_LONGEST_KEY = 200
_TELL_SECS = 2.0


@router.post("", status_code=201)
async def place_call(
    request: Request,
    response: Response,
    services: ServicesDep,
    asked_by: MayWrite,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    """Place a call, now or at the time in `at`. 201 and the call; 200 for a request that was made before.

    The body is `calling.request.CallRequest`. The answer waits for Twilio's; when that is late the call is `queued`.
    """
    if idempotency_key is not None and not (
        0 < len(idempotency_key) <= _LONGEST_KEY and idempotency_key.isascii() and idempotency_key.isprintable()
    ):
        raise BadRequest(f"Idempotency-Key: must be 1 to {_LONGEST_KEY} printable ASCII characters.")
    wanted = read_request(await request.body())
    outgoing, is_new = await services.dialler.place(wanted, requested_by=asked_by, idempotency_key=idempotency_key)
    if not is_new:
        response.status_code = 200
    response.headers["Location"] = f"/v1/calls/{outgoing.call.call_id}"
    return describe(outgoing.call, outgoing.order)


@router.get("")
async def list_calls(
    services: ServicesDep,
    _asked_by: MayRead,
    limit: Annotated[int, Query(ge=1, le=_MOST_LISTED)] = 50,
    agent: Annotated[str | None, Query(max_length=100)] = None,
) -> dict[str, Any]:
    """List the latest calls of any direction, newest first."""
    async with database_in_time():
        rows = await services.store.list_calls(limit, agent)
    return {"calls": [describe(row) for row in rows]}


@router.get("/{call_id}")
async def show_call(call_id: str, services: ServicesDep, _asked_by: MayRead) -> dict[str, Any]:
    """Show one call."""
    async with database_in_time():
        return await _show(services, call_id)


@router.post("/{call_id}/hang-up")
async def hang_up(call_id: str, services: ServicesDep, _asked_by: MayWrite) -> dict[str, Any]:
    """End a call: one that is queued or rings is called off, a live one is hung up. One that is over stays as it is.

    Answers the call as it is then; a live one may take a moment longer to be over.
    """
    async with database_in_time():
        row = await services.store.get_call(call_id)
        if row is None:
            raise NoSuchCall
        if row.status in (CallStatus.QUEUED, CallStatus.RINGING):
            await _call_off(services, row)
            row = await services.store.get_call(call_id) or row
        if row.status == CallStatus.LIVE:
            await _end_live(services, row)
        return await _show(services, call_id)


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


async def _show(services: Services, call_id: str) -> dict[str, Any]:
    outgoing = await services.dialler.find(call_id)
    if outgoing is not None:
        return describe(outgoing.call, outgoing.order)
    row = await services.store.get_call(call_id)
    if row is None:
        raise NoSuchCall
    return describe(row)


def describe(row: CallRow, order: OutgoingRow | None = None) -> dict[str, Any]:
    """Return a call as the API shows it; times are ISO 8601 in UTC."""
    shown: dict[str, Any] = {
        "call_id": row.call_id,
        "status": row.status,
        "direction": row.direction,
        "agent": row.agent_name,
        "agent_version": row.agent_version,
        "from": row.from_number,
        "to": row.to_number,
        "variables": dict(row.variables),
        "overrides": dict(row.overrides or {}),
        "call_sid": row.call_sid,
        "created_at": _moment(row.created_at),
        "live_at": _moment(row.live_at),
        "ended_at": _moment(row.ended_at),
        "end_reason": row.end_reason,
        "transfers": list(row.transfer_attempts or []),
        "answered_by": row.answered_by,
    }
    if order is not None:
        shown |= {
            "at": _moment(order.due_at),
            "ring_secs": order.ring_secs,
            "dialled_at": _moment(order.dialled_at),
            "answered_secs": order.answered_secs,
            "problem": order.problem,
            "problem_code": order.problem_code,
        }
    return shown


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
