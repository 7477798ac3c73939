"""Twilio's REST API: the few requests that change a call from outside."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Self, cast
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from twilio.base.exceptions import TwilioException, TwilioRestException  # pyright: ignore[reportMissingTypeStubs]
from twilio.http.async_http_client import AsyncTwilioHttpClient  # pyright: ignore[reportMissingTypeStubs]
from twilio.http.response import Response  # pyright: ignore[reportMissingTypeStubs]
from twilio.rest import Client  # pyright: ignore[reportMissingTypeStubs]

from net.retry_after import read_wait_secs

# https://www.twilio.com/docs/api/errors: 20404 no such resource, 21220 the call is no longer in progress
_NO_SUCH_THING = 20404
_ALREADY_OVER = frozenset({_NO_SUCH_THING, 21220})
# https://www.twilio.com/docs/voice/api/call-resource#call-status-values
_UNDER_WAY = frozenset({"queued", "ringing", "in-progress"})
_MOST_LEGS = 20


class Repeat(StrEnum):
    """Whether a request that failed may be sent again."""

    SAFELY = "safely"
    """Twilio did not carry it out: it could not be reached, was too busy (429), or failed itself (5xx)."""
    PERHAPS = "perhaps"
    """Nobody knows whether it was carried out: there was no answer in time, or the connection broke."""
    NEVER = "never"
    """Twilio refuses it and will go on refusing."""


class TwilioFailed(Exception):
    """Twilio did not do what it was asked: it cannot be reached, or it refuses."""

    def __init__(
        self,
        reason: str,
        *,
        code: int | None = None,
        repeat: Repeat = Repeat.NEVER,
        retry_after_secs: float | None = None,
    ) -> None:
        """Keep the reason without any telephone number, Twilio's error code where there is one, and what may be done.

        `retry_after_secs` is what Twilio asks to wait before the next request.
        """
        super().__init__(reason)
        self.code = code
        self.repeat = repeat
        self.retry_after_secs = retry_after_secs


@dataclass(frozen=True, slots=True)
class DialRequest:
    """A call that Twilio is to place.

    Attributes:
        to_number: Who is called, E.164.
        from_number: What they see, E.164.
        voice_url: Asked for TwiML when somebody answers.
        status_url: Told how the call goes.
        ring_secs: How long it rings.
        time_limit_secs: When Twilio itself ends the call, counted from the answer.
        further: More parameters, by the names of the SDK's `calls.create`.
    """

    to_number: str
    from_number: str
    voice_url: str
    status_url: str
    ring_secs: int
    time_limit_secs: int
    further: Mapping[str, str | int] = field(default_factory=dict[str, "str | int"])


@dataclass(frozen=True, slots=True)
class TwilioCall:
    """A call as Twilio knows it. `status` is Twilio's word; `duration_secs` is None until the call is over."""

    call_sid: str
    status: str
    direction: str
    created_at: datetime | None  # aware
    duration_secs: int | None


@dataclass(frozen=True, slots=True)
class OwnedNumber:
    """A telephone number of the account: what Twilio asks when it is called, and whom it tells; "" where nobody.

    With an `application_sid` or a `trunk_sid` the URLs of the number itself are not used.
    """

    sid: str
    number: str
    voice_url: str
    voice_method: str
    fallback_url: str
    status_callback: str
    status_method: str
    application_sid: str
    trunk_sid: str


class _TooMany(Exception):
    """HTTP 429, before the SDK drops its headers."""

    def __init__(self, retry_after_secs: float | None) -> None:
        super().__init__(retry_after_secs)
        self.retry_after_secs = retry_after_secs


