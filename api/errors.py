"""One table: which exception becomes which status, and the sentence that goes with it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exception_handlers import http_exception_handler, request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from loguru import logger
from starlette.exceptions import HTTPException
from starlette.routing import Match

from api.problems import Fault, problem_answer
from api.rate_limits import TooManyFailures, TooManyRequests
from api.tokens import BadToken, TokenExpired
from calling.errors import (
    BadRequest,
    BadValue,
    Forbidden,
    NoSuchAgent,
    NoSuchCall,
    NotNow,
    NotPlaced,
    NoTwilio,
    OverBudget,
    OverLimit,
    SameKeyOtherRequest,
    TwilioRefuses,
    TwilioUnusable,
)
from config.agent_file import dotted
from config.errors import printable
from config.wording import describe, suggest
from net.daily_rooms import DailyFailed
from pipelines.transports import BadOffer
from privacy.erasure import CallUnderWay, NotAll
from storage.agent_desk import AgentInUse, AgentsKeepChanging, BadAgent, NothingBefore, ReadOnlyAgent
from storage.envelope import SealBroken
from storage.errors import DatabaseAway
from storage.key_ring import SealingKeyMissing
from storage.keys import BadKey, BadKeyName, KeyExpired, KeyRevoked, NoSuchKey, SecretReplaced, UnknownScope
from storage.stored_agents import NameTaken, NoSuchStoredAgent, NoSuchVersion, VersionMoved
from telephony.webhooks import BadForm
from transcripts.bucket import BucketAway
from transcripts.word_index import NoWords, TooManyWords


class NotTwilio(Exception):
    """The request does not carry Twilio's signature for this address."""


class NotLocal(Exception):
    """Without TWILIO_AUTH_TOKEN this server answers only requests that come directly from this machine."""


class ForeignPage(Exception):
    """The request was made by a page of another site."""


class SecretNeeded(Exception):
    """The secret of TRUNKLINE_PLAYGROUND_SECRET is needed here, as a password or a bearer token."""


class PlaygroundOff(Exception):
    """This page is off. Set TRUNKLINE_PLAYGROUND_SECRET to turn it on, or open it from this machine."""


class UnknownAgent(Exception):
    """There is no agent of that name."""


class PhoneOnly(Exception):
    """This agent's bot speaks with telephones only; phone its number instead."""


class LinesBusy(Exception):
    """Every line of this server is taken at the moment. Please try again in a minute."""


class RoomsOff(Exception):
    """Daily rooms are off. Set DAILY_API_KEY to turn them on."""


class UnknownCall(Exception):
    """There is no such call in the playground."""


class NotListed(Exception):
    """This number is not on the do-not-call list."""


class KeyNeeded(Exception):
    """An API key is needed here, as a bearer token. Make one with `cli.py keys create`."""


class ScopeMissing(Exception):
    """This API key is not good for that."""


class NoRecording(Exception):
    """This call has no recording. It was not recorded, or its recording was deleted since."""


class RecordingGoesOn(Exception):
    """The call is not over, and its recording still grows. Ask again once the call has ended."""


class NotThatFar(Exception):
    """The range begins behind the end of the recording. Ask for bytes that there are."""

    def __init__(self, size: int) -> None:
        """Take how many bytes the file has."""
        super().__init__(size)
        self.headers = {"Content-Range": f"bytes */{size}"}


class IfMatchNeeded(Exception):
    """If-Match is needed here, so that nobody undoes what he has not seen. Send the ETag of the latest version."""


class BodyTooLarge(Exception):
    """The body is too large."""


class SlowBody(Exception):
    """The body did not come in time."""


class SlowHead(Exception):
    """The request line and the headers did not come in time."""


class HeadTooLarge(Exception):
    """The request line and the headers are longer than 32 KiB together."""


class NoRequest(Exception):
    """The request cannot be read."""


class NotJson(Exception):
    """The body is not of a kind that is read here."""


class BodyEncoded(Exception):
    """The body is compressed or encoded, which is not read here."""


class BadJson(Exception):
    """The body cannot be read."""


class BadText(Exception):
    """The request holds what no text may hold."""


class UnknownParameter(Exception):
    """The request has a query parameter that there is not."""


class BadCursor(Exception):
    """The cursor is not of this list. Take `next_cursor` of a page that was asked for with the same filters."""


class BadIdempotencyKey(Exception):
    """The Idempotency-Key must be 1 to 200 printable ASCII characters, and one."""


class StillAtIt(Exception):
    """The first request with this Idempotency-Key has not been answered yet."""


class OtherRequestBefore(Exception):
    """This Idempotency-Key was used for another request. Use a new key for each thing that is to be done."""


