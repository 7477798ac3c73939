"""A house with a page, and Chromium with a microphone that hears a shipped clip."""

import asyncio
import os
import shutil
import wave
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from playwright.async_api import Browser, Page, async_playwright, expect

from config.settings import Settings
from server import RunningServer
from simulators.clips import CLIP_RATE_HZ, caller_samples
from simulators.gemini_live import GeminiEmulator
from tests.databases import database_of

ROOT = Path(__file__).resolve().parents[2]
_MICROPHONE_HZ = 48_000
_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


@dataclass
class OpenPage:
    """A page of one browser, and what its console complained of."""

    page: Page
    browser: Browser
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's Chromium. Without one the test is skipped; a build machine has to have it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        message = "Chromium is not installed (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


def write_microphone(path: Path, clip_id: str, before_secs: float) -> None:
    """Write what the microphone hears: silence, the clip, silence; 48 kHz mono, as Chromium wants it."""
    clip = caller_samples(clip_id)
    spread = np.arange(len(clip) * _MICROPHONE_HZ // CLIP_RATE_HZ) * CLIP_RATE_HZ / _MICROPHONE_HZ
    louder = np.interp(spread, np.arange(len(clip)), clip).astype("<i2")
    silence = np.zeros(_MICROPHONE_HZ, dtype="<i2")
    samples = np.concatenate([np.zeros(int(before_secs * _MICROPHONE_HZ), dtype="<i2"), louder, silence])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_MICROPHONE_HZ)
        file.writeframes(samples.tobytes())


@pytest.fixture
async def open_page(tmp_path: Path, chromium: str) -> AsyncGenerator[Callable[..., Any]]:
    """Open Chromium; keyword arguments: `hears` (a clip), `before_secs` of silence, `again` and again."""
    expect.set_options(timeout=40_000)
    async with AsyncExitStack() as closing:
        playwright = await closing.enter_async_context(async_playwright())

        async def open_one(
            *, hears: str | None = None, before_secs: float = 8.0, again: bool = False, **options: Any
        ) -> OpenPage:
            flags = list(_FLAGS)
            if hears is not None:
                sound = tmp_path / "microphone.wav"
                await asyncio.to_thread(write_microphone, sound, hears, before_secs)
                flags.append(f"--use-file-for-fake-audio-capture={sound}{'' if again else '%noloop'}")
            browser = await playwright.chromium.launch(executable_path=chromium, args=flags)
            closing.push_async_callback(browser.close)
            page = await browser.new_page(**{"viewport": {"width": 1100, "height": 800}, **options})
            page.set_default_timeout(30_000)
            opened = OpenPage(page, browser)
            page.on("console", lambda line: opened.complaints.append(line.text) if line.type == "error" else None)
            page.on("pageerror", lambda error: opened.complaints.append(str(error)))
            return opened

        yield open_one


@pytest.fixture
async def start_server(tmp_path: Path) -> AsyncGenerator[Callable[..., Any]]:
    """Start the server with a stand-in Gemini; keyword arguments are settings, `bots` files to add by name."""
    async with AsyncExitStack() as closing:

        async def start(*, front_desk: dict[str, Any] | None = None, **settings: Any) -> RunningServer:
            gemini = await closing.enter_async_context(GeminiEmulator(ca_dir=tmp_path / "ca"))
            agents_dir = tmp_path / "agents"
            await asyncio.to_thread(_copy_agents, agents_dir, front_desk or {})
            loaded = Settings.load(
                env_file=None,
                **{
                    "port": 0,
                    "gemini_base_url": gemini.base_url,
                    "gemini_ca_file": gemini.ca_file,
                    "agents_dir": agents_dir,
                    "data_dir": tmp_path / "data",
                    "database_url": await asyncio.to_thread(database_of, tmp_path / "data"),
                    # The loop is shared with the stand-in and the browser's driver: its lag is not the server's own.
                    "max_loop_lag_ms": 10_000,
                    **settings,
                },
            )
            return await closing.enter_async_context(RunningServer(loaded))

        yield start


def _copy_agents(folder: Path, front_desk: dict[str, Any]) -> None:
    folder.mkdir()
    for path in (ROOT / "config" / "agents").glob("*.yaml"):
        agent = yaml.safe_load(path.read_text())
        if path.stem == "front-desk":
            agent |= front_desk
        (folder / path.name).write_text(yaml.safe_dump(agent, allow_unicode=True))
