"""`cli.py doctor` against planted faults, each alone and many together: each is named, with its cure, on one line."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import pytest
import trustme
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from config.agents_folder import load_agents
from config.settings import Settings, environment_name
from doctor.run import run_doctor
from simulators.gemini_live import GeminiEmulator
from simulators.loopback import LoopbackServer
from simulators.twilio import TwilioSimulator

NUMBER, SPARE = "+15551230100", "+15551230101"
ADDRESS = "0.0.0.0"  # noqa: S104 - dialled, it is this machine, and yet no loopback address by its looks
BIN = "https://handler.twilio.com/twiml/EH1"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(environment_name(name), raising=False)


@dataclass
class World:
    """A server's surroundings, all well until a fault is planted."""

    folder: Path
    twilio: TwilioSimulator
    gemini: GeminiEmulator
    front: LoopbackServer
    redis: "Redis"
    certificates: "Certificates"
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    numbers: list[str] = field(default_factory=lambda: [NUMBER])
    cores: int = 4
    code: int = 200
    """What the front answers."""
    good: dict[str, Any] = field(default_factory=dict[str, Any])
    good_number: dict[str, object] = field(default_factory=dict[str, object])

    def begin_anew(self) -> None:
        """All is well again."""
        self.settings, self.numbers, self.cores = dict(self.good), [NUMBER], 4
        self.number.update(self.good_number)
        self.certificates.show()
        self.redis.password = "pw"
        self.twilio.account.ahead_secs, self.twilio.account.status = 0.0, "active"
        self.gemini.disarm()
        self.front.open()
        self.code = 200
        for path in (self.folder / ".env", self.folder / "data" / "secret.key"):
            path.chmod(0o600)
        (self.folder / "data" / "trunkline.db").unlink(missing_ok=True)

    @property
    def number(self) -> dict[str, object]:
        return self.twilio.account.find_number(NUMBER)

    async def examine(self) -> dict[str, str]:
        """Run the doctor; returns each problem by what was looked at."""
        settings = Settings.load(env_file=None, **self.settings)
        agent = {"bot": "desk", "numbers": self.numbers}
        await asyncio.to_thread((self.folder / "agents" / "desk.yaml").write_text, yaml.safe_dump(agent))
        catalog = await asyncio.to_thread(lambda: load_agents(settings.agents_dir, known_bots=None))
        lines: list[str] = []
        is_well = await run_doctor(
            settings,
            catalog.agents,
            [],
            lines.append,
            routing=catalog.routing,
            cores=self.cores,
            env_file=self.folder / ".env",
        )
        found = [line.removeprefix("problem").strip() for line in lines if line.startswith("problem ")]
        problems = {line.partition(": ")[0]: line.partition(": ")[2] for line in found}
        assert len(problems) == len(found)
        assert is_well is not bool(problems)
        assert all("\n" not in told for told in problems.values())
        return problems


class Redis:
    """Enough of Redis to answer AUTH and PING."""

    def __init__(self) -> None:
        self.password = "pw"
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_known = False
        try:
            while head := await reader.readline():
                words: list[str] = []
                for _ in range(int(head[1:])):
                    await reader.readline()
                    words.append((await reader.readline()).decode().strip())
                if words[0] == "AUTH":
                    is_known = words[-1] == self.password
                    writer.write(b"+OK\r\n" if is_known else b"-WRONGPASS invalid username-password pair\r\n")
                else:
                    writer.write(b"+PONG\r\n" if is_known else b"-NOAUTH Authentication required.\r\n")
        except ConnectionError:
            pass
        finally:
            writer.close()


class Certificates:
    """What the front shows: of a known authority or not, for our name or not, for long or not."""

    def __init__(self, ca_file: Path) -> None:
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(str(ca_file))
        self.context = SSLContext(PROTOCOL_TLS_SERVER)
        self.show()

    def show(self, name: str = ADDRESS, *, days: float = 90, is_known: bool = True) -> None:
        authority = self.authority if is_known else trustme.CA()
        authority.issue_cert(name, not_after=datetime.now(UTC) + timedelta(days=days)).configure_cert(self.context)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[World]:
    (tmp_path / "agents").mkdir()
    data = tmp_path / "data"
    data.mkdir()
    for path in (data / "secret.key", tmp_path / ".env"):
        path.write_bytes(b"k" * 32)
        path.chmod(0o600)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    certificates = Certificates(tmp_path / "ca.pem")
    worlds: list[World] = []

    async def livez(_request: Request) -> Response:
        return JSONResponse({"status": "alive"}, worlds[0].code)

    async with AsyncExitStack() as closing:
        app = Starlette(routes=[Route("/livez", livez)])
        front = await closing.enter_async_context(
            LoopbackServer(app, name="a proxy before the server", tls=certificates.context)
        )
        twilio = await closing.enter_async_context(TwilioSimulator())
        gemini = await closing.enter_async_context(GeminiEmulator(ca_dir=tmp_path / "ca"))
        redis = Redis()
        listening = await asyncio.start_server(redis.serve, "127.0.0.1", 0)
        closing.callback(listening.close)
        redis.port = listening.sockets[0].getsockname()[1]
        base_url = f"https://{ADDRESS}:{front.port}"
        urls = {"VoiceUrl": f"{base_url}/twilio/voice", "StatusCallback": f"{base_url}/twilio/status"}
        twilio.account.add_number(NUMBER, urls | {"VoiceFallbackUrl": BIN})
        there = World(tmp_path, twilio, gemini, front, redis, certificates)
        there.settings = {
            "port": 0,
            "agents_dir": tmp_path / "agents",
            "data_dir": data,
            "public_base_url": base_url,
            "redis_url": f"redis://:pw@127.0.0.1:{redis.port}/0",
            "gemini_base_url": gemini.base_url,
            "gemini_ca_file": gemini.ca_file,
            "twilio_account_sid": twilio.account_sid,
            "twilio_auth_token": twilio.auth_token,
            "twilio_api_base": twilio.base_url,
            "processes": 2,
        }
        there.good, there.good_number = dict(there.settings), dict(there.number)
        worlds.append(there)
        yield there


