"""`/v1/people/{number}`: what is held on a number, handed out, and erased."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from api.deps import ServicesDep
from api.do_not_call import MayReadPeople, MayWritePeople, Number
from api.patience import database_in_time
from api.problems import problems
from api.shapes import Moment, Shown
from privacy.export import export_person
from storage.key_ring import number_index
from transcripts.call import ConsentAnswer, ConsentGivenBy
from transcripts.consents import Consents

router = APIRouter(prefix="/v1/people", tags=["people"])


class ErasureReceipt(Shown):
    """What was erased, and what stayed. `cli.py receipts verify` checks the signature."""

    form: str = Field(description="How the receipt is made up.", examples=["trunkline-erasure-1"])
    receipt_id: str
    begun_at: str
    completed_at: str
    person_hash: str = Field(description="A keyed hash of the number; the number itself is not in it.")
    erased: dict[str, int] = Field(description="How much of what went.", examples=[{"calls": 2, "turns": 31}])
    kept: dict[str, str] = Field(description="What is still there, and why.")
    signature: str = Field(description="HMAC-SHA256 of the rest, by a key of this server.")


class ConsentShown(Shown):
    """What was asked or told of a recording, and what the answer was."""

    agent: str
    wording: str = Field(description="What was asked or told, word for word.")
    language: str
    answer: ConsentAnswer
    given_by: ConsentGivenBy | None
    at: Moment


class ConsentList(Shown):
    """Records of consent, the oldest first."""

    consents: list[ConsentShown]


@router.delete("/{number}", responses=problems(409))
async def erase_person(
    number: Number,
    request: Request,
    services: ServicesDep,
    asked_by: MayWritePeople,
    do_not_call: Annotated[
        bool, Query(description="Keep the keyed hash on the do-not-call list, if the number is on it.")
    ] = True,
) -> ErasureReceipt:
    """Erase everything that is held on a number, for good; the receipt says what that was.

    What is scheduled is called off. While a call of the number is under way nothing is erased: 409.
    """
    index = number_index(services.database.ring, number)
    receipt = await services.eraser.erase(number, keep_do_not_call=do_not_call)
    detail = {"receipt_id": receipt.receipt_id}
    await services.audit.note(asked_by, "people.erase", "person", index, request=request, detail=detail)
    return ErasureReceipt.model_validate(receipt.content)


@router.get(
    "/{number}/export",
    response_class=StreamingResponse,
    responses={200: {"description": "A zip: JSON for rows, WAV for recordings.", "content": {"application/zip": {}}}},
)
async def export_data(
    number: Number, request: Request, services: ServicesDep, asked_by: MayReadPeople
) -> StreamingResponse:
    """Hand out everything that is held on a number. An empty zip but for its index says that nothing is."""
    index = number_index(services.database.ring, number)
    await services.audit.note(asked_by, "people.export", "person", index, request=request)
    pieces: AsyncGenerator[bytes] = export_person(services.database, services.recordings, number)
    first = await anext(pieces)  # whatever is wrong is found before the answer begins

    async def whole() -> AsyncGenerator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    name = f"person-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(whole(), media_type="application/zip", headers=headers)


@router.get("/{number}/consents")
async def list_consents(number: Number, services: ServicesDep, _asked_by: MayReadPeople) -> ConsentList:
    """List what somebody at a number was asked or told of recordings, and answered."""
    async with database_in_time():
        found = await Consents(services.database).of_number(number)
    return ConsentList(
        consents=[
            ConsentShown(
                agent=one.agent_name,
                wording=one.wording,
                language=one.language,
                answer=one.answer,
                given_by=one.given_by,
                at=one.at,
            )
            for one in found
        ]
    )
