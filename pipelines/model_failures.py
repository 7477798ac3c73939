"""Why the model could not be reached or was lost, sorted by what helps, with one sentence for the operator."""

import asyncio
import re
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from google.genai.errors import APIError
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

_MAX_REASON = 160
_SECRET = re.compile(r"AIza[\w-]{20,}")
"""Google names a suspended key in its reason."""
_KEY = re.compile(r"api[ _-]?key|unauthenticated|permission|forbidden|unregistered callers", re.IGNORECASE)
_QUOTA = re.compile(r"quota|rate.?limit|resource.?exhausted|billing|prepayment", re.IGNORECASE)
_MODEL = re.compile(r"model.*(not (found|supported)|does not|unknown)|not supported for bidi", re.IGNORECASE)


class FailureKind(StrEnum):
    """What helps."""

    TRY_AGAIN = "try_again"
    OTHER_MODEL = "other_model"
    """The same model will go on refusing, another may not."""
    GIVE_UP = "give_up"
    """No model of this endpoint will answer until somebody corrects the configuration."""


@dataclass(frozen=True, slots=True)
class ModelFailure:
    """`sentence` is for the operator; it holds nothing that was said, and no key. `code`: HTTP status or close code."""

    kind: FailureKind
    sentence: str
    code: int | None = None


class NotReady(Exception):
    """The connection stood, but what came first was not the model's `setupComplete`."""


class Stalled(Exception):
    """The connection stands, and nothing comes over it any more."""


def sort_failure(error: BaseException) -> ModelFailure:
    """Sort whatever connecting or receiving raised.

    Sources: https://ai.google.dev/gemini-api/docs/troubleshooting (HTTP statuses); close codes by RFC 6455, with the
    reasons that Google writes into them.
    """
    match error:
        case InvalidStatus():
            return _by_status(error.response.status_code, bytes(error.response.body or b""))
        case ssl.SSLCertVerificationError():
            return ModelFailure(
                FailureKind.GIVE_UP,
                "The model's certificate is not trusted: set TRUNKLINE_GEMINI_CA_FILE, or SSL_CERT_FILE.",
            )
        case ssl.SSLError():
            return ModelFailure(FailureKind.TRY_AGAIN, "TLS with the model's endpoint failed.")
        case socket.gaierror():
            return ModelFailure(
                FailureKind.TRY_AGAIN,
                "The model's host name is not known: check TRUNKLINE_GEMINI_BASE_URL, or the network.",
            )
        case TimeoutError() | asyncio.CancelledError():
            return ModelFailure(FailureKind.TRY_AGAIN, "The model did not become ready in time.")
        case Stalled() | NotReady():
            return ModelFailure(FailureKind.TRY_AGAIN, type(error).__doc__ or "")
        case APIError():
            details = cast(object, error.details)  # pyright: ignore[reportUnknownMemberType]
            return _by_close(error.code, str(error.message or details or ""))
        case ConnectionClosed():
            rcvd = error.rcvd
            return _by_close(rcvd.code if rcvd else 1006, rcvd.reason if rcvd else "")
        case ConnectionRefusedError():
            return ModelFailure(FailureKind.TRY_AGAIN, "Nobody listens at the model's endpoint.")
        case InvalidHandshake() | OSError() | EOFError():
            return ModelFailure(FailureKind.TRY_AGAIN, f"The network to the model failed ({type(error).__name__}).")
        case _:
            return ModelFailure(FailureKind.TRY_AGAIN, f"The model's connection failed ({type(error).__name__}).")


def _by_status(status: int, body: bytes) -> ModelFailure:
    # Google answers a key that is none at all with 400, and says so in the body only.
    if status in (401, 403) or (status == 400 and _KEY.search(body.decode(errors="replace"))):
        return ModelFailure(
            FailureKind.GIVE_UP, f"The model's endpoint refuses the key ({status}): check GOOGLE_API_KEY.", status
        )
    match status:
        case 404:
            return ModelFailure(
                FailureKind.OTHER_MODEL,
                "The endpoint knows no such model (404): check the agent's model and TRUNKLINE_GEMINI_BASE_URL.",
                status,
            )
        case 429:
            return ModelFailure(
                FailureKind.OTHER_MODEL,
                "The quota for this model is used up (429): raise it, or name another model.",
                status,
            )
        case 400:
            return ModelFailure(
                FailureKind.OTHER_MODEL, "The endpoint does not take what this model is asked for (400).", status
            )
        case _:
            return ModelFailure(FailureKind.TRY_AGAIN, f"The model's endpoint answers {status}.", status)


def _by_close(code: int | None, reason: str) -> ModelFailure:
    shown = " ".join(_SECRET.sub("(key)", reason).split())[:_MAX_REASON]
    known = f"{code}: {shown}" if shown else f"{code}"
    if _KEY.search(reason) and code in (1007, 1008, 400, 401, 403):
        return ModelFailure(
            FailureKind.GIVE_UP, f"The model's endpoint refuses the key ({known}): check GOOGLE_API_KEY.", code
        )
    if _QUOTA.search(reason):
        return ModelFailure(FailureKind.OTHER_MODEL, f"The quota for this model is used up ({known}).", code)
    if _MODEL.search(reason):
        return ModelFailure(FailureKind.OTHER_MODEL, f"There is no such model for live calls ({known}).", code)
    return ModelFailure(FailureKind.TRY_AGAIN, f"The model closed the connection ({known}).", code)