class BadPeriod(Exception):
    """The period must begin before it ends, and be no longer than 366 days. Correct `since` or `until`."""


class BadEventId(Exception):
    """No event had this Last-Event-ID. Ask without it, and look at GET /v1/calls for what happened before."""


class ServerEnds(Exception):
    """This server is about to end."""


class TooManyStreams(Exception):
    """Too many streams of events are open at this server."""


class Unexpected(Exception):
    """The server made a mistake, and does not know whether it did what was asked."""


class BoundElsewhere(Exception):
    """This key or token is bound to another call or another agent. Use one that is not."""


class ScopeTooWide(Exception):
    """The key that asks has not all the scopes that it would give."""


class AgentsTooWide(Exception):
    """The key that asks is bound to other agents. Use one that is bound to none."""


class DeadKey(Exception):
    """The key is revoked or has expired, and no secret makes it good again. Make another one."""


class NotForTokens(Exception):
    """No token has this scope."""


class NotAnalysed(Exception):
    """The call has no analysis. Write `analysis:` into its agent, and ask for it with a POST."""


class NotOverYet(Exception):
    """The call is not over. Wait for its end."""


class NoSuchDelivery(Exception):
    """There is no such delivery."""


class BadMoment(Exception):
    """The moment cannot be used."""


WHOLE, PARTIAL, UNCHANGED = 200, 206, 304
TOO_OFTEN = 429
"""What files are answered with."""
_OF_FIELD = re.compile(r"(?:([a-z_]+): )?([^;]+); (.+)\.")
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_SEAMS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BEARER = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a sentence; without a sentence the exception's own words are used."""

    status: int
    sentence: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    cure: str = ""


