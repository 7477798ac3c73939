"""The server on a real socket, with a run of calls that tests can watch, and Twilio's side of the wire."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast
from xml.etree.ElementTree import Element, fromstring

import httpx
from fastapi import WebSocket, WebSocketDisconnect
from twilio.request_validator import RequestValidator  # pyright: ignore[reportMissingTypeStubs]
from websockets.asyncio.client import ClientConnection, connect

from config.agent import AgentConfig
from config.settings import Settings
from pipelines.clock import CallClock
from server import RunningServer
from storage.engine import Database
from storage.errors import DatabaseAway
from telephony.media_stream import Start
from tests.databases import make_ring
from transcripts.call import Call, EndReason
from transcripts.models import CallRow

AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
PUBLIC_URL = "https://voice.example.com"
NUMBER = "+15551230100"
CALLER = "+15557654321"
CALL_SID = "CA" + "1" * 32
STREAM_SID = "MZ" + "2" * 32

AGENT = f"""\
bot: quiet
numbers: ["{NUMBER}"]
language: de-DE
greeting: ""
pipeline: [transport.input, transport.output]
recording: {{enabled: false}}
"""
BOT = """\
from pipelines import Bot

bot = Bot()
"""


@dataclass
class Calls:
    """Stands where a call is run: keeps what it was given, and ends when the caller or the test says so."""

    given: list[tuple[Start, Call, AgentConfig]] = field(default_factory=list[tuple[Start, Call, AgentConfig]])
    reason: EndReason = EndReason.BOT_ENDED
    fault: Exception | None = None
    is_told_to_end: asyncio.Event = field(default_factory=asyncio.Event)
    writes_end: bool = True
    server: RunningServer | None = None

    async def run(
        self, websocket: WebSocket, start: Start, call: Call, agent: AgentConfig, _clock: CallClock
    ) -> EndReason:
        self.given.append((start, call, agent))
        if self.fault is not None:
            raise self.fault
        leaving = asyncio.create_task(self._wait_until_gone(websocket), name="caller leaves")
        told = asyncio.create_task(self.is_told_to_end.wait(), name="told to end")
        await asyncio.wait({leaving, told}, return_when=asyncio.FIRST_COMPLETED)
        reason = EndReason.CALLER_HUNG_UP if leaving.done() else self.reason
        leaving.cancel()
        told.cancel()
        await asyncio.gather(leaving, told, return_exceptions=True)
        if self.writes_end and self.server is not None:
            self.server.services.log_writer.open(call.call_id).finish(reason)
        return reason

    async def _wait_until_gone(self, websocket: WebSocket) -> None:
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            return


class Expectations:
    """Stands where models are connected while calls ring: keeps which were expected and which were given up."""

    def __init__(self) -> None:
        self.expected: list[tuple[Call, AgentConfig]] = []
        self.forgotten: list[str] = []

    def expect(self, call: Call, agent: AgentConfig) -> None:
        self.expected.append((call, agent))

    def forget(self, call_id: str) -> None:
        self.forgotten.append(call_id)


@dataclass
class Line:
    """A running server and Twilio's end of its wires."""

    server: RunningServer
    http: httpx.AsyncClient
    calls: Calls
    models: Expectations

    def sign(self, url: str, form: dict[str, str]) -> dict[str, str]:
        """Return the headers with which Twilio signs a request to `url`."""
        validator: Any = RequestValidator(AUTH_TOKEN)
        return {"X-Twilio-Signature": str(validator.compute_signature(url, form))}

    async def post(self, path: str, headers: dict[str, str] | None = None, **form: str) -> httpx.Response:
        """POST a webhook, signed as Twilio does unless other headers are given."""
        base = self.server.settings.effective_public_base_url
        signed = self.sign(base + path, form) if headers is None else headers
        return await self.http.post(path, data=form, headers=signed)

    async def ring(self, call_sid: str = CALL_SID, to: str = NUMBER) -> dict[str, str]:
        """Ring; returns the `<Parameter>`s of the answer."""
        answer = await self.post("/twilio/voice", CallSid=call_sid, To=to, From=CALLER)
        return parameters(answer)

    async def ask_next(self, call_sid: str = CALL_SID, **form: str) -> httpx.Response:
        """Ask what comes next, at the address that the answer to the voice webhook gives."""
        return await self.post("/twilio/next?agent=front-desk&language=de-DE", CallSid=call_sid, **form)

    def open_stream(
        self, headers: dict[str, str] | None = None, path: str = "/twilio/stream"
    ) -> AbstractAsyncContextManager[ClientConnection]:
        """Open the media socket, signed as Twilio does unless other headers are given."""
        signed = self.sign(f"{self.server.settings.stream_base_url}{path}", {}) if headers is None else headers
        url = f"ws{self.server.base_url.removeprefix('http')}{path}"
        return connect(url, additional_headers=signed, compression=None, proxy=None)

    async def row(self, call_sid: str = CALL_SID) -> CallRow:
        """Return the call's row."""
        row = await self.server.services.store.find_call(call_sid)
        assert row is not None
        return row

    async def eventually(self, is_true: Callable[[], bool]) -> None:
        """Wait for something that happens in the server; fails after 5 s."""
        async with asyncio.timeout(5):
            while not is_true():  # noqa: ASYNC110 - what is waited for knows nothing of this test
                await asyncio.sleep(0.01)

    async def ended(self, call_sid: str = CALL_SID) -> str | None:
        """Wait until the call's row has ended; returns why."""
        async with asyncio.timeout(5):
            while (row := await self.row(call_sid)).status != "ended":  # noqa: ASYNC110 - a row tells nobody
                await asyncio.sleep(0.02)
        return row.end_reason


