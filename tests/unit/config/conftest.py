"""An environment without any setting of ours, and a folder to write agents into."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loguru import logger

WriteAgent = Callable[[str, str], Path]


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment without the variables of Settings."""
    for name in list(os.environ):
        if name.startswith(("TRUNKLINE_", "GOOGLE_", "TWILIO_", "DAILY_")):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for agents."""
    path = tmp_path / "agents"
    path.mkdir()
    return path


@pytest.fixture
def write_agent(folder: Path) -> WriteAgent:
    """Writes `name`.yaml, each time with a later time of change than the last."""
    times = iter(range(10**6))
    start_ns = time.time_ns() - 3_600 * 10**9

    def write(name: str, text: str) -> Path:
        path = folder / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        changed_ns = start_ns + next(times) * 10**9
        os.utime(path, ns=(changed_ns, changed_ns))
        return path

    return write


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """Every warning logged during the test."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level="WARNING", format="{message} {extra}")
    yield lines
    logger.remove(sink)
