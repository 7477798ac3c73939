"""`/v1/audit`: who changed what, and who heard which recording."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.api_keys import needs
from api.deps import ServicesDep
from api.patience import database_in_time
from api.shapes import When
from storage.audit import ActorKind, AuditFilter

router = APIRouter(prefix="/v1/audit", tags=["audit"])

_MOST_LISTED = 200
_Word = Annotated[str, Query(max_length=300, pattern=r"^[^\x00]*$")]


class AuditEntry(BaseModel):
    """One thing that was done; `at` is in UTC."""

    model_config = ConfigDict(extra="forbid")

    id: int
    at: AwareDatetime
    actor_kind: ActorKind
    actor_id: str = Field(description="The key's id, also for a token that it made; else empty.")
    token_id: str | None
    action: str
    subject_kind: str
    subject_id: str
    request_id: str | None
    address_index: str | None = Field(description="A keyed hash: the same address has the same one.")
    detail: dict[str, Any]


class AuditPage(BaseModel):
    """Entries, newest first; `next_cursor` is given as `cursor` to have those before them, null when there are none."""

    model_config = ConfigDict(extra="forbid")

    entries: list[AuditEntry]
    next_cursor: str | None


@router.get("")
async def list_audit_log(
    services: ServicesDep,
    _asked_by: Annotated[str, Depends(needs("audit:read"))],
    limit: Annotated[int, Query(ge=1, le=_MOST_LISTED)] = 50,
    cursor: Annotated[str | None, Query(pattern=r"^[1-9][0-9]{0,8}$")] = None,
    actor_id: _Word | None = None,
    action: _Word | None = None,
    subject_kind: _Word | None = None,
    subject_id: _Word | None = None,
    address: _Word | None = None,
    since: When | None = None,
    until: When | None = None,
) -> AuditPage:
    """List what was done, newest first. `since` counts and `until` does not any more; both need their zone."""
    index = None if address is None else services.audit.index(address)
    wanted = AuditFilter(actor_id, action, subject_kind, subject_id, index, since, until)
    async with database_in_time():
        rows = await services.audit.entries(wanted, limit + 1, before=None if cursor is None else int(cursor))
    more = len(rows) > limit
    return AuditPage(
        entries=[AuditEntry.model_validate(row.model_dump()) for row in rows[:limit]],
        next_cursor=str(rows[limit - 1].id) if more else None,
    )
