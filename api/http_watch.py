"""Every HTTP request counted and timed, by its route and not by its path: ids in labels would never end."""

import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from telemetry import metrics

_UNMATCHED = "unmatched"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STREAM = "text/event-stream"


class HttpWatch:
    """ASGI, around the whole app. Sockets pass untouched."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, is_stream = time.monotonic(), 500, False

        async def send_noted(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                status = message["status"]
                is_stream = Headers(raw=message["headers"]).get("content-type", "").startswith(_STREAM)
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            route = route_of(scope)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            metrics.HTTP_REQUESTS_TOTAL.labels(method=method, route=route, status=str(status)).inc()
            if not is_stream:
                metrics.HTTP_REQUEST_SECONDS.labels(route=route).observe(time.monotonic() - began)


def route_of(scope: Scope) -> str:
    """Return the template of the route that answered, `unmatched` when none did."""
    return getattr(scope.get("route"), "path", None) or _UNMATCHED
