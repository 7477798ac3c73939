"""One table: which exception becomes which status, and the sentence that goes with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from net.daily_rooms import DailyFailed
from pipelines.transports import BadOffer
from storage.errors import DatabaseAway
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
    DatabaseAway: Answer(503, "The database does not answer at the moment.", {"Retry-After": "5"}),
}


def answer_to(error: Exception, path: str) -> Response:
    """Return the response for an exception of the table: text for Twilio's routes, JSON for all others."""
    answer = ANSWERS[type(error)]
    sentence = answer.sentence or str(error)
    if path.startswith("/twilio/"):
        return PlainTextResponse(sentence, answer.status, answer.headers)
    return JSONResponse({"error": sentence}, answer.status, answer.headers)


def install(app: FastAPI) -> None:
    """Let `app` answer every exception of the table."""

    async def answer(request: Request, error: Exception) -> Response:
        return answer_to(error, request.url.path)

    for kind in ANSWERS:
        app.add_exception_handler(kind, answer)
