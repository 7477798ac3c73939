"""`/v1/webhook-deliveries`: what receivers were told, and telling it again."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field

from aftercall.delivery_store import DeliveryFilter
from aftercall.models import DeliveryRow, DeliveryStatus
from api.api_keys import needs
from api.asking import agents_of, check_agent
from api.deps import ServicesDep
from api.errors import NoSuchDelivery
from api.paging import cursor_after, position_of
from api.patience import database_in_time
from api.problems import problems
from api.shapes import Cursor, Limit, Moment, Shown
from calling.errors import NoSuchAgent
from config.webhooks import WebhookEvent
from storage.keyset import Position

router = APIRouter(prefix="/v1/webhook-deliveries", tags=["webhooks"])

_Id = Annotated[
    str,
    Path(pattern=r"^[0-9a-f]{32}$", description="The delivery's id.", examples=["3f0b6c9a51d24e7e9a1d5b7c8e2f4a60"]),
]
_Word = Annotated[str, Query(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]


class DeliveryShown(Shown):
    """One message for one receiver, without what is in it."""

    delivery_id: str
    webhook_id: str = Field(description="The event's id: the same for every receiver, and in every attempt.")
    endpoint_id: str = Field(description="The receiver: `server`, or one of an agent's.")
    call_id: str
    agent: str
    event: WebhookEvent
    url: str
    status: DeliveryStatus = Field(description="`dead`: it was given up; replay it when its receiver is well again.")
    attempts: int = Field(description="How often it was sent, the attempt that is due included.")
    created_at: Moment
    next_at: Moment | None = Field(description="When it is sent next, of one that is pending.")
    ended_at: Moment | None
    last_status: int | None = Field(description="The HTTP status of the receiver's last answer.")
    last_problem: str | None = Field(description="Why the last attempt failed.")


class DeliveryPage(Shown):
    """Deliveries, newest first; `next_cursor` is null on the last page."""

    deliveries: list[DeliveryShown]
    next_cursor: str | None


@router.get("", responses=problems(422))
async def list_deliveries(
    request: Request,
    services: ServicesDep,
    _asked_by: Annotated[str, Depends(needs("webhooks:read", names_agent=True))],
    status: DeliveryStatus | None = None,
    event: WebhookEvent | None = None,
    agent: _Word | None = None,
    call_id: Annotated[_Word | None, Query(description="Only of this call.")] = None,
    endpoint_id: _Word | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DeliveryPage:
    """List what receivers were told, or are to be told, newest first, a page at a time."""
    filters = {"status": status, "event": event, "agent": agent, "call_id": call_id, "endpoint_id": endpoint_id}
    behind, agents = position_of(cursor, filters), agents_of(request)
    wanted = DeliveryFilter(status, event, agent, call_id, endpoint_id, agents)
    async with database_in_time():
        rows = await services.after_call.deliveries.list_page(wanted, limit + 1, behind)
    page = rows[:limit]
    last = page[-1] if len(rows) > limit else None
    return DeliveryPage(
        deliveries=[_show(row) for row in page],
        next_cursor=None if last is None else cursor_after(Position(last.created_at, last.delivery_id), filters),
    )


@router.post("/{delivery_id}/replay", status_code=202, responses=problems(404))
async def replay_delivery(
    delivery_id: _Id,
    request: Request,
    services: ServicesDep,
    asked_by: Annotated[str, Depends(needs("webhooks:write", names_agent=True))],
) -> DeliveryShown:
    """Send a message again, at once and under the same `webhook-id`, whatever became of it before."""
    after_call = services.after_call
    async with database_in_time():
        row = await after_call.deliveries.get(delivery_id)
        if row is None:
            raise NoSuchDelivery
        try:
            check_agent(request, row.agent_name)
        except NoSuchAgent as error:
            raise NoSuchDelivery from error
        row = await after_call.delivering.replay(delivery_id)
    if row is None:
        raise NoSuchDelivery
    await services.audit.note(asked_by, "webhooks.replay", "webhook_delivery", delivery_id, request=request)
    return _show(row)


def _show(row: DeliveryRow) -> DeliveryShown:
    return DeliveryShown(
        delivery_id=row.delivery_id,
        webhook_id=row.message_id,
        endpoint_id=row.endpoint_id,
        call_id=row.call_id,
        agent=row.agent_name,
        event=WebhookEvent(row.event),
        url=row.url,
        status=DeliveryStatus(row.status),
        attempts=row.attempt,
        created_at=row.created_at,
        next_at=row.next_at,
        ended_at=row.ended_at,
        last_status=row.last_status,
        last_problem=row.last_problem,
    )