ANSWERS: dict[type[Exception], Answer] = {
    NotTwilio: Answer(403, NotTwilio.__doc__),
    NotLocal: Answer(403, NotLocal.__doc__),
    ForeignPage: Answer(403, ForeignPage.__doc__),
    # "Basic" makes a browser ask for the secret by itself; no page has to be written for it.
    SecretNeeded: Answer(401, SecretNeeded.__doc__, {"WWW-Authenticate": 'Basic realm="Trunkline"'}),
    PlaygroundOff: Answer(404, PlaygroundOff.__doc__),
    BadForm: Answer(400),
    UnknownAgent: Answer(404, UnknownAgent.__doc__),
    PhoneOnly: Answer(409, PhoneOnly.__doc__),
    LinesBusy: Answer(503, LinesBusy.__doc__, {"Retry-After": "60"}),
    RoomsOff: Answer(404, RoomsOff.__doc__),
    UnknownCall: Answer(404, UnknownCall.__doc__),
    BadOffer: Answer(400),
    DailyFailed: Answer(502),
    NoRecording: Answer(404, NoRecording.__doc__),
    RecordingGoesOn: Answer(409, RecordingGoesOn.__doc__, {"Retry-After": "30"}),
    NotThatFar: Answer(416, NotThatFar.__doc__),
    SealingKeyMissing: Answer(
        503, "What is kept here cannot be opened: a sealing key is missing.", {"Retry-After": "300"}
    ),
    SealBroken: Answer(
        500, "What is kept here does not open: it was changed or damaged.", cure="Restore it from a backup."
    ),
    BucketAway: Answer(503, "The storage of recordings does not answer at the moment.", {"Retry-After": "30"}),
    BodyTooLarge: Answer(413),
    SlowBody: Answer(408, SlowBody.__doc__, {"Connection": "close"}),
    SlowHead: Answer(408, SlowHead.__doc__, cure="Send the request faster."),
    HeadTooLarge: Answer(431, HeadTooLarge.__doc__, cure="Send fewer or shorter headers, and a shorter address."),
    NoRequest: Answer(400, cure="Compare the request with RFC 9112, and what is between it and this server."),
    NotJson: Answer(415, NotJson.__doc__),
    BodyEncoded: Answer(
        415, BodyEncoded.__doc__, {"Accept-Encoding": "identity"}, "Send it as it is, without Content-Encoding."
    ),
    BadJson: Answer(400, cure="Send one JSON object (RFC 8259) in UTF-8."),
    BadText: Answer(422),
    UnknownParameter: Answer(422),
    CallUnderWay: Answer(409),
    NotAll: Answer(503, None, {"Retry-After": "60"}),
    NotListed: Answer(404, NotListed.__doc__, cure="Look for it in GET /v1/do-not-call."),
    BadCursor: Answer(422, BadCursor.__doc__),
    NoWords: Answer(422, NoWords.__doc__),
    TooManyWords: Answer(422, TooManyWords.__doc__, cure="Leave some of them out."),
    BadIdempotencyKey: Answer(422, BadIdempotencyKey.__doc__),
    StillAtIt: Answer(409, StillAtIt.__doc__, {"Retry-After": "1"}, "Ask again in a second, with the same key."),
    OtherRequestBefore: Answer(422, OtherRequestBefore.__doc__),
    BadPeriod: Answer(422, BadPeriod.__doc__),
    BadEventId: Answer(422, BadEventId.__doc__),
    ServerEnds: Answer(503, ServerEnds.__doc__, {"Retry-After": "5"}),
    TooManyStreams: Answer(503, TooManyStreams.__doc__, {"Retry-After": "5"}),
    Unexpected: Answer(500, Unexpected.__doc__),
    KeyNeeded: Answer(401, KeyNeeded.__doc__, _BEARER),
    BadKey: Answer(401, BadKey.__doc__, _BEARER),
    KeyRevoked: Answer(401, KeyRevoked.__doc__, _BEARER),
    KeyExpired: Answer(401, KeyExpired.__doc__, _BEARER),
    SecretReplaced: Answer(401, SecretReplaced.__doc__, _BEARER),
    BadToken: Answer(401, BadToken.__doc__, _BEARER),
    TokenExpired: Answer(401, TokenExpired.__doc__, _BEARER),
    ScopeMissing: Answer(403),
    BoundElsewhere: Answer(403, BoundElsewhere.__doc__),
    ScopeTooWide: Answer(403),
    AgentsTooWide: Answer(403, AgentsTooWide.__doc__),
    DeadKey: Answer(409, DeadKey.__doc__),
    NotForTokens: Answer(422),
    BadMoment: Answer(422),
    TooManyRequests: Answer(429, TooManyRequests.__doc__),
    TooManyFailures: Answer(429, TooManyFailures.__doc__),
    NoSuchKey: Answer(404, NoSuchKey.__doc__),
    UnknownScope: Answer(422),
    BadKeyName: Answer(422),
    BadRequest: Answer(422),
    BadValue: Answer(422),
    NoSuchAgent: Answer(404),
    NoSuchCall: Answer(404, NoSuchCall.__doc__, cure="Look for it in GET /v1/calls."),
    NoSuchStoredAgent: Answer(404, NoSuchStoredAgent.__doc__, cure="Look for it in GET /v1/agents."),
    NoSuchVersion: Answer(404, NoSuchVersion.__doc__, cure="Look for it in GET /v1/agents/{name}/versions."),
    NameTaken: Answer(409, NameTaken.__doc__),
    ReadOnlyAgent: Answer(409),
    AgentInUse: Answer(409),
    NothingBefore: Answer(409, NothingBefore.__doc__),
    AgentsKeepChanging: Answer(409, AgentsKeepChanging.__doc__, {"Retry-After": "1"}),
    BadAgent: Answer(422),
    VersionMoved: Answer(
        412, cure="GET /v1/agents/{name}?version=latest shows it; without it the published one is shown."
    ),
    IfMatchNeeded: Answer(428, IfMatchNeeded.__doc__),
    Forbidden: Answer(403, cure="Change the agent's `outbound`, or call another number."),
    NotNow: Answer(409),
    OverLimit: Answer(429, None, {"Retry-After": "60"}),
    NotAnalysed: Answer(404, NotAnalysed.__doc__),
    NotOverYet: Answer(409, NotOverYet.__doc__),
    NoSuchDelivery: Answer(404, NoSuchDelivery.__doc__),
    OverBudget: Answer(429, None, {"Retry-After": "3600"}),
    SameKeyOtherRequest: Answer(422),
    NoTwilio: Answer(503),
    TwilioRefuses: Answer(422),
    TwilioUnusable: Answer(502),
    DatabaseAway: Answer(503, "The database does not answer at the moment.", {"Retry-After": "5"}),
}


_OF_STATUS = {404: "no_such_path", 405: "wrong_method", 413: "body_too_large"}


def answer_to(error: Exception, path: str, request_id: str = "") -> Response:
    """Return the response for an exception of the table: text for Twilio's routes, JSON for all others."""
    answer = ANSWERS[type(error)]
    sentence = answer.sentence or str(error)
    if path.startswith("/twilio/"):
        return PlainTextResponse(sentence, answer.status, _headers(error, answer))
    if path.startswith("/v1/"):
        return problem_of(error, answer, sentence, request_id)
    return JSONResponse({"error": sentence}, answer.status, _headers(error, answer))


