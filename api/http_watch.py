"""Every HTTP request counted and timed, by its route and not by its path: ids in labels would never end."""

import time

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.asking import asked_of
from storage.audit import ActorKind
from telemetry import metrics
from telemetry.request_note import RequestNote, begin_note, end_note
from telemetry.traceparent import read_traceparent
from telemetry.traces import Tracer, now_ns
from telemetry.work_trace import request_span

_UNMATCHED = "unmatched"
_GONE = "gone"
"""Instead of a status: whoever asked had left before there was an answer."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UNTRACED = frozenset({_UNMATCHED, "/livez", "/readyz", "/metrics"})
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
        began, began_ns, is_stream = time.monotonic(), now_ns(), False
        status: int | None = None
        note, token = begin_note()

        async def send_noted(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                status = message["status"]
                is_stream = Headers(raw=message["headers"]).get("content-type", "").startswith(_STREAM)
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception:
            status = status or 500
            raise
        finally:
            end_note(token)
            route = route_of(scope)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            metrics.HTTP_REQUESTS_TOTAL.labels(method=method, route=route, status=str(status or _GONE)).inc()
            if not is_stream:
                metrics.HTTP_REQUEST_SECONDS.labels(route=route).observe(time.monotonic() - began)
            tracer = tracer_of(scope)
            if tracer is not None and status is not None and route not in _UNTRACED:
                # Whoever only looks at a call would else be in its trace for ever.
                looked_at = note if method == "POST" else RequestNote()
                tracer.take(request_span(method, route, status, looked_at, began_ns, trusted_parent(scope)))


def route_of(scope: Scope) -> str:
    """Return the template of the route that answered, `unmatched` when none did."""
    return getattr(scope.get("route"), "path", None) or _UNMATCHED


def tracer_of(scope: Scope) -> Tracer | None:
    """Return who takes spans, once the server has started and when there are any."""
    services = getattr(scope["app"].state, "services", None) if "app" in scope else None
    return None if services is None else services.tracer


def trusted_parent(scope: Scope) -> tuple[int, int] | None:
    """Return the trace and span of whoever asks with a key: those of strangers and of browsers are not believed."""
    asked = asked_of(HTTPConnection(scope))
    if asked is None or asked.actor.kind is not ActorKind.KEY or asked.actor.token_id is not None:
        return None
    return read_traceparent(Headers(scope=scope).get("traceparent"))
