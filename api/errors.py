"""One table: which exception becomes which status, and the sentence that goes with it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from calling.errors import (
    BadRequest,
    BadValue,
    Forbidden,
    NoSuchAgent,
    NoSuchCall,
    NotNow,
    NotPlaced,
    NoTwilio,
    OverLimit,
    SameKeyOtherRequest,
    TwilioRefuses,
    TwilioUnusable,
)
from config.wording import describe
from net.daily_rooms import DailyFailed
from pipelines.transports import BadOffer
from storage.errors import DatabaseAway
from storage.keys import BadKey, KeyExpired, KeyRevoked
from telephony.webhooks import BadForm


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


class KeyNeeded(Exception):
    """An API key is needed here, as a bearer token. Make one with `cli.py keys create`."""


class ScopeMissing(Exception):
    """This API key is not good for that."""


_SEAMS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BEARER = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a sentence; without a sentence the exception's own words are used."""

    status: int
    sentence: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


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
    KeyNeeded: Answer(401, KeyNeeded.__doc__, _BEARER),
    BadKey: Answer(401, BadKey.__doc__, _BEARER),
    KeyRevoked: Answer(401, KeyRevoked.__doc__, _BEARER),
    KeyExpired: Answer(401, KeyExpired.__doc__, _BEARER),
    ScopeMissing: Answer(403),
    BadRequest: Answer(422),
    BadValue: Answer(422),
    NoSuchAgent: Answer(404),
    NoSuchCall: Answer(404, NoSuchCall.__doc__),
    Forbidden: Answer(403),
    NotNow: Answer(409),
    OverLimit: Answer(429, None, {"Retry-After": "60"}),
    SameKeyOtherRequest: Answer(422),
    NoTwilio: Answer(503),
    TwilioRefuses: Answer(422),
    TwilioUnusable: Answer(502),
    DatabaseAway: Answer(503, "The database does not answer at the moment.", {"Retry-After": "5"}),
}


def answer_to(error: Exception, path: str) -> Response:
    """Return the response for an exception of the table: text for Twilio's routes, JSON for all others."""
    answer = ANSWERS[type(error)]
    sentence = answer.sentence or str(error)
    if path.startswith("/twilio/"):
        return PlainTextResponse(sentence, answer.status, answer.headers)
    if path.startswith("/v1/"):
        return problem_of(error, answer.status, sentence, answer.headers)
    return JSONResponse({"error": sentence}, answer.status, answer.headers)


def problem_of(error: Exception, status: int, sentence: str, headers: Mapping[str, str]) -> Response:
    """Return what `/v1` answers when it does not do what it was asked: `application/problem+json`, RFC 9457."""
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": sentence,
        "error": _SEAMS.sub("_", type(error).__name__).lower(),
    }
    if isinstance(error, NotPlaced):
        problem |= {"call_id": error.call_id} if error.call_id else {}
        problem |= {"twilio_code": error.code} if error.code is not None else {}
    return JSONResponse(problem, status, headers, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Let `app` answer every exception of the table, and what FastAPI itself finds wrong with a request of `/v1`."""

    async def explain(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        if not request.url.path.startswith("/v1/"):
            return await request_validation_exception_handler(request, error)
        faults = [f"{fault['loc'][-1]}: {'; '.join(filter(None, describe(fault)))}." for fault in error.errors()]
        return problem_of(BadRequest(), 422, " ".join(faults), {})

    app.add_exception_handler(RequestValidationError, explain)

    async def answer(request: Request, error: Exception) -> Response:
        return answer_to(error, request.url.path)

    for kind in ANSWERS:
        app.add_exception_handler(kind, answer)
