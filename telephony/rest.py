"""Twilio's REST API: the few requests that change a call from outside."""

import asyncio
from base64 import b64encode
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from twilio.base.exceptions import TwilioRestException  # pyright: ignore[reportMissingTypeStubs]
from twilio.http.async_http_client import AsyncTwilioHttpClient  # pyright: ignore[reportMissingTypeStubs]
from twilio.http.response import Response  # pyright: ignore[reportMissingTypeStubs]
from twilio.rest import Client  # pyright: ignore[reportMissingTypeStubs]

# https://www.twilio.com/docs/api/errors: 20404 no such resource, 21220 the call is no longer in progress
_ALREADY_OVER = frozenset({20404, 21220})


class TwilioFailed(Exception):
    """Twilio did not do what it was asked: it cannot be reached, or it refuses."""

    def __init__(self, reason: str, *, code: int | None = None) -> None:
        """Keep the reason without any telephone number, and Twilio's error code where there is one."""
        super().__init__(reason)
        self.code = code


class TwilioHttp(AsyncTwilioHttpClient):
    """The SDK's HTTP client with an address of our choice and a time limit that is really applied.

    The SDK (9.13) ignores the `timeout` of its constructor, retries POSTs when told to retry at all (two phone calls
    for one request) and hands its credentials over in a way that aiohttp deprecates.
    """

    def __init__(self, api_base: str | None = None, timeout_secs: float = 10.0) -> None:
        """Open the connection pool, in a running event loop; `api_base` replaces every request's scheme and host."""
        super().__init__(max_retries=None)  # pyright: ignore[reportUnknownMemberType]
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
            return await super().request(method, url, params, data, sent, None, None, allow_redirects)


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

    async def redirect(self, call_sid: str, twiml: str) -> bool:
        """Let the call go on with `twiml` instead of what it does now. Returns False when it was over already.

        An open media stream of the call is closed by this. Raises `TwilioFailed`.
        """
        return await self._update(call_sid, twiml=twiml)

    async def _update(self, call_sid: str, **changes: str) -> bool:
        try:
            await self._client.calls(call_sid).update_async(**changes)
        except TwilioRestException as error:
            if error.code in _ALREADY_OVER:
                return False
            raise TwilioFailed(f"Twilio refused: HTTP {error.status}, error {error.code}", code=error.code) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise TwilioFailed(f"Twilio cannot be reached: {type(error).__name__}") from error
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
