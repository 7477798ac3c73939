"""What `/v1` answers when it does not do what it was asked: `application/problem+json`, RFC 9457."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:trunkline:problem:"
_FIRST_SENTENCE = re.compile(r"(.+?[.!?])\s+((?:[A-Z`]).*)", re.DOTALL)


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    model_config = ConfigDict(extra="forbid")

    where: str = Field(description="Which field or parameter; empty for the whole request.", examples=["ring_secs"])
    problem: str = Field(description="What is wrong with it.", examples=["must be a whole number (got true)"])
    cure: str = Field(default="", description="What helps, where that is known.")


class Problem(BaseModel):
    """Why something was not done, in one sentence, and what helps."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(
        description="A URI that stands for this kind of problem and never changes.",
        pattern=f"^{_TYPE}[a-z_]+$",
        examples=[f"{_TYPE}no_such_call"],
    )
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(ge=400, le=599, description="The answer's status.", examples=[404])
    detail: str = Field(description="What is wrong, in one sentence.", examples=["There is no such call."])
    cure: str = Field(description="What helps.", examples=["Look for it in GET /v1/calls."])
    instance: str = Field(description="The request's id, as in `X-Request-Id`.", examples=["9d4a1c6c0f2b4c35"])
    error: str = Field(description="The last part of `type`.", pattern="^[a-z_]+$", examples=["no_such_call"])
    errors: list[Fault] | None = Field(default=None, description="Everything that is wrong with the request.")
    call_id: str | None = Field(default=None, description="The call that was written down and not placed.")
    twilio_code: int | None = Field(default=None, description="Twilio's error code behind it.")


CURES: Mapping[int, str] = {
    400: "Compare the request with /v1/openapi.json.",
    401: "Send an API key as `Authorization: Bearer tk_...`.",
    403: "Use a key that may do this.",
    404: "Look in the list for what there is.",
    405: "Use one of the methods in the answer's Allow header.",
    408: "Send the body faster.",
    409: "Look at how things are now, then ask again.",
    412: "Read it again, and send what you know of it now.",
    413: "Send less.",
    415: "Send JSON, with the header Content-Type: application/json.",
    416: "Ask for bytes that there are.",
    422: "Correct the request and send it again.",
    428: "Send the ETag of what you have read as If-Match.",
    429: "Wait as long as Retry-After says, then ask again.",
    500: "Tell the operator this answer's `instance`: the server's log has more under it.",
    502: "Try again in a minute; the operator's log has more.",
    503: "Wait as long as Retry-After says, then ask again.",
}
"""Status -> what helps, where the problem itself does not say it."""


def problem_answer(
    error: str,
    status: int,
    sentence: str,
    *,
    request_id: str,
    cure: str = "",
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> JSONResponse:
    """Return the answer.

    Args:
        error: the name of the problem, like `no_such_call`.
        status: HTTP.
        sentence: what is wrong; a second sentence is taken for the cure, unless `cure` is given.
        request_id: of the request that has the problem.
        cure: what helps.
        faults: all that is wrong with a request that cannot be read.
        headers: of the answer.
        more: further members; those that are None are left out.
    """
    divided = _FIRST_SENTENCE.fullmatch(sentence) if not cure else None
    detail, helps = (divided[1], divided[2]) if divided else (sentence, cure)
    problem: dict[str, object] = {
        "type": f"{_TYPE}{error}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "cure": helps or CURES.get(status, CURES[400]),
        "instance": request_id,
        "error": error,
    }
    if faults:
        problem["errors"] = [fault.model_dump() for fault in faults]
    problem |= {name: value for name, value in more.items() if value is not None}
    return JSONResponse(problem, status, headers, media_type=MEDIA_TYPE)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may answer these statuses with a problem.

    What any route may answer (400, 401, 403, 408, 422, 429, 431, 500, 503 and, with a body or a key, 409, 413, 415) is
    declared without it.
    """
    return {status: {"description": HTTPStatus(status).phrase, "model": Problem} for status in statuses}