def verbs(answer: httpx.Response) -> list[Element]:
    """Return the verbs of a TwiML answer."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/xml")
    return list(fromstring(answer.content))


def tags(answer: httpx.Response) -> list[str]:
    """Return the names of an answer's verbs."""
    return [verb.tag for verb in verbs(answer)]


def parameters(answer: httpx.Response) -> dict[str, str]:
    """Return the `<Parameter>`s of an answer that connects a stream."""
    (verb,) = verbs(answer)
    assert verb.tag == "Connect"
    return {str(element.get("name")): str(element.get("value")) for element in verb.iter("Parameter")}


def start_message(given: dict[str, str], call_sid: str = CALL_SID) -> str:
    """Return Twilio's `start` with these parameters."""
    return json.dumps(
        {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": STREAM_SID,
            "start": {
                "streamSid": STREAM_SID,
                "accountSid": "AC1",
                "callSid": call_sid,
                "tracks": ["inbound"],
                "customParameters": given,
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            },
        }
    )


CONNECTED = json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})


def reachable(settings: Settings, **changes: Any) -> Settings:
    """Return the settings of a server that Twilio can reach: signatures are checked."""
    values = {**settings.model_dump(), "twilio_auth_token": AUTH_TOKEN, "public_base_url": PUBLIC_URL, **changes}
    return Settings.model_validate(values)


@asynccontextmanager
async def serve(settings: Settings) -> AsyncGenerator[Line]:
    """Run the server; its calls are run by `Calls`."""
    async with RunningServer(settings) as server:
        calls, models = Calls(server=server), Expectations()
        services = replace(server.services, run_stream=calls.run, answering=cast(Any, models), end_grace_secs=0.3)
        server.services = server.app.state.services = services
        async with httpx.AsyncClient(base_url=server.base_url, trust_env=False) as http:
            yield Line(server, http, calls, models)
        # Most tests ring and open no stream; stopping would wait for what Twilio asks about these calls.
        services.live.give_up_ringing()


async def away() -> Database:
    """Return a database that does not answer."""
    database = Database("postgresql+psycopg://trunkline@127.0.0.1:1/calls", make_ring())
    with contextlib.suppress(DatabaseAway):
        await database.connect(0)
    return database
