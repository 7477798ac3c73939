"""Traces of a process: what happens in its calls and in the work after them, told to whoever sends spans."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from config.settings import Settings
from storage.workflows import Workflows
from telemetry import logs
from telemetry.call_trace import CallTraces
from telemetry.request_note import RequestNote
from telemetry.traces import Tracer, open_tracer, read_headers
from telemetry.work_trace import work_span
from transcripts.call import CallEvent
from transcripts.log import CallLog, LogWriter


@asynccontextmanager
async def open_traces(
    settings: Settings, log: LogWriter, workflows: Workflows, instance: str
) -> AsyncGenerator[Tracer | None]:
    """Trace for the length of the block, if a collector is configured; else yield None, and nothing is done at all."""
    certificate, headers = settings.otel_certificate, settings.otel_headers
    async with open_tracer(
        settings.otel_endpoint,
        read_headers("" if headers is None else headers.get_secret_value()),
        None if certificate is None else str(certificate),
        settings.otel_service_name,
        instance,
    ) as tracer:
        if tracer is not None:
            traces = CallTraces(tracer.take)

            def watch(call: CallLog, event: CallEvent) -> None:
                began = call.started_at
                began_ns = None if began is None else round(began.timestamp() * 1e9)
                traces.event(call.call_id, call.agent_name, event.kind, event.at_ms, event.data, began_ns)

            def watch_work(work: str, note: RequestNote, start_ns: int, outcome: str, is_error: bool) -> None:
                span = work_span(work, note, start_ns, outcome, is_error=is_error)
                if span is not None:
                    tracer.take(span)

            log.watches.append(watch)
            workflows.watch = watch_work
            logs.tell_traces(True)
        try:
            yield tracer
        finally:
            logs.tell_traces(False)
