"""A whole house for a call: the server, the stand-in Gemini and the stand-in Twilio, over real sockets in one loop."""

import asyncio
import contextlib
import os
import shutil
import traceback
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blockbuster
import blockbuster.blockbuster
import numpy as np
import pytest
import yaml

from config.settings import Settings
from server import RunningServer
from simulators.clips import CLIP_RATE_HZ, caller_samples
from simulators.gemini_live import GeminiEmulator
from simulators.simulated_call import SimulatedCall
from simulators.twilio import TwilioSimulator
from tests.databases import database_of
from transcripts.models import CallEventRow, CallRow, TurnRow
from transcripts.recording_reader import RecordingReader
from transcripts.records import Records
from transcripts.store import CallStore

CALLER = "+15557654321"
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class House:
    """What a test of a call needs: places a call, speaks, reads what was left behind."""

    server: RunningServer
    twilio: TwilioSimulator
    gemini: GeminiEmulator
    data_dir: Path

    @property
    def store(self) -> CallStore:
        return self.server.services.store

    async def dial(self, to: str = "+15551230100", **options: Any) -> SimulatedCall:
        """Ring and wait until the line is open."""
        call = await self.twilio.dial(
            to=to,
            from_=options.pop("from_", CALLER),
            voice_url=f"{self.server.base_url}/twilio/voice",
            status_callback=f"{self.server.base_url}/twilio/status",
            **options,
        )
        await call.connected()
        return call

    async def dial_quietly(self, **options: Any) -> SimulatedCall:
        """Ring a front desk that does not speak first; returns when the model hears the line."""
        call = await self.dial(**options)
        await self.until_event(call, "model.ready")
        return call

    async def until_event(self, call: SimulatedCall, kind: str, *, timeout_secs: float = 15) -> None:
        """Wait until an event of this kind was written."""
        async with asyncio.timeout(timeout_secs):
            while not await self.events(call, kind):  # noqa: ASYNC110 - a database has no event to wait for
                await asyncio.sleep(0.05)

    async def say(self, call: SimulatedCall, clip_id: str) -> tuple[int, int]:
        """Have the caller say a shipped clip; returns (start_ms, end_ms) of stream time."""
        return await call.say(await asyncio.to_thread(caller_samples, clip_id), CLIP_RATE_HZ)

    async def hear_out(self, call: SimulatedCall) -> tuple[int, int]:
        """Wait until the agent has spoken and is done; returns (from_ms, to_ms). Sentences may pause in between."""
        began_ms = await call.wait_heard()
        return began_ms, await call.wait_quiet(quiet_ms=800)

    async def row(self, call: SimulatedCall) -> CallRow:
        row = await self.store.find_call(call.sid)
        assert row is not None
        return row

    async def ended_row(self, call: SimulatedCall) -> CallRow:
        """The call's row once it has ended."""
        async with asyncio.timeout(10):
            while (row := await self.row(call)).status != "ended":  # noqa: ASYNC110 - a database has no event to wait for
                await asyncio.sleep(0.05)
        return row

    async def turns(self, call: SimulatedCall) -> list[TurnRow]:
        return list(await self.store.list_turns((await self.row(call)).call_id))

    async def events(self, call: SimulatedCall, kind: str | None = None) -> list[CallEventRow]:
        events = await self.store.list_events((await self.row(call)).call_id)
        return [event for event in events if kind is None or event.kind == kind]

    def records(self, agent_name: str) -> Records:
        return Records(self.server.services.database, agent_name)

    @staticmethod
    def best_offset(first: np.ndarray, second: np.ndarray, *, rate_hz: int = 8000, most_ms: int = 500):
        """How many ms `second` lies behind `first`, and how alike they then are (1 = the same)."""
        one, two = first.astype(np.float64), second.astype(np.float64)
        size = 1 << (len(one) + len(two)).bit_length()
        together = np.fft.irfft(np.fft.rfft(two, size) * np.conj(np.fft.rfft(one, size)), size)
        most = most_ms * rate_hz // 1000
        lags = np.concatenate((np.arange(0, most + 1), np.arange(-most, 0)))
        best = int(lags[np.argmax(together[lags])])
        return best * 1000 / rate_hz, float(together[best] / (np.linalg.norm(one) * np.linalg.norm(two)))

    async def recording(self, call: SimulatedCall) -> RecordingReader:
        call_id = (await self.row(call)).call_id
        return await asyncio.to_thread(self.server.services.recordings.open, call_id)


ROOMS = ("api", "bots", "config", "net", "pipelines", "server", "storage", "telemetry", "telephony", "transcripts")


