"""Spans on their way to a collector (OTLP over HTTP), in a thread of their own: nobody waits for it, nor for its end.

A span is made once it is over, with its ids and times. The trace of a call and its root span have ids that follow from
the call's id, so that whatever process has to do with a call adds to the same trace, and none has to tell another.
"""

import asyncio
import hashlib
import random
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING
from urllib.parse import unquote

from loguru import logger

from telemetry import metrics

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import ReadableSpan

_MOST_WAITING = 4096
_BATCH = 512
_EVERY_SECS = 1.0
_TIMEOUT_SECS = 3.0
_CLOSE_SECS = 1.5

Attributes = Mapping[str, str | int | float | bool]


class Kind(IntEnum):
    """What a span is, in the words of OpenTelemetry."""

    INTERNAL = 0
    SERVER = 1
    CLIENT = 2


@dataclass(frozen=True, slots=True)
class Span:
    """One span that is over. Times are nanoseconds since 1970; ids have 128 and 64 bits; `link` is a span elsewhere."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int | None
    start_ns: int
    end_ns: int
    attributes: Attributes = field(default_factory=dict[str, str | int | float | bool])
    kind: Kind = Kind.INTERNAL
    is_error: bool = False
    link: tuple[int, int] | None = None
    is_parent_remote: bool = False


def trace_of(call_id: str) -> tuple[int, int]:
    """Return the ids of a call's trace and of its root span."""
    digest = hashlib.sha256(b"trunkline call\0" + call_id.encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])


def new_span_id() -> int:
    """Return an id for a span that nobody else has to know."""
    return random.getrandbits(64) or 1


def new_trace_id() -> int:
    """Return an id for a trace of its own."""
    return random.getrandbits(128) or 1


class Tracer:
    """Takes spans and has them sent. `take` may be called from anywhere, and takes some millionths of a second."""

    def __init__(self, exporter: "OTLPSpanExporter", resource: Attributes) -> None:
        """Take what sends, and what is said of this process with every span."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._exporter = exporter
        self._resource = Resource(dict(resource))
        self._scope = InstrumentationScope("trunkline")
        self._waiting: deque[Span] = deque()
        self._wake = threading.Event()
        self._is_closing = False
        self._is_away = False
        self._thread = threading.Thread(target=self._send_all, name="spans", daemon=True)
        self._thread.start()

    def take(self, span: Span) -> None:
        """Have a span sent, soon; one too many is dropped, and counted."""
        if len(self._waiting) >= _MOST_WAITING or self._is_closing:
            metrics.SPANS_DROPPED_TOTAL.inc()
            return
        self._waiting.append(span)
        if len(self._waiting) >= _BATCH:
            self._wake.set()

    def close(self) -> None:
        """Send what waits, as far as that takes no longer than a moment; the rest is dropped, and counted. Blocks."""
        self._is_closing = True
        self._wake.set()
        if not self._is_away:
            self._thread.join(_CLOSE_SECS)
        self._exporter.shutdown()  # a request that is repeated for a collector that is away ends now
        self._thread.join(_CLOSE_SECS)

    def _send_all(self) -> None:
        while True:
            self._wake.wait(_EVERY_SECS)
            self._wake.clear()
            while self._waiting:
                self._send([self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))])
            if self._is_closing:
                return

    def _send(self, spans: list[Span]) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        is_taken = self._exporter.export([self._as_sdk(span) for span in spans]) is SpanExportResult.SUCCESS
        if not is_taken:
            metrics.SPANS_DROPPED_TOTAL.inc(len(spans))
        if is_taken == self._is_away:
            self._is_away = not is_taken
            if self._is_away:
                logger.bind(spans=len(spans)).warning("the collector takes no spans; they are dropped")
            else:
                logger.info("the collector takes spans again")

    def _as_sdk(self, span: Span) -> "ReadableSpan":
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
        from opentelemetry.trace.status import Status, StatusCode

        def context(trace_id: int, span_id: int, *, is_remote: bool = False) -> SpanContext:
            return SpanContext(trace_id, span_id, is_remote, TraceFlags(TraceFlags.SAMPLED))

        parent = span.parent_id
        return ReadableSpan(
            name=span.name,
            context=context(span.trace_id, span.span_id),
            parent=None if parent is None else context(span.trace_id, parent, is_remote=span.is_parent_remote),
            resource=self._resource,
            attributes=dict(span.attributes),
            links=() if span.link is None else (Link(context(*span.link)),),
            kind=SpanKind(int(span.kind)),
            status=Status(StatusCode.ERROR if span.is_error else StatusCode.UNSET),
            start_time=span.start_ns,
            end_time=max(span.start_ns, span.end_ns),
            instrumentation_scope=self._scope,
        )


@asynccontextmanager
async def open_tracer(
    endpoint: str | None, headers: Mapping[str, str], certificate_file: str | None, service: str, instance: str
) -> AsyncGenerator[Tracer | None]:
    """Send spans to the collector at `endpoint` for the length of the block; None, and nothing at all, without one.

    Args:
        endpoint: Its address without a path, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it.
        headers: Sent with every request.
        certificate_file: PEM file of the authority behind it; None: the usual ones.
        service: The name of this server among others.
        instance: The name of this process.
    """
    if endpoint is None:
        yield None
        return

    def make() -> Tracer:
        # Half a second of imports, which no server without a collector pays.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(
            f"{endpoint.rstrip('/')}/v1/traces",
            certificate_file=certificate_file,
            headers=dict(headers),
            timeout=_TIMEOUT_SECS,
        )
        return Tracer(exporter, {"service.name": service, "service.instance.id": instance})

    tracer = await asyncio.to_thread(make)
    try:
        yield tracer
    finally:
        await asyncio.to_thread(tracer.close)


def read_headers(text: str) -> dict[str, str]:
    """Read `OTEL_EXPORTER_OTLP_HEADERS`: name=value, comma between, written as in a URL."""
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {unquote(name.strip()): unquote(value.strip()) for name, _, value in pairs}


def now_ns() -> int:
    """Return the time as spans have it."""
    return time.time_ns()
