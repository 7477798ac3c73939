"""A server without a token for this machine only, and one that Twilio can reach."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from config.settings import Settings
from tests.databases import database_of
from tests.unit.api.wire import AGENT, BOT, Line, reachable, serve


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an open server with one quiet agent, in a folder of its own."""
    for folder, name, text in [("agents", "front-desk.yaml", AGENT), ("bots", "quiet.py", BOT)]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    # The settings themselves and not Settings.load: a test must not see this machine's environment.
    return Settings.model_validate(
        {
            **Settings.model_construct().model_dump(exclude={"database_url"}),
            "port": 0,
            "agents_dir": tmp_path / "agents",
            "bots_dir": tmp_path / "bots",
            "data_dir": tmp_path / "data",
            "database_url": database_of(tmp_path / "data"),
            # Beside other tests on a small machine the loop may be late; who is refused for that is tested apart.
            "max_loop_lag_ms": 10_000,
            "stream_start_timeout_secs": 0.5,
        }
    )


@pytest.fixture
async def line(settings: Settings) -> AsyncGenerator[Line]:
    """A server that Twilio can reach."""
    async with serve(reachable(settings)) as running:
        yield running


@pytest.fixture
async def open_line(settings: Settings) -> AsyncGenerator[Line]:
    """A server without an auth token, for this machine only."""
    async with serve(settings) as running:
        yield running
