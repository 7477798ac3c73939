"""`/v1/openapi.json`: the whole of the REST API as OpenAPI 3.1, made from the routes."""

import asyncio
from typing import Any, Literal, cast

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from api.api_keys import needs_any
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
_ANY_ROUTE = (401, 403, 422, 429, 500, 503)
_WITH_BODY = (400, 408, 413, 415)
_METHODS = frozenset({"get", "put", "post", "delete", "patch"})
_MODELS: tuple[tuple[type[BaseModel], Literal["validation", "serialization"]], ...] = (
    (Problem, "serialization"),
    (CallRequest, "validation"),
    (CallMoved, "serialization"),
)
"""Models that no route declares to FastAPI: it would describe them otherwise, or read them less strictly."""
_REQUEST_ID = {
    "description": "The request's id, as it was sent or as it was made.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{8,64}$"},
}
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
    components["headers"] = {"X-Request-Id": _REQUEST_ID}
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
        response.setdefault("headers", {})["X-Request-Id"] = {"$ref": "#/components/headers/X-Request-Id"}
        if text[:1] in "45":
            response.setdefault("description", CURES.get(int(text), "A problem."))
            response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"] = dict(sorted(responses.items()))
