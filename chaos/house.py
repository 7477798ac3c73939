"""A server of its own for each drill, between a stand-in Gemini and a stand-in Twilio, all in one process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from config.settings import Settings
from server import RunningServer
from simulators.gemini_live import GeminiEmulator
from simulators.twilio import TwilioSimulator
from transcripts.store import CallStore

AGENT_NUMBER = "+15551230100"
PERSON_NUMBER = "+15551230199"
GREETING = "Hello! How can I help?"
_BOTS = Path(__file__).parent / "bots"
_SHIPPED = Path(__file__).parent.parent / "config" / "agents" / "front-desk.yaml"


@dataclass(frozen=True, slots=True)
class DrillHouse:
    """What a drill plays in."""

    server: RunningServer
    gemini: GeminiEmulator
    twilio: TwilioSimulator

    @property
    def store(self) -> CallStore:
        """The calls, their turns and events."""
        return self.server.services.store


@asynccontextmanager
async def drill_house(
    folder: Path, *, tool_secs: float = 0.0, database_url: str | None = None
) -> AsyncGenerator[DrillHouse]:
    """Open a house in `folder`; its front desk apologises and then transfers when nothing else helps.

    `tool_secs`: how long it takes to look up the opening hours. `database_url`: left out, SQLite in the folder.

    The shipped clips speak when the model does not: no sentence is read aloud before the call, which would use up what
    is armed for the call's own connections.
    """
    agents_dir = folder / "agents"
    await asyncio.to_thread(_write_agent, agents_dir, tool_secs)
    async with AsyncExitStack() as closing:
        gemini = await closing.enter_async_context(GeminiEmulator(ca_dir=folder / "ca"))
        twilio = await closing.enter_async_context(TwilioSimulator())
        settings = Settings.load(
            env_file=None,
            host="127.0.0.1",
            port=0,
            gemini_base_url=gemini.base_url,
            gemini_ca_file=gemini.ca_file,
            twilio_account_sid=twilio.account_sid,
            twilio_auth_token=twilio.auth_token,
            twilio_api_base=twilio.base_url,
            agents_dir=agents_dir,
            bots_dir=_BOTS,
            data_dir=folder / "data",
            database_url=database_url or f"sqlite+aiosqlite:///{folder}/data/trunkline.db",
            prepare_sentences=False,
            max_loop_lag_ms=10_000,
        )
        server = await closing.enter_async_context(RunningServer(settings))
        yield DrillHouse(server, gemini, twilio)


def _write_agent(folder: Path, tool_secs: float) -> None:
    folder.mkdir(parents=True)
    agent = yaml.safe_load(_SHIPPED.read_text(encoding="utf-8"))
    agent |= {
        "bot": "slow_receptionist",
        "settings": {"tool_secs": tool_secs},
        "numbers": [AGENT_NUMBER],
        "greeting": GREETING,
        "on_failure": ["say", {"transfer": PERSON_NUMBER}],
    }
    (folder / "front-desk.yaml").write_text(yaml.safe_dump(agent), encoding="utf-8")