@pytest.fixture
def never_block_the_loop(monkeypatch: pytest.MonkeyPatch) -> Generator[blockbuster.BlockBuster]:
    """Every live voice is on the loop: what blocks it fails the test, when our rooms do so while they serve."""
    caught: list[str] = []

    class Caught(blockbuster.BlockingError):
        """Kept, because Pipecat catches what a tool or a processor raises."""

        def __init__(self, func: str) -> None:
            super().__init__(func)
            caught.append(f"{func}\n{''.join(traceback.format_stack(limit=12))}")

    monkeypatch.setattr(blockbuster.blockbuster, "BlockingError", Caught)
    guard = blockbuster.BlockBuster(scanned_modules=list(ROOMS))
    for function in guard.functions.values():
        # Handing work to a pool waits, for some microseconds, until a new thread of it has begun.
        function.can_block_in("concurrent/futures/thread.py", "_adjust_thread_count")
        # A log line that shows where something was raised reads the source once; it is written when a call has failed.
        function.can_block_in("loguru/_handler.py", "emit")
        # A key that another process has just made is read when a row names it: some hundred bytes, once a rotation.
        function.can_block_in("storage/key_ring.py", "read_again")
        # A route's place in its file is looked up once, for messages about it.
        function.can_block_in("fastapi/routing.py", "_extract_endpoint_context")
    yield guard
    assert not caught, "\n".join(caught)


MakeHouse = Callable[..., Any]


@pytest.fixture
async def make_house(tmp_path: Path, never_block_the_loop: blockbuster.BlockBuster) -> AsyncGenerator[MakeHouse]:
    """Build a house; keyword arguments: `agents` (name -> changes to front-desk.yaml), settings, `gemini` options."""
    async with AsyncExitStack() as closing:

        async def build(
            *,
            agents: dict[str, dict[str, Any]] | None = None,
            gemini: dict[str, Any] | None = None,
            twilio: dict[str, Any] | None = None,
            **settings: Any,
        ) -> House:
            emulator = await closing.enter_async_context(GeminiEmulator(ca_dir=tmp_path / "ca", **(gemini or {})))
            caller = await closing.enter_async_context(TwilioSimulator(**(twilio or {})))
            agents_dir = tmp_path / "agents"
            await asyncio.to_thread(write_agents, agents_dir, agents)
            given: dict[str, Any] = {
                "host": "127.0.0.1",
                "port": 0,
                "gemini_base_url": emulator.base_url,
                "gemini_ca_file": emulator.ca_file,
                "twilio_account_sid": caller.account_sid,
                "twilio_auth_token": caller.auth_token,
                "twilio_api_base": caller.base_url,
                "agents_dir": agents_dir,
                "data_dir": tmp_path / "data",
                "database_url": await asyncio.to_thread(database_of, tmp_path / "data"),
                # Its model would read them aloud while the test counts what the model is asked.
                "prepare_sentences": False,
                # Beside other tests on a small machine the loop may be late; who is refused for that is tested apart.
                "max_loop_lag_ms": 10_000,
            }
            loaded = Settings.load(env_file=None, **(given | settings))
            server = await closing.enter_async_context(RunningServer(loaded))
            never_block_the_loop.activate()
            closing.callback(never_block_the_loop.deactivate)
            callers.append(caller)
            return House(server, caller, emulator, tmp_path / "data")

        callers: list[TwilioSimulator] = []
        yield build
        # Whoever the test left on the line hangs up, so that no server waits to say goodbye to him.
        left = [call for caller in callers for call in caller.calls.values() if call.outcome is None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.gather(*(call.hang_up() for call in left))


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    return await make_house()


@pytest.fixture
async def quiet_house(make_house: MakeHouse) -> House:
    """A front desk that waits for the caller to speak, which saves a test the greeting's four seconds."""
    return await make_house(agents={"front-desk": {"greeting": ""}})


@pytest.fixture
def bots_with(tmp_path: Path) -> Callable[[str, str], Path]:
    """A folder with the shipped bots and one more."""

    def make(name: str, source: str) -> Path:
        folder = tmp_path / "bots"
        shutil.copytree(ROOT / "bots", folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / f"{name}.py").write_text(source)
        return folder

    return make


@pytest.fixture
def own_environment() -> Generator[None]:
    """What a test lends to guest bots through the environment is taken back."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def write_agents(folder: Path, changes: dict[str, dict[str, Any]] | None) -> None:
    """Copy the shipped agents, each with the changes asked for; a new name starts from front-desk."""
    folder.mkdir(exist_ok=True)
    shipped = {path.stem: path.read_text() for path in (ROOT / "config" / "agents").glob("*.yaml")}
    for name, text in shipped.items():
        (folder / f"{name}.yaml").write_text(text)
    for name, change in (changes or {}).items():
        agent = yaml.safe_load(shipped.get(name, shipped["front-desk"]))
        for key, value in change.items():
            if isinstance(value, dict) and isinstance(agent.get(key), dict) and key != "settings":
                agent[key] = {**agent[key], **value}
            else:
                agent[key] = value
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(agent, allow_unicode=True))
