"""The log: one line an event, facts as fields, nobody's number or words.

    2026-03-02 09:00:00.123 INFO  call admitted call_id=c1 agent=front-desk

or one JSON object a line (`telemetry.json_log`).

Numbers and spoken words may be bound as `pii={...}`: that field is never written. As a second net, every message, field
and traceback is redacted (`telemetry.log_redaction`), for libraries log too.
"""

import inspect
import json
import logging
import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TextIO

from loguru import logger

from telemetry.json_log import json_line
from telemetry.log_redaction import safe_fields, safe_message, safe_text
from telemetry.traces import trace_of

if TYPE_CHECKING:
    from loguru import Message, Record

# All that comes by the standard library's logging is others', and below a warning it holds what they pass on:
# statements with their values, forms with their numbers, messages with their words. No level shows that.
_LIBRARIES = logging.WARNING
_QUIET: dict[str, int] = {
    # Its lines hold whole messages between a tool and its server; what matters of them our own say.
    "mcp": logging.CRITICAL,
    # A collector that is away is named once by us, and once for every span by it.
    "opentelemetry": logging.CRITICAL,
}
_QUIET_MODULES: dict[str | None, str | int | bool] = {"pipecat": "WARNING"}
"""Pipecat's lines below a warning hold instructions, arguments of tools and what was said: no level shows them."""


_tells_traces = False


def configure(level: str = "INFO", stream: TextIO | None = None, form: Literal["text", "json"] = "text") -> None:
    """Send every log line of the process, ours and the libraries', to one place. May be called again.

    Args:
        level: TRACE, DEBUG, INFO, WARNING, ERROR or CRITICAL; in any case.
        stream: where to; standard error when left out.
        form: what a line is; with `json` Python's warnings and what ends the program are lines too.

    Raises:
        ValueError: there is no such level.
    """
    target = stream or sys.stderr

    def write(message: "Message") -> None:
        if form == "json":
            target.write(_as_json(message.record, message))
        else:
            line, ending, traceback = message.partition("\n")
            # The line was made of redacted parts; a traceback is added to it by loguru.
            target.write(line + ending + safe_text(traceback))
        target.flush()

    logger.level(level.upper())
    logger.remove()
    # diagnose would print the values of variables beside a traceback: numbers, words and keys among them.
    logger.add(
        write,
        level=level.upper(),
        format=_format if form == "text" else lambda _record: "{exception}",
        filter=_QUIET_MODULES,
        backtrace=False,
        diagnose=False,
        colorize=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Intercept()]
    root.setLevel(max(_LIBRARIES, logger.level(level.upper()).no))
    for name, quiet_level in _QUIET.items():
        logging.getLogger(name).setLevel(quiet_level)
    logging.captureWarnings(form == "json")
    if form == "json":
        sys.excepthook = _log_crash


def name_process(number: int) -> None:
    """Add `process` to every line of this process from now on: which of several it is."""
    logger.configure(extra={"process": number})


def in_call(call_id: str) -> AbstractContextManager[None]:
    """Add `call_id` to every line that is logged inside the block, by tasks started in it and by libraries too."""
    return logger.contextualize(call_id=call_id)


def tell_traces(is_on: bool) -> None:
    """Have lines in JSON name the trace of their call from now on, or no more."""
    global _tells_traces
    _tells_traces = is_on


def _as_json(record: "Record", traceback: str) -> str:
    fields = safe_fields(record)
    if _tells_traces and isinstance(call_id := fields.get("call_id"), str):
        fields["trace_id"] = f"{trace_of(call_id)[0]:032x}"
    name = str(fields.pop("logger", None) or record["name"])
    level, trace = record["level"].name, safe_text(traceback.rstrip())
    return json_line(record["time"], level, name, safe_message(record), fields, trace)


def _log_crash(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    logger.opt(exception=(kind, error, traceback)).critical("the program ends by an error of its own")


def _format(record: "Record") -> str:
    fields = " ".join(f"{key}={_plain(value)}" for key, value in safe_fields(record).items())
    # The returned text is a template: what was said is passed through a field, for it may contain braces.
    record["extra"]["_line"] = f"{safe_message(record)} {fields}".rstrip()
    return "{time:YYYY-MM-DD HH:mm:ss.SSS} {level: <8} {extra[_line]}\n{exception}"


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if text and text.isprintable() and not set(text) & set(' ="') else json.dumps(text, ensure_ascii=False)


class _Intercept(logging.Handler):
    """Passes the standard library's records on to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < _LIBRARIES:
            return  # its logger has a level of its own
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        # The line's place is the caller of logging, not this handler.
        frame, depth = inspect.currentframe(), 0
        while frame is not None and (depth == 0 or frame.f_code.co_filename == logging.__file__):
            frame, depth = frame.f_back, depth + 1
        logger.opt(depth=depth, exception=record.exc_info).bind(logger=record.name).log(level, record.getMessage())