def problem_of(
    error: Exception, answer: Answer, sentence: str, request_id: str, faults: Sequence[Fault] = ()
) -> Response:
    """Return what `/v1` answers when it does not do what it was asked."""
    name = _SEAMS.sub("_", type(error).__name__).lower()
    more: dict[str, Any] = {}
    if isinstance(error, NotPlaced):
        more = {"call_id": error.call_id or None, "twilio_code": error.code}
        faults = faults or [Fault(where=where, problem=what, cure=cure) for where, what, cure in error.faults]
        faults = faults or _told_in(sentence)
    if isinstance(error, BadAgent):
        faults = [
            Fault(where=printable(dotted(one.path)), problem=printable(one.message), cure=printable(one.cure))
            for one in error.faults
        ]
    cure = answer.cure
    if faults:
        sentence, cure = _first_of(faults)
    headers = _headers(error, answer)
    return problem_answer(
        name, answer.status, sentence, request_id=request_id, cure=cure, faults=faults, headers=headers, **more
    )


def _told_in(sentence: str) -> list[Fault]:
    """Read `field: what is wrong; what helps.`, as `calling` says it; nothing, when a sentence is none of that kind."""
    found = _OF_FIELD.fullmatch(sentence)
    return [Fault(where=found[1] or "", problem=found[2], cure=found[3])] if found else []


def _headers(error: Exception, answer: Answer) -> Mapping[str, str]:
    own: Mapping[str, str] = getattr(error, "headers", {})
    return {**answer.headers, **own}


def _first_of(faults: Sequence[Fault]) -> tuple[str, str]:
    """Say the first fault in one sentence, with its cure; the others are counted."""
    first, others = faults[0], len(faults) - 1
    sentence = f"{first.where}: {first.problem}" if first.where else first.problem
    more = f" ({others} more in `errors`)" if others else ""
    cure = first.cure[:1].upper() + first.cure[1:]
    return f"{sentence}{more}.", cure if not cure or cure.endswith((".", "?")) else f"{cure}."


def _methods_of(request: Request) -> list[str]:
    """Return every method that a path knows: the framework itself names those of the first route only."""
    scopes = {method: {**request.scope, "method": method} for method in _METHODS}
    return [
        method
        for method, scope in scopes.items()
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
    ]


def _nearest_field(request: Request, where: Sequence[str | int]) -> str:
    """Return the cure for a field that the body of this route has not; of what lies deeper nothing is known."""
    body: Any = getattr(request.scope.get("route"), "body_field", None)
    model: Any = body and body.field_info.annotation
    known: Any = getattr(model, "model_fields", None)
    return suggest(str(where[-1]), known, "fields are") if known and len(where) == 2 else "remove it"


def request_id_of(request: Request) -> str:
    """Return the id that `api.frame` gave the request."""
    return str(getattr(request.state, "request_id", ""))


def install(app: FastAPI) -> None:
    """Let `app` answer every exception of the table, and what FastAPI itself finds wrong with a request of `/v1`."""

    async def explain(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        if not request.url.path.startswith("/v1/"):
            return await request_validation_exception_handler(request, error)
        faults: list[Fault] = []
        for fault in error.errors():
            what, cure = describe(fault)
            if fault["type"] == "extra_forbidden":
                what, cure = "is not a field", _nearest_field(request, fault["loc"])
            where = ".".join(str(part) for part in fault["loc"][1:] if part != "[key]")
            faults.append(Fault(where=where or "the body", problem=what, cure=cure))
        return problem_of(BadRequest(), ANSWERS[BadRequest], "", request_id_of(request), faults)

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path, status = request.url.path, error.status_code
        if status == 405:
            error.headers = {"Allow": ", ".join(_methods_of(request))}
        if path != "/v1" and not path.startswith("/v1/"):
            return await http_exception_handler(request, error)
        sentence = {
            404: "There is nothing at this path.",
            405: "This path does not know this method.",
        }.get(status, str(error.detail).rstrip(".") + ".")
        cure = "See /v1/openapi.json for all paths." if status == 404 else ""
        name = _OF_STATUS.get(status, "bad_request")
        return problem_answer(
            name, status, sentence, request_id=request_id_of(request), cure=cure, headers=error.headers
        )

    app.add_exception_handler(RequestValidationError, explain)
    app.add_exception_handler(HTTPException, refuse)

    async def answer(request: Request, error: Exception) -> Response:
        if isinstance(error, SealBroken):
            # Whoever asked is not told which row it is; whoever runs the server must be.
            logger.bind(problem=str(error)).error("what is kept here does not open")
        return answer_to(error, request.url.path, request_id_of(request))

    for kind in ANSWERS:
        app.add_exception_handler(kind, answer)

    async def fail(request: Request, _error: Exception) -> Response:
        if request.url.path.startswith("/v1/"):
            return answer_to(Unexpected(), request.url.path, request_id_of(request))
        return PlainTextResponse("Internal Server Error", ANSWERS[Unexpected].status)

    app.add_exception_handler(Exception, fail)
