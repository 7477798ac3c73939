"""`/v1/do-not-call`: numbers that are dialled for no agent, because whoever has them asked for it."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import Field

from api.api_keys import needs
from api.deps import ServicesDep
from api.errors import NotListed
from api.paging import cursor_after, position_of
from api.patience import database_in_time
from api.problems import problems
from api.shapes import Cursor, Limit, Moment, Shown
from storage.keyset import Position
from transcripts.do_not_call import DoNotCallRow, Source

router = APIRouter(prefix="/v1/do-not-call", tags=["people"])

MayReadPeople = Annotated[str, Depends(needs("people:read"))]
MayWritePeople = Annotated[str, Depends(needs("people:write"))]
Number = Annotated[
    str,
    Path(
        pattern=r"^\+[1-9][0-9]{6,14}$",
        description="A telephone number, E.164; its + is written %2B in a path.",
        examples=["+15551230177"],
    ),
]


class DoNotCallEntry(Shown):
    """A number that is not called."""

    number: str | None = Field(description="E.164; null when its owner was erased and only a keyed hash is kept.")
    index: str = Field(description="The keyed hash that the number is found by.")
    source: Source = Field(description="Who entered it: the API, the operator, a file, or an agent in a call.")
    noted_by: str = Field(description="The key's or the call's id, or empty.")
    created_at: Moment


class DoNotCallPage(Shown):
    """Entries, newest first."""

    numbers: list[DoNotCallEntry]
    next_cursor: str | None


@router.get("")
async def list_do_not_call(
    services: ServicesDep, _asked_by: MayReadPeople, limit: Limit = 50, cursor: Cursor = None
) -> DoNotCallPage:
    """List the numbers that are not called, newest first."""
    behind = position_of(cursor, {})
    async with database_in_time():
        rows = await services.do_not_call.list_entries(limit + 1, behind)
    last = rows[limit - 1] if len(rows) > limit else None
    return DoNotCallPage(
        numbers=[_show(row) for row in rows[:limit]],
        next_cursor=None if last is None else cursor_after(Position(last.created_at, last.number_index), {}),
    )


@router.get("/{number}", responses=problems(404))
async def show_do_not_call(number: Number, services: ServicesDep, _asked_by: MayReadPeople) -> DoNotCallEntry:
    """Show the entry of a number; 404 when it may be called."""
    async with database_in_time():
        row = await services.do_not_call.find(number)
    if row is None:
        raise NotListed
    return _show(row)


@router.put("/{number}", responses={201: {"description": "It is new.", "model": DoNotCallEntry}})
async def enter_do_not_call(
    number: Number, request: Request, response: Response, services: ServicesDep, asked_by: MayWritePeople
) -> DoNotCallEntry:
    """Have a number called no more; 201 when it is new. What rings or is live goes on, what is scheduled is refused."""
    async with database_in_time():
        is_new = await services.do_not_call.add(number, Source.API, asked_by, now=datetime.now(UTC))
        row = await services.do_not_call.find(number)
    if row is None:
        raise NotListed  # taken off again at the same moment
    if is_new:
        response.status_code = 201
        await services.audit.note(asked_by, "do_not_call.add", "person", row.number_index, request=request)
    return _show(row)


@router.delete("/{number}", status_code=204, responses=problems(404))
async def remove_do_not_call(number: Number, request: Request, services: ServicesDep, asked_by: MayWritePeople) -> None:
    """Let a number be called again; only when whoever has it wishes so."""
    async with database_in_time():
        was_there = await services.do_not_call.remove(number)
    if not was_there:
        raise NotListed
    index = services.do_not_call.index(number)
    await services.audit.note(asked_by, "do_not_call.remove", "person", index, request=request)


def _show(row: DoNotCallRow) -> DoNotCallEntry:
    return DoNotCallEntry(
        number=row.number,
        index=row.number_index,
        source=Source(row.source),
        noted_by=row.noted_by,
        created_at=row.created_at,
    )
