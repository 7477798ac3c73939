"""The log as JSON: every line an object, whoever wrote it, and nobody's number in it."""

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from loguru import logger

from telemetry import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    before = logging.getLogger().handlers[:], logging.getLogger().level
    stream, hook = io.StringIO(), sys.excepthook
    logs.configure("info", stream, "json")
    yield stream
    logs.configure("info", io.StringIO())
    logger.remove()
    logger.add(sys.stderr)
    logging.getLogger().handlers[:], level = before
    logging.getLogger().setLevel(level)
    sys.excepthook = hook


def read(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_object_with_its_ids_on_top(stream: io.StringIO) -> None:
    with logs.in_call("c1"), logger.contextualize(request_id="r1"):
        logger.bind(agent="front-desk", ms=12, ratio=float("nan"), pii={"to": "+15551230199"}).info('said "{}"', "\n{")
    [line] = read(stream)
    assert datetime.fromisoformat(line.pop("time")).tzinfo is not None
    assert line == {
        "level": "INFO",
        "logger": "tests.unit.telemetry.test_json_log",
        "message": 'said "\n{"',
        "call_id": "c1",
        "request_id": "r1",
        "fields": {"agent": "front-desk", "ms": 12, "ratio": "nan"},
    }


def test_libraries_warnings_and_tracebacks_are_lines_too(stream: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").error("to +15551230199: %s", {1, 2})
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old \n thing", UserWarning, stacklevel=1)
    try:
        raise ValueError("no such number: +15551230199")
    except ValueError as error:
        logger.bind(to="+15551230199").exception("call failed")
        sys.excepthook(ValueError, error, error.__traceback__)
    lines = read(stream)
    assert [line["logger"] for line in lines[:2]] == ["uvicorn.error", "py.warnings"]
    assert lines[2]["fields"] == {"to": "[phone]"}
    assert lines[2]["exception"].endswith("ValueError: no such number: [phone]")
    assert (lines[3]["level"], "exception" in lines[3]) == ("CRITICAL", True)
    assert "0199" not in stream.getvalue()