class TwilioHttp(AsyncTwilioHttpClient):
    """The SDK's HTTP client with an address of our choice and a time limit that is really applied.

    The SDK (9.13) ignores the `timeout` of its constructor, retries POSTs when told to retry at all (two phone calls
    for one request) and hands its credentials over in a way that aiohttp deprecates.
    """

    def __init__(self, api_base: str | None = None, timeout_secs: float = 10.0) -> None:
        """Open the connection pool, in a running event loop; `api_base` replaces every request's scheme and host."""
        super().__init__(max_retries=None)  # pyright: ignore[reportUnknownMemberType]
        self.ahead_secs: float | None = None
        """How far Twilio's clock was ahead of ours at its last answer, to a second; None before the first."""
        self._api_base = urlsplit(api_base) if api_base else None
        self._timeout_secs = timeout_secs

    async def request(
        self,
        method: str,
        url: str,
        params: dict[str, object] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """Send one request, once."""
        if self._api_base is not None:
            parts = urlsplit(url)
            url = urlunsplit((self._api_base.scheme, self._api_base.netloc, parts.path, parts.query, ""))
        sent = dict(headers or {})
        if auth is not None:
            sent["Authorization"] = f"Basic {b64encode(':'.join(auth).encode()).decode('ascii')}"
        async with asyncio.timeout(timeout or self._timeout_secs):
            response = await super().request(method, url, params, data, sent, None, None, allow_redirects)
        self.ahead_secs = _ahead_secs(_header(response, "date"), time.time())
        if response.status_code == 429:
            raise _TooMany(read_wait_secs(_header(response, "retry-after"), datetime.now(UTC)))
        return response


class TwilioRest:
    """Requests to Twilio on behalf of one account. Use as an async context manager, inside the running loop."""

    def __init__(
        self,
        account_sid: str,
        username: str,
        password: str,
        *,
        api_base: str | None = None,
        timeout_secs: float = 10.0,
    ) -> None:
        """Prepare the client.

        `username` and `password` are an API key's SID and secret, or the account SID and its auth token.
        `api_base` (such as http://127.0.0.1:9000) sends every request elsewhere than to api.twilio.com.
        """
        self._http = TwilioHttp(api_base, timeout_secs)
        self._client: Any = Client(username, password, account_sid, http_client=self._http)

    async def hang_up(self, call_sid: str) -> bool:
        """End the call. Returns False when it was over already. Raises `TwilioFailed`."""
        return await self._update(call_sid, status="completed")

    async def cancel(self, call_sid: str) -> bool:
        """Stop a phone from ringing. Returns False when it was answered, or the call is over. Raises `TwilioFailed`."""
        return await self._update(call_sid, status="canceled")

    async def redirect(self, call_sid: str, twiml: str) -> bool:
        """Let the call go on with `twiml` instead of what it does now. Returns False when it was over already.

        An open media stream of the call is closed by this. Raises `TwilioFailed`.
        """
        return await self._update(call_sid, twiml=twiml)

    async def place(self, request: DialRequest) -> str:
        """Have a phone rung, once; returns Twilio's id of the call. Raises `TwilioFailed`.

        Twilio knows no idempotency key: after a failure with `Repeat.PERHAPS` (also one of Twilio's own, HTTP 5xx) a
        phone may ring, and nothing but Twilio's list of calls, or a webhook, can tell.
        """
        with _translated(is_safe_after_5xx=False):
            call = await self._client.calls.create_async(
                to=request.to_number,
                from_=request.from_number,
                url=request.voice_url,
                method="POST",
                status_callback=request.status_url,
                status_callback_method="POST",
                status_callback_event=["initiated", "ringing", "answered", "completed"],
                timeout=request.ring_secs,
                time_limit=request.time_limit_secs,
                **request.further,
            )
        return str(call.sid)

    async def list_between(self, from_number: str, to_number: str, *, limit: int = 50) -> list[TwilioCall]:
        """List the latest calls between two numbers, newest first. Raises `TwilioFailed`."""
        with _translated():
            found = await self._client.calls.list_async(from_=from_number, to=to_number, limit=limit)
        return [_read_call(call) for call in found]

    async def fetch(self, call_sid: str) -> TwilioCall | None:
        """Return a call as it is now; None when Twilio does not know it (any more). Raises `TwilioFailed`."""
        try:
            with _translated():
                return _read_call(await self._client.calls(call_sid).fetch_async())
        except TwilioFailed as error:
            if error.code == _NO_SUCH_THING:
                return None
            raise

    async def has_other_leg(self, call_sid: str) -> bool:
        """Whether the call has dialled somebody who is on the line or still rings: it is being, or was, transferred.

        Raises `TwilioFailed`.
        """
        with _translated():
            legs = await self._client.calls.list_async(parent_call_sid=call_sid, limit=_MOST_LEGS)
        return any(leg.parent_call_sid == call_sid and str(leg.status) in _UNDER_WAY for leg in legs)

    async def send_message(self, to_number: str, from_number: str, text: str) -> str:
        """Send a text message (SMS), once; returns its SID. Raises `TwilioFailed`."""
        with _translated():
            message = await self._client.messages.create_async(to=to_number, from_=from_number, body=text)
        return str(message.sid)

    async def check(self) -> str:
        """Return the account's status at Twilio ("active"), which proves the credentials. Raises `TwilioFailed`."""
        with _translated():
            account = await self._client.api.accounts(self._client.account_sid).fetch_async()
        return str(account.status)

    @property
    def ahead_secs(self) -> float | None:
        """How far Twilio's clock is ahead of ours, as its last answer told; None when it told nothing."""
        return self._http.ahead_secs

    async def list_numbers(self) -> list[OwnedNumber]:
        """Return every telephone number of the account, with what it asks and tells. Raises `TwilioFailed`."""
        with _translated():
            numbers = await self._client.incoming_phone_numbers.list_async()
        return sorted((_read_number(number) for number in numbers), key=lambda number: number.number)

    async def change_number(self, sid: str, **changes: str) -> OwnedNumber:
        """Set fields of a number, named as the SDK's `update` does; an empty text clears one. Raises `TwilioFailed`."""
        with _translated():
            return _read_number(await self._client.incoming_phone_numbers(sid).update_async(**changes))

    async def _update(self, call_sid: str, **changes: str) -> bool:
        try:
            with _translated():
                await self._client.calls(call_sid).update_async(**changes)
        except TwilioFailed as error:
            if error.code in _ALREADY_OVER:
                return False
            raise
        return True

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.close()


@asynccontextmanager
async def open_rest(
    credentials: tuple[str, str, str] | None, api_base: str | None, *, timeout_secs: float = 10.0
) -> AsyncGenerator[TwilioRest | None]:
    """Yield the client for these credentials (account SID, user name, password); None without any."""
    if credentials is None:
        yield None
        return
    async with TwilioRest(*credentials, api_base=api_base, timeout_secs=timeout_secs) as rest:
        yield rest


@contextmanager
def _translated(*, is_safe_after_5xx: bool = True) -> Generator[None]:
    """Turn what the SDK and its HTTP client raise into `TwilioFailed`.

    `is_safe_after_5xx`: the request may be repeated after a failure of Twilio's own, whatever came of the first one.
    """
    try:
        yield
    except _TooMany as error:
        raise TwilioFailed(
            "Twilio is asked too often: HTTP 429",
            code=20429,
            repeat=Repeat.SAFELY,
            retry_after_secs=error.retry_after_secs,
        ) from error
    except TwilioRestException as error:
        if error.status >= 500:
            repeat = Repeat.SAFELY if is_safe_after_5xx else Repeat.PERHAPS
        else:
            repeat = Repeat.NEVER
        raise TwilioFailed(
            f"Twilio refused: HTTP {error.status}, error {error.code}", code=error.code, repeat=repeat
        ) from error
    except TwilioException as error:
        # What the SDK raises for a list that it did not get, whatever the status was. Nothing is changed by asking.
        raise TwilioFailed("Twilio gave no list", repeat=Repeat.SAFELY) from error
    except (aiohttp.ClientError, OSError) as error:
        # TimeoutError is an OSError too. Only a connection that was never made has certainly carried nothing.
        was_sent = not isinstance(error, aiohttp.ClientConnectorError)
        raise TwilioFailed(
            f"Twilio cannot be reached: {type(error).__name__}", repeat=Repeat.PERHAPS if was_sent else Repeat.SAFELY
        ) from error


def _read_call(call: Any) -> TwilioCall:
    duration = str(call.duration or "")
    created_at: datetime | None = call.date_created or call.start_time
    return TwilioCall(
        call_sid=str(call.sid),
        status=str(call.status or ""),
        direction=str(call.direction or ""),
        created_at=created_at if created_at is None or created_at.tzinfo else created_at.replace(tzinfo=UTC),
        duration_secs=int(duration) if duration.isascii() and duration.isdigit() else None,
    )


def _read_number(number: Any) -> OwnedNumber:
    return OwnedNumber(
        sid=str(number.sid),
        number=str(number.phone_number),
        voice_url=number.voice_url or "",
        voice_method=number.voice_method or "POST",
        fallback_url=number.voice_fallback_url or "",
        status_callback=number.status_callback or "",
        status_method=number.status_callback_method or "POST",
        application_sid=number.voice_application_sid or "",
        trunk_sid=number.trunk_sid or "",
    )


def _ahead_secs(date: str, now: float) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - now
    except ValueError:
        return None


def _header(response: Response, wanted: str) -> str:
    headers = cast(Mapping[str, str], response.headers or {})
    return next((value for name, value in headers.items() if name.lower() == wanted), "")
