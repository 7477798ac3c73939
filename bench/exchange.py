"""Twilio for many calls at once: webhook, media stream, and what is asked and told when a call is over."""

import asyncio
import ssl
import time
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

from picows import (
    WSError,
    ws_connect,  # pyright: ignore[reportUnknownVariableType]
)

from bench.caller import Caller, CallNotes
from bench.caller_voice import CallerVoice
from bench.launch import Launch
from bench.media_line import MediaLine
from bench.ticker import Ticker
from simulators.media_socket import drop_query, new_sid
from simulators.twilio_webhook import Place, WebhookAnswer, WebhookClient, compute_signature
from simulators.twiml_player import ConnectStream, TwimlError, parse_twiml

ACCOUNT_SID = "AC" + "b" * 32
FROM, TO = "+15557650000", "+15551230100"
_LONGEST_OVERTIME_SECS = 60.0
"""A caller who cannot get to the end of what he hears by then is not waited for."""


class Exchange:
    """Places calls to one server. Use it within `async with`."""

    def __init__(self, launch: Launch, voices: Sequence[CallerVoice], *, seed: int, auth_token: str = "") -> None:
        """Prepare.

        Args:
            launch: The server, which is running.
            voices: What callers sound like; they take turns.
            seed: Decides everything that callers do.
            auth_token: Signs requests; empty: they are not signed.
        """
        self.notes: list[CallNotes] = []
        self.ticker = Ticker()
        self._launch = launch
        self._voices = voices
        self._seed = seed
        self._auth_token = auth_token
        self._base_url = f"http://127.0.0.1:{launch.port}"
        self._webhooks = WebhookClient(auth_token, trust=ssl.create_default_context())

    async def __aenter__(self) -> "Exchange":
        self.ticker.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.ticker.stop()
        await self._webhooks.close()

    async def place_call(self, *, until: float, is_burst: bool = False) -> CallNotes:
        """One whole call; returns its notes when all is over. What goes wrong is in them, never raised.

        Args:
            until: When the caller means to hang up, by `time.monotonic()`.
            is_burst: Marks the notes.
        """
        number = len(self.notes)
        notes = CallNotes(new_sid("CA"), is_burst, dialled_at=time.monotonic())
        self.notes.append(notes)
        answer = await self._post(urljoin(self._base_url, self._launch.voice_path), notes.call_sid, "ringing")
        try:
            verb = _connect_verb(answer)
            await self._talk(notes, verb, number, until)
        except (_NotConnected, TwimlError, WSError, OSError, TimeoutError) as error:
            notes.fail(f"{type(error).__name__}: {error}")
        else:
            if verb.action:
                await self._post(urljoin(answer.url, verb.action), notes.call_sid, "completed")
        if self._launch.status_path:
            await self._post(urljoin(self._base_url, self._launch.status_path), notes.call_sid, "completed")
        return notes

    async def _talk(self, notes: CallNotes, verb: ConnectStream, number: int, until: float) -> None:
        address = urlsplit(drop_query(verb.url))
        url = f"ws://127.0.0.1:{self._launch.port}{address.path}"
        stream_sid = new_sid("MZ")
        headers = {"User-Agent": "Twilio.TmeWs/1.0"}
        if self._auth_token:
            headers["X-Twilio-Signature"] = compute_signature(self._auth_token, drop_query(verb.url), {})
        line = MediaLine(notes.call_sid, stream_sid)
        await ws_connect(lambda: line, url, extra_headers=headers)
        notes.started_at = time.monotonic()
        line.begin(ACCOUNT_SID, verb.parameters)
        voice = self._voices[number % len(self._voices)]
        caller = Caller(voice, notes, until=until, seed=self._seed * 1000 + number)
        line.give_to(caller)
        remove = self.ticker.add(line.tick)
        try:
            async with asyncio.timeout(until + _LONGEST_OVERTIME_SECS - notes.started_at):
                await line.over.wait()
        finally:
            remove()
            notes.ended_at = time.monotonic()
        await line.hang_up()

    async def _post(self, url: str, call_sid: str, status: str) -> WebhookAnswer:
        form = {
            "AccountSid": ACCOUNT_SID,
            "ApiVersion": "2010-04-01",
            "CallSid": call_sid,
            "CallStatus": status,
            "Direction": "inbound",
            "From": FROM,
            "To": TO,
            "Caller": FROM,
            "Called": TO,
        }
        return await self._webhooks.request(Place(url, url), form, sign=bool(self._auth_token))


class _NotConnected(Exception):
    """The webhook's answer connects the call to no stream."""


def _connect_verb(answer: WebhookAnswer) -> ConnectStream:
    if answer.error is not None:
        raise _NotConnected(answer.error.message)
    for verb in parse_twiml(answer.body):
        if isinstance(verb, ConnectStream):
            return verb
    raise _NotConnected(f"refused: {answer.body[:200]}")