async def _port_taken(world: World) -> None:
    world.settings["port"] = world.redis.port


async def _database_ahead(world: World) -> None:
    def write() -> None:
        with sqlite3.connect(world.folder / "data" / "trunkline.db") as connection:
            connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
            connection.execute("INSERT INTO alembic_version VALUES ('9999')")
        connection.close()

    await asyncio.to_thread(write)


def do(change: Callable[[World], Any]) -> Callable[[World], Awaitable[None]]:
    async def plant(world: World) -> None:
        change(world)

    return plant


def setting(**values: Any) -> Callable[[World], Awaitable[None]]:
    return do(lambda world: world.settings.update(values))


def number(**values: str) -> Callable[[World], Awaitable[None]]:
    return do(lambda world: world.number.update(values))


Fault = tuple[Callable[[World], Awaitable[None]], str, str]
TOGETHER: dict[str, Fault] = {
    "env": (do(lambda w: (w.folder / ".env").chmod(0o644)), "{folder}/.env", "run: chmod 600"),
    "key": (do(lambda w: (w.folder / "data" / "secret.key").chmod(0o640)), "{folder}/data/secret.key", "chmod 600"),
    "database": (_database_ahead, "database", "newer version"),
    "model": (do(lambda w: w.gemini.arm("http-401", times=None)), "model gemini-3.8-live of desk", "refuses the key"),
    "port": (_port_taken, "port", "set TRUNKLINE_PORT to a free port"),
    "processes": (do(lambda w: setattr(w, "cores", 1)), "processes", "set it to 1, or leave it unset"),
    "redis": (do(lambda w: setattr(w.redis, "password", "other")), "Redis", "correct the one in TRUNKLINE_REDIS_URL"),
    "path": (do(lambda w: setattr(w, "code", 502)), "public address", "pass every path on"),
    "expiry": (do(lambda w: w.certificates.show(days=5)), "TLS certificate", "expires in 5 days; renew it"),
    "clock": (do(lambda w: setattr(w.twilio.account, "ahead_secs", 60.0)), "clock", "timedatectl set-ntp true"),
    "account": (
        do(lambda w: setattr(w.twilio.account, "status", "suspended")),
        "Twilio account",
        "it is suspended; see to it",
    ),
    "voice": (number(voice_url="https://old.example/voice"), "voice webhook of {number}", "numbers connect {number}"),
    "status": (number(status_callback=""), "status callback of {number}", "Twilio tells nobody"),
    "absent": (do(lambda w: w.numbers.append(SPARE)), f"number {SPARE}", "the account does not have it; buy it"),
}
ALONE: dict[str, Fault] = {
    "nobody": (do(lambda w: w.front.shut()), "public address", "start the server"),
    "other name": (do(lambda w: w.certificates.show("other.example")), "TLS certificate", "it is not for 0.0.0.0; get"),
    "expired": (do(lambda w: w.certificates.show(days=-1)), "TLS certificate", "it has expired"),
    "authority": (do(lambda w: w.certificates.show(is_known=False)), "TLS certificate", "serve the whole chain"),
    "name": (setting(public_base_url="https://nobody.invalid"), "public address", "correct TRUNKLINE_PUBLIC_BASE_URL"),
    "token": (setting(twilio_auth_token="wrong"), "Twilio account", "check TWILIO_ACCOUNT_SID"),
    "get": (number(voice_method="GET"), "voice webhook of {number}", "we answer POST alone"),
    "application": (number(voice_application_sid="AP1"), "voice webhook of {number}", "a TwiML application"),
    "trunk": (number(trunk_sid="TK1"), "voice webhook of {number}", "take it out of the trunk"),
    "no redis": (setting(redis_url="redis://127.0.0.1:1/0"), "Redis", "start it, or correct TRUNKLINE_REDIS_URL"),
}


def _where(world: World, what: str) -> str:
    return what.replace("{folder}", str(world.folder)).replace("{number}", NUMBER)


@pytest.mark.soak
async def test_each_fault_alone_is_named_with_its_cure(world: World) -> None:
    world.begin_anew()
    assert await world.examine() == {}
    for name, (plant, what, cure) in (TOGETHER | ALONE).items():
        world.begin_anew()
        await plant(world)
        problems = await world.examine()
        assert _where(world, what) in problems, name
        assert cure.replace("{number}", NUMBER) in problems[_where(world, what)], name
        # What follows from it may be told as well: what another address means for the numbers, for example.
        assert len(problems) == 1 or name == "name", problems


async def test_all_faults_together_are_each_named(world: World) -> None:
    for plant, _, _ in TOGETHER.values():
        await plant(world)
    problems = await world.examine()
    for what, cure in ((_where(world, what), cure) for _, what, cure in TOGETHER.values()):
        assert cure.replace("{number}", NUMBER) in problems[what]
    assert len(problems) == len(TOGETHER) >= 10
    assert os.access(world.folder / ".env", os.R_OK)
