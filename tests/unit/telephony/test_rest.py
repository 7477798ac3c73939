"""Twilio's REST API, against a small HTTP server that answers as Twilio does."""

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import AsyncGenerator
from urllib.parse import parse_qs

import pytest

from telephony.rest import Repeat, TwilioFailed, TwilioRest, open_rest

ACCOUNT = "AC" + "1" * 32
CALL = '{"sid": "CA1", "status": "completed"}'


class Answers:
    """What the far end was asked, and how it answers."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, list[str]]]] = []
        self.status = 200
        self.body = CALL
        self.headers = ""
        self.is_silent = False


@contextlib.asynccontextmanager
async def far_end(answers: Answers) -> AsyncGenerator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            lowered = {name.lower(): value for name, value in fields.items()}
            body = await reader.readexactly(int(lowered.get("content-length", "0")))
            answers.requests.append((head.split("\r\n")[0], lowered.get("authorization", ""), parse_qs(body.decode())))
            if answers.is_silent:
                await reader.read()
                return
            length = f"Content-Length: {len(answers.body)}\r\n"
            answer = f"HTTP/1.1 {answers.status} X\r\n{answers.headers}{length}Connection: close\r\n\r\n"
            writer.write((answer + answers.body).encode())
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"


async def test_a_call_is_hung_up_once_and_with_our_credentials() -> None:
    answers = Answers()
    async with far_end(answers) as base, TwilioRest(ACCOUNT, "SK1", "secret", api_base=base) as rest:
        assert await rest.hang_up("CA1") is True
    ((line, authorization, form),) = answers.requests
    assert line == f"POST /2010-04-01/Accounts/{ACCOUNT}/Calls/CA1.json HTTP/1.1"
    assert authorization == "Basic " + b64encode(b"SK1:secret").decode()
    assert form == {"Status": ["completed"]}


async def test_a_call_goes_on_with_other_twiml() -> None:
    answers = Answers()
    async with far_end(answers) as base, TwilioRest(ACCOUNT, "SK1", "secret", api_base=base) as rest:
        assert await rest.redirect("CA1", "<Response/>") is True
    assert answers.requests[0][2] == {"Twiml": ["<Response/>"]}


@pytest.mark.parametrize(("status", "code"), [(404, 20404), (400, 21220)])
async def test_a_call_that_is_over_is_no_failure(status: int, code: int) -> None:
    answers = Answers()
    answers.status, answers.body = status, f'{{"code": {code}, "message": "over", "status": {status}}}'
    async with far_end(answers) as base, TwilioRest(ACCOUNT, "SK1", "secret", api_base=base) as rest:
        assert await rest.hang_up("CA1") is False


@pytest.mark.parametrize(("status", "code"), [(401, 20003), (500, 20500), (429, 20429)])
async def test_a_refusal_is_told_and_never_repeated(status: int, code: int) -> None:
    answers = Answers()
    answers.status, answers.body = status, f'{{"code": {code}, "message": "no +15551230100", "status": {status}}}'
    async with far_end(answers) as base, TwilioRest(ACCOUNT, "SK1", "secret", api_base=base) as rest:
        with pytest.raises(TwilioFailed) as caught:
            await rest.hang_up("CA1")
    assert caught.value.code == code
    assert "+1555" not in str(caught.value)
    assert len(answers.requests) == 1


async def test_a_far_end_that_says_nothing_is_given_up() -> None:
    answers = Answers()
    answers.is_silent = True
    async with far_end(answers) as base, TwilioRest(ACCOUNT, "SK1", "s", api_base=base, timeout_secs=0.2) as rest:
        with pytest.raises(TwilioFailed, match="TimeoutError"):
            await rest.hang_up("CA1")


async def test_nobody_there_is_told() -> None:
    answers = Answers()
    async with far_end(answers) as base:
        gone = base
    async with TwilioRest(ACCOUNT, "SK1", "s", api_base=gone) as rest:
        with pytest.raises(TwilioFailed, match="cannot be reached"):
            await rest.hang_up("CA1")


@pytest.mark.parametrize(
    ("status", "headers", "repeat", "after_secs"),
    [
        (401, "", Repeat.NEVER, None),
        (400, "", Repeat.NEVER, None),
        (500, "", Repeat.SAFELY, None),
        (503, "Retry-After: 9\r\n", Repeat.SAFELY, None),
        (429, "Retry-After: 7\r\n", Repeat.SAFELY, 7.0),
        (429, "", Repeat.SAFELY, None),
        (429, "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n", Repeat.SAFELY, 0.0),
        (429, "Retry-After: soon\r\n", Repeat.SAFELY, None),
    ],
)
async def test_a_refusal_says_whether_it_may_be_tried_again(
    status: int, headers: str, repeat: Repeat, after_secs: float | None
) -> None:
    answers = Answers()
    answers.status, answers.headers, answers.body = (
        status,
        headers,
        f'{{"code": 1, "message": "x", "status": {status}}}',
    )
    async with far_end(answers) as base, TwilioRest(ACCOUNT, "SK1", "secret", api_base=base) as rest:
        with pytest.raises(TwilioFailed) as caught:
            await rest.redirect("CA1", "<Response/>")
    assert (caught.value.repeat, caught.value.retry_after_secs) == (repeat, after_secs)


async def test_a_request_that_may_have_been_carried_out_is_told_from_one_that_was_not() -> None:
    answers = Answers()
    answers.is_silent = True
    async with far_end(answers) as base, TwilioRest(ACCOUNT, "SK1", "s", api_base=base, timeout_secs=0.2) as rest:
        with pytest.raises(TwilioFailed) as silent:
            await rest.hang_up("CA1")
    async with TwilioRest(ACCOUNT, "SK1", "s", api_base=base) as rest:
        with pytest.raises(TwilioFailed) as refused:
            await rest.hang_up("CA1")
    assert (silent.value.repeat, refused.value.repeat) == (Repeat.PERHAPS, Repeat.SAFELY)


async def test_the_account_proves_the_credentials() -> None:
    answers = Answers()
    answers.body = f'{{"sid": "{ACCOUNT}", "status": "active"}}'
    async with far_end(answers) as base, open_rest((ACCOUNT, "SK1", "secret"), base) as rest:
        assert rest is not None
        assert await rest.check() == "active"
    assert answers.requests[0][0] == f"GET /2010-04-01/Accounts/{ACCOUNT}.json HTTP/1.1"


async def test_without_credentials_there_is_no_client() -> None:
    async with open_rest(None, None) as rest:
        assert rest is None
