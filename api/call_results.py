"""`/v1/calls/{call_id}/analysis` and `.../costs`: what was made of a call once it was over."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from aftercall.models import AnalysisProblem, AnalysisRow, AnalysisStatus
from api.api_keys import needs
from api.deps import ServicesDep
from api.errors import NotAnalysed, NotOverYet
from api.patience import database_in_time
from api.problems import problems
from api.shapes import CallId, Moment, Shown
from calling.errors import NoSuchCall
from transcripts.call import CallStatus

router = APIRouter(prefix="/v1/calls", tags=["analysis"])


class AnalysisShown(Shown):
    """What was worked out of a call, or why it was not."""

    call_id: str
    status: AnalysisStatus
    problem: AnalysisProblem | None = Field(description="Why there is none, of one that failed or was skipped.")
    run: int = Field(description="How often it was asked for: 1 for the first time.")
    attempts: int = Field(description="How often the model was asked in this run.")
    model: str | None = Field(description="The model that was asked last.")
    requested_at: Moment
    next_at: Moment | None = Field(description="When it is its turn, of one that waits.")
    finished_at: Moment | None
    result: dict[str, Any] | None = Field(
        description="`summary`, `fields`, `goal` and `sentiment`, as far as the agent's `analysis` asks for them.",
        examples=[{"summary": "He booked a table.", "goal": {"success": "reached", "reason": "It was confirmed."}}],
    )


class LedgerItem(Shown):
    """So much of one thing."""

    item: str = Field(examples=["audio_in"])
    source: str = Field(description="By what: conversation, analysis, call, transfer and so on.")
    model: str = Field(description="Which model used tokens; else empty.")
    quantity: int
    unit: str = Field(examples=["token"])
    price_usd: str | None = Field(description="The price, as it stood in config/prices.yaml; null: there was none.")
    price_per: str | None = Field(examples=["million tokens"])
    price_date: date | None
    micro_usd: int = Field(description="What it cost, in millionths of a US dollar.")


class Costs(Shown):
    """What a call cost; nothing, as long as it is not over."""

    call_id: str
    micro_usd: int = Field(description="All of it, in millionths of a US dollar.")
    items: list[LedgerItem]


@router.get("/{call_id}/analysis", responses=problems(404))
async def read_analysis(
    call_id: CallId, services: ServicesDep, _asked_by: Annotated[str, Depends(needs("analysis:read"))]
) -> AnalysisShown:
    """Show the analysis of a call: made, waiting, failed or skipped."""
    async with database_in_time():
        row = await services.after_call.analyses.get(call_id)
        if row is None:
            raise NoSuchCall if await services.store.get_call(call_id) is None else NotAnalysed
    return _show(row)


@router.post("/{call_id}/analysis", status_code=202, responses=problems(404, 409))
async def analyse_again(
    call_id: CallId,
    request: Request,
    services: ServicesDep,
    asked_by: Annotated[str, Depends(needs("analysis:write"))],
) -> AnalysisShown:
    """Have a call that is over analysed, once more or for the first time, by its agent's `analysis`.

    Answers at once with how it stands; one that waits already is left as it is.
    """
    async with database_in_time():
        call = await services.store.get_call(call_id)
        if call is None:
            raise NoSuchCall
        if call.status != CallStatus.ENDED:
            raise NotOverYet
        agent = await services.agent_of(call)
        if agent is None or not agent.analysis.is_on:
            raise NotAnalysed
        row = await services.after_call.analysing.ask_again(call_id)
    await services.audit.note(asked_by, "analysis.run", "call", call_id, request=request, detail={"run": row.run})
    return _show(row)


@router.get("/{call_id}/costs", tags=["usage"], responses=problems(404))
async def read_costs(
    call_id: CallId, services: ServicesDep, _asked_by: Annotated[str, Depends(needs("usage:read"))]
) -> Costs:
    """Show what a call cost, item by item. What comes late is in it a minute after the call's end."""
    async with database_in_time():
        if await services.store.get_call(call_id) is None:
            raise NoSuchCall
        rows = await services.after_call.ledger.of_call(call_id)
    names = [name for name in LedgerItem.model_fields]
    items = [LedgerItem(**{name: getattr(row, name) for name in names}) for row in rows]
    return Costs(call_id=call_id, micro_usd=sum(row.micro_usd for row in rows), items=items)


def _show(row: AnalysisRow) -> AnalysisShown:
    return AnalysisShown(
        call_id=row.call_id,
        status=AnalysisStatus(row.status),
        problem=None if row.problem is None else AnalysisProblem(row.problem),
        run=row.run,
        attempts=row.attempt,
        model=row.model,
        requested_at=row.requested_at,
        next_at=row.next_at,
        finished_at=row.finished_at,
        result=row.result,
    )
