"""What every answer tells a browser: not to guess, not to keep, not to frame; and which pages may ask at all."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.settings import Settings

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_HSTS = "max-age=31536000"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_MAY_SEND = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "If-Range",
    "Last-Event-ID",
    "Range",
    "X-Request-Id",
)
_MAY_READ = (
    "Content-Range",
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "X-Request-Id",
)
_PREFLIGHT_SECS = 600


class SafeHeaders:
    """ASGI, around everything: adds to each answer what it does not say itself. Pages keep their own policy."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Wrap `app`."""
        self._app = app
        self._headers = dict(_HEADERS)
        if settings.effective_public_base_url.startswith("https:"):
            self._headers["Strict-Transport-Security"] = _HSTS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; sockets pass untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                counted = cast(Mapping[str, str], scope.get("state", {}).get("rate_headers", {}))
                for name, value in {**self._headers, **counted}.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_safely)


class OtherOrigins:
    """ASGI: lets the pages of some origins ask `/v1`, with a key or token and never with a cookie."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        """Wrap `app`; without origins nothing is changed, and browsers refuse by themselves."""
        self._app = app
        allowing: Any = CORSMiddleware(
            app,
            allow_origins=list(origins),
            allow_methods=_METHODS,
            allow_headers=_MAY_SEND,
            expose_headers=_MAY_READ,
            allow_credentials=False,
            max_age=_PREFLIGHT_SECS,
        )
        self._allowing: ASGIApp = allowing if origins else app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        is_v1 = scope["type"] == "http" and scope["path"].startswith("/v1/")
        await (self._allowing if is_v1 else self._app)(scope, receive, send)
