"""`/v1/openapi.json`: the whole of the REST API as OpenAPI 3.1, made from the routes."""

import asyncio
from typing import Any, Literal, cast

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel

from api.api_keys import needs_any
from api.call_shapes import CallDetail, CallShown
from api.idempotency import REPLAYED
from api.live import CallMoved
from api.problems import CURES, MEDIA_TYPE, Problem, problems
from calling.request import CallRequest

router = APIRouter(prefix="/v1", tags=["document"])

VERSION = "1.0"
_SUMMARY = "Agents that answer and place phone calls."
_DESCRIPTION = """\
Every request needs an API key as a bearer token, made with `cli.py keys create`; only on a server that this machine
alone can reach, requests of this machine need none. What a key may do is said by its scopes.

What is not done is answered with a problem (`application/problem+json`, RFC 9457): one sentence, and what helps.
Every answer carries `X-Request-Id`, which is in the server's log too; send your own, if you like. Every `POST` takes an
`Idempotency-Key`: the same request with the same key is done once, and answered again for a day. Moments are ISO 8601
in UTC, numbers of telephones E.164. Lists come in pages, newest first; `next_cursor` asks for the next one.
"""
_TAGS = {
    "calls": "Place calls, look at calls, hang up, follow what happens.",
    "agents": "Agents and their versions.",
    "recordings": "What was heard.",
    "keys": "API keys and tokens for browsers.",
    "usage": "What was used, and what it cost.",
    "analysis": "What was made of calls once they were over.",
    "webhooks": "Where events are sent.",
    "people": "What is held on a number, and its erasure.",
    "audit": "Who changed what.",
    "document": "This document.",
}
_SECURITY = "ApiKey"
_ANY_ROUTE = (400, 401, 403, 408, 422, 429, 431, 500, 503)
_WITH_BODY = (413, 415)
_METHODS = frozenset({"get", "put", "post", "delete", "patch"})
_MODELS: tuple[tuple[type[BaseModel], Literal["validation", "serialization"]], ...] = (
    (Problem, "serialization"),
    (CallRequest, "validation"),
    (CallMoved, "serialization"),
    (CallShown, "serialization"),
    (CallDetail, "serialization"),
)
"""Models that FastAPI does not see, or would describe otherwise: it leaves every null out of an example."""
_REQUEST_ID = {
    "description": "The request's id, as it was sent or as it was made.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{8,64}$"},
}
HEADERS: dict[str, tuple[str, str]] = {
    "RateLimit-Limit": ("How many requests of this kind may be made in a minute.", "600"),
    "RateLimit-Remaining": ("How many of them are left.", "597"),
    "RateLimit-Reset": ("In how many seconds there are more.", "12"),
    "Retry-After": ("In how many seconds it is worth asking again.", "5"),
    "WWW-Authenticate": ("How to show who asks.", "Bearer"),
    REPLAYED: ("`true` when the request was made before, and this is its answer.", "true"),
    "Location": ("Where what was made is.", "/v1/agents/blue-door"),
    "ETag": ("What is shown, for If-Match or If-Range.", '"3"'),
    "Content-Range": ("Which bytes of how many these are.", "bytes 0-1023/437996"),
}
"""Headers of answers: what each says, with an example."""
OF_EVERY_ANSWER = ("X-Request-Id", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_OF_STATUS = {"401": ("WWW-Authenticate",), "429": ("Retry-After",), "503": ("Retry-After",), "206": ("Content-Range",)}
OF_OPERATION = {
    "create_agent": ("ETag", "Location"),
    "show_agent": ("ETag",),
    "change_agent": ("ETag",),
    "patch_agent": ("ETag",),
    "publish_version": ("ETag",),
    "roll_back": ("ETag",),
    "place_call": ("Location",),
    "hear_recording": ("ETag",),
}
"""By operation, what stands on each answer that is no problem."""
_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same request with the same key is done once; the same key with another request is refused.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$", "examples": ["order-4711"]},
}


class Document(JSONResponse):
    """An OpenAPI document."""

    media_type = "application/json"


@router.get("/openapi.json", response_class=Document, responses=problems(401), dependencies=[Depends(needs_any)])
async def show_document(request: Request) -> Document:
    """Answer this document; any key may read it."""
    app: FastAPI = request.app
    if app.openapi_schema is None:
        # Some hundred milliseconds of work, once.
        await asyncio.to_thread(document_of, app)
    return Document(app.openapi_schema)


def name_operation(route: APIRoute) -> str:
    """Return what an operation is called: a client that is generated from the document has functions of these names."""
    return route.name


def document_of(app: FastAPI) -> dict[str, Any]:
    """Return the document of an app; it is made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title="Trunkline",
            version=VERSION,
            openapi_version="3.1.0",
            summary=_SUMMARY,
            description=_DESCRIPTION,
            routes=app.routes,
            license_info={"name": "BSD-2-Clause", "identifier": "BSD-2-Clause"},
            servers=[{"url": "/", "description": "This server."}],
        )
        _complete(made)
        app.openapi_schema = made
    return app.openapi_schema


def _complete(made: dict[str, Any]) -> None:
    components: dict[str, Any] = made.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for model, mode in _MODELS:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}", mode=mode)
        schemas |= schema.pop("$defs", {}) | {model.__name__: schema}
    components["headers"] = {"X-Request-Id": _REQUEST_ID} | {
        name: {"description": told, "schema": {"type": "string", "examples": [one]}}
        for name, (told, one) in HEADERS.items()
    }
    components["securitySchemes"] = {
        _SECURITY: {"type": "http", "scheme": "bearer", "description": "An API key (`tk_...`), or a token made by one."}
    }
    made["security"] = [{_SECURITY: []}]
    used: set[str] = set()
    for path in cast(dict[str, dict[str, Any]], made["paths"]).values():
        for method, operation in path.items():
            if method in _METHODS:
                _complete_operation(method, operation)
                used |= set(operation.get("tags", ()))
    made["tags"] = [{"name": name, "description": told} for name, told in _TAGS.items() if name in used]
    made["tags"] += [{"name": name} for name in sorted(used - set(_TAGS))]


def _complete_operation(method: str, operation: dict[str, Any]) -> None:
    responses: dict[str, dict[str, Any]] = operation.setdefault("responses", {})
    statuses = [*_ANY_ROUTE, *(_WITH_BODY if "requestBody" in operation else ())]
    if method == "post":
        statuses.append(409)
        parameters: list[dict[str, Any]] = operation.setdefault("parameters", [])
        parameters[:] = [one for one in parameters if one.get("name", "").lower() != "idempotency-key"]
        parameters.append(_KEY_PARAMETER)
    for status in statuses:
        responses.setdefault(str(status), {})
    for text, response in responses.items():
        is_done = text[:1] in "23"
        named = [*OF_EVERY_ANSWER, *_OF_STATUS.get(text, ())]
        named += OF_OPERATION.get(operation["operationId"], ()) if is_done else ()
        named += [REPLAYED] if is_done and method == "post" else ()
        response.setdefault("headers", {}).update({one: {"$ref": f"#/components/headers/{one}"} for one in named})
        if text[:1] in "45":
            response.setdefault("description", CURES.get(int(text), "A problem."))
            response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"] = dict(sorted(responses.items()))
