"""Everything that connecting and receiving can raise, sorted by what helps."""

import asyncio
import socket
import ssl

import pytest
from google.genai.errors import APIError, ClientError, ServerError
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidMessage, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Response

from pipelines.model_failures import FailureKind, NotReady, Stalled, sort_failure

AGAIN, OTHER, GIVE_UP = FailureKind.TRY_AGAIN, FailureKind.OTHER_MODEL, FailureKind.GIVE_UP
BAD_KEY = b'{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}'


def refused(status: int, body: bytes = b"") -> InvalidStatus:
    return InvalidStatus(Response(status, "as told", Headers(), body))


def closed(code: int, reason: str = "") -> ConnectionClosedError:
    return ConnectionClosedError(Close(code, reason), None)


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (refused(400), OTHER, "400"),
        (refused(400, BAD_KEY), GIVE_UP, "GOOGLE_API_KEY"),
        (refused(401), GIVE_UP, "GOOGLE_API_KEY"),
        (refused(403), GIVE_UP, "GOOGLE_API_KEY"),
        (refused(404), OTHER, "no such model"),
        (refused(429), OTHER, "quota"),
        (refused(500), AGAIN, "500"),
        (refused(503), AGAIN, "503"),
        (refused(302), AGAIN, "302"),
    ],
)
def test_a_refused_handshake_is_sorted_by_its_status(error, kind, told):
    failure = sort_failure(error)
    assert (failure.kind, failure.code) == (kind, error.response.status_code)
    assert told in failure.sentence


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (1000, "The operation was cancelled.", AGAIN),
        (1006, "", AGAIN),
        (1007, "Request contains an invalid argument.", AGAIN),
        (1007, "API key not valid. Please pass a valid API key.", GIVE_UP),
        (1008, "Your API key was reported as leaked. Please use another API key.", GIVE_UP),
        (1008, "API key expired. Please renew the API key.", GIVE_UP),
        (1008, "models/gemini-9 is not found for API version v1beta, or is not supported for bidi", OTHER),
        (1008, "Operation is not implemented, or supported, or enabled.", AGAIN),
        (1008, "The session cannot be resumed.", AGAIN),
        (1011, "Internal error encountered.", AGAIN),
        (1011, "You exceeded your current quota, please check your plan and billing details.", OTHER),
        (1011, "RESOURCE_EXHAUSTED", OTHER),
        (1011, "Deadline expired before operation could complete.", AGAIN),
    ],
)
@pytest.mark.parametrize("by_sdk", [True, False])
def test_a_close_is_sorted_by_its_reason(code, reason, kind, by_sdk):
    failure = sort_failure(APIError(code, reason, None) if by_sdk else closed(code, reason))
    assert (failure.kind, failure.code) == (kind, code)
    assert str(code) in failure.sentence


def test_a_connection_that_just_ended_has_no_reason():
    assert sort_failure(ConnectionClosedError(None, None)).code == 1006


@pytest.mark.parametrize("error_class", [ClientError, ServerError, APIError])
def test_an_error_of_the_sdk_may_hold_anything(error_class):
    failure = sort_failure(error_class(1011, {"error": {"message": "Internal error encountered."}}, None))
    assert failure.sentence == "The model closed the connection (1011: Internal error encountered.)."


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (ssl.SSLCertVerificationError(1, "self-signed"), GIVE_UP, "TRUNKLINE_GEMINI_CA_FILE"),
        (ssl.SSLError(1, "handshake failure"), AGAIN, "TLS"),
        (socket.gaierror(-2, "Name or service not known"), AGAIN, "TRUNKLINE_GEMINI_BASE_URL"),
        (ConnectionRefusedError(111, "refused"), AGAIN, "Nobody listens"),
        (ConnectionResetError(104, "reset"), AGAIN, "ConnectionResetError"),
        (EOFError(), AGAIN, "EOFError"),
        (InvalidMessage("no HTTP"), AGAIN, "InvalidMessage"),
        (TimeoutError(), AGAIN, "in time"),
        (asyncio.CancelledError(), AGAIN, "in time"),
        (NotReady(), AGAIN, "setupComplete"),
        (Stalled(), AGAIN, "nothing comes"),
        (RuntimeError("odd"), AGAIN, "RuntimeError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_the_network_does_is_sorted(error, kind, told):
    failure = sort_failure(error)
    assert (failure.kind, failure.code) == (kind, None)
    assert told in failure.sentence


def test_every_failure_is_one_sentence_without_a_key():
    key = "AIza" + "x" * 35
    errors = [
        closed(1008, f"Permission denied: Consumer 'api_key:{key}' has been suspended."),
        closed(1011, "Internal error. " * 7),
        refused(503),
        RuntimeError(key),
    ]
    for error in errors:
        sentence = sort_failure(error).sentence
        assert key not in sentence
        assert "\n" not in sentence
        assert sentence.endswith(".")
        assert len(sentence) < 300
    assert sort_failure(errors[0]).kind is GIVE_UP
