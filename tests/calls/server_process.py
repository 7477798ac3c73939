"""`cli.py serve` as a process of its own, to be told to stop or to be killed; the far ends stay in the test."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from config.settings import Settings
from simulators.clips import CLIP_RATE_HZ, caller_samples
from simulators.simulated_call import SimulatedCall
from simulators.twilio import TwilioSimulator
from storage.engine import Database
from storage.key_ring import KEY_FILE, KeyRing
from tests.calls.conftest import CALLER, ROOT, write_agents
from tests.databases import database_of
from transcripts.call import Speaker
from transcripts.models import CallEventRow, CallRow, TurnRow
from transcripts.recording_reader import RecordingReader
from transcripts.recording_store import RecordingStore
from transcripts.store import CallStore

FRONT_DESK = "+15551230100"
# Nobody is asked whether he is still there while a test waits for a server.
_PATIENT = {"silence_ask_secs": 100, "silence_hangup_secs": 200}
# Twenty callers who all begin in one second are a measure of the machine and not of the server.
_APART_SECS = 0.3
READY = re.compile(r"Trunkline is ready on (http://\S+)\. ")


@dataclass
class Server:
    """A running server process."""

    process: asyncio.subprocess.Process
    base_url: str
    log_file: Path

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, timeout_secs: float = 60.0) -> int:
        """Wait until the process has ended; returns its exit code."""
        async with asyncio.timeout(timeout_secs):
            return await self.process.wait()

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await http.get(self.base_url + path)


@dataclass
class Street:
    """Any number of server processes on one database, between one stand-in Gemini and one stand-in Twilio."""

    twilio: TwilioSimulator
    gemini_base_url: str
    gemini_ca_file: Path
    folder: Path
    agents_dir: Path
    store: CallStore
    closing: AsyncExitStack
    database: Database
    database_url: str
    servers: list[Server] = field(default_factory=list[Server])

    async def serve(self, *, may_dial: bool = False, collector: str | None = None, **settings: Any) -> Server:
        """Start a server; settings by their field names. Returns once it is ready.

        `may_dial`: it may use REST. `collector`: where it sends traces.
        """
        given: dict[str, Any] = {
            "PORT": 0,
            "PROCESSES": 1,
            "GEMINI_BASE_URL": self.gemini_base_url,
            "GEMINI_CA_FILE": self.gemini_ca_file,
            "AGENTS_DIR": self.agents_dir,
            "BOTS_DIR": ROOT / "bots",
            "DATA_DIR": self.folder / "data",
            "DATABASE_URL": self.database_url,
            "PREPARE_SENTENCES": False,
            "MAX_LOOP_LAG_MS": 10_000,
        } | {name.upper(): value for name, value in settings.items()}
        environment = {f"TRUNKLINE_{name}": str(value) for name, value in given.items()}
        environment["TWILIO_AUTH_TOKEN"] = self.twilio.auth_token
        if collector is not None:
            environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector
        if may_dial:
            environment["TWILIO_ACCOUNT_SID"] = self.twilio.account_sid
            environment["TRUNKLINE_TWILIO_API_BASE"] = self.twilio.base_url
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
        log_file = self.folder / f"server-{len(self.servers)}.log"
        log = self.closing.enter_context(await asyncio.to_thread(log_file.open, "wb"))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "cli.py"),
            "serve",
            cwd=self.folder,  # where no .env is
            env=kept | environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
        self.closing.push_async_callback(_stop, process)
        assert process.stdout
        async with asyncio.timeout(60):
            line = (await process.stdout.readline()).decode()
        ready = READY.search(line)
        assert ready, await asyncio.to_thread(log_file.read_text)
        self.servers.append(Server(process, ready[1], log_file))
        return self.servers[-1]

    async def dial(self, server: Server, **options: Any) -> SimulatedCall:
        """Ring the front desk at a server; returns at once."""
        return await self.twilio.dial(
            to=FRONT_DESK,
            from_=CALLER,
            voice_url=f"{server.base_url}/twilio/voice",
            status_callback=f"{server.base_url}/twilio/status",
            **options,
        )

    async def talk_to(self, *servers: Server) -> list[SimulatedCall]:
        """Have a call with each of these servers at the same time, as far as `talk` goes, begun one after the other."""

        async def begin(number: int, server: Server) -> SimulatedCall:
            await asyncio.sleep(number * _APART_SECS)
            return await self.talk(server)

        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(begin(number, server)) for number, server in enumerate(servers)]
        return [call.result() for call in calls]

    async def talk(self, server: Server) -> SimulatedCall:
        """Ring, say hello, and hear the answer out: two turns that are written down."""
        call = await self.dial(server)
        await call.connected()
        await self.model_is_ready(call)
        await self.say(call, "hello")
        await call.wait_heard(timeout_secs=20)
        await call.wait_quiet(quiet_ms=800)
        return call

    async def model_is_ready(self, call: SimulatedCall) -> None:
        async with asyncio.timeout(20):
            while not any(event.kind == "model.ready" for event in await self.events(call)):  # noqa: ASYNC110
                await asyncio.sleep(0.3)

    @staticmethod
    async def say(call: SimulatedCall, clip_id: str) -> None:
        await call.say(await asyncio.to_thread(caller_samples, clip_id), CLIP_RATE_HZ)

    async def row(self, call: SimulatedCall) -> CallRow:
        row = await self.store.find_call(call.sid)
        assert row is not None
        return row

    async def ended_row(self, call: SimulatedCall, timeout_secs: float = 15.0) -> CallRow:
        async with asyncio.timeout(timeout_secs):
            while (row := await self.row(call)).status != "ended":  # noqa: ASYNC110 - a row tells nobody
                await asyncio.sleep(0.05)
        return row

    async def turns(self, call: SimulatedCall) -> list[TurnRow]:
        return await self.store.list_turns((await self.row(call)).call_id)

    async def events(self, call: SimulatedCall) -> list[CallEventRow]:
        row = await self.store.find_call(call.sid)
        return [] if row is None else await self.store.list_events(row.call_id)

    async def said(self, call: SimulatedCall, speaker: Speaker) -> list[str]:
        """What one side said, turn by turn."""
        return [turn.text for turn in await self.turns(call) if turn.speaker == speaker]

    async def recording(self, call: SimulatedCall) -> RecordingReader:
        call_id = (await self.row(call)).call_id
        return await asyncio.to_thread(lambda: self.recordings().open(call_id))

    def recordings(self) -> RecordingStore:
        """All recordings of the servers, opened with their keys; blocks."""
        data_dir = self.folder / "data"
        keys = KeyRing.load(Settings.load(env_file=None, data_dir=data_dir, sealing_keys=None))
        return RecordingStore(data_dir / "recordings", keys)


def _children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        # Processes whose supervisor is gone would let their calls end first.
        children = await asyncio.to_thread(_children_of, process.pid)
        process.kill()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    # The pipe's transport is closed once its end has been read.
    await process.communicate()


@asynccontextmanager
async def open_street(folder: Path, database_url: str | None = None) -> AsyncGenerator[Street]:
    """Open the far ends and the database; servers are started by `Street.serve`."""
    url = database_url or await asyncio.to_thread(database_of, folder / "data")
    async with AsyncExitStack() as closing:
        base_url, ca_file = await _start_gemini(folder, closing)
        twilio = await closing.enter_async_context(TwilioSimulator())
        agents_dir = folder / "agents"
        await asyncio.to_thread(write_agents, agents_dir, {"front-desk": {"greeting": "", "limits": _PATIENT}})
        database = Database(url, KeyRing(file=folder / "data" / KEY_FILE))
        await database.connect(wait_secs=10)
        closing.push_async_callback(database.close)
        await database.migrate()
        yield Street(twilio, base_url, ca_file, folder, agents_dir, CallStore(database), closing, database, url)


async def _start_gemini(folder: Path, closing: AsyncExitStack) -> tuple[str, Path]:
    """Start the stand-in Gemini; returns its address and its certificate authority."""
    arguments = ["-m", "simulators.gemini_live", "--port", "0", "--ca-dir", str(folder / "ca")]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    closing.push_async_callback(_stop, process)
    assert process.stdout
    async with asyncio.timeout(60):
        ready = json.loads(await process.stdout.readline())
    return ready["base_url"], Path(ready["ca_file"])
