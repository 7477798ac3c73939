"""`cli.py doctor`, with the far ends there, refusing, and not there at all."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest
import yaml

from config.agents_folder import load_agents
from config.phrases import Phrases
from config.settings import Settings, environment_name
from doctor.findings import problem
from doctor.run import run_doctor
from pipelines.sentence_files import SentenceFiles
from pipelines.sentence_reading import Reading
from simulators.gemini_live import GeminiEmulator
from simulators.twilio import TwilioSimulator
from storage.engine import Database

PERSON = "+15551230177"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this machine's settings nor what other tests lend to guest bots."""
    for name in Settings.model_fields:
        monkeypatch.delenv(environment_name(name), raising=False)


@pytest.fixture
async def gemini(tmp_path: Path) -> AsyncGenerator[GeminiEmulator]:
    async with GeminiEmulator(ca_dir=tmp_path / "ca") as emulator:
        yield emulator


@pytest.fixture
async def twilio() -> AsyncGenerator[TwilioSimulator]:
    async with TwilioSimulator() as simulator:
        yield simulator


def write_agent(folder: Path, name: str = "desk", **fields: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"bot": "desk", **fields}, allow_unicode=True))


async def examine(tmp_path: Path, *found: Any, **settings: Any) -> tuple[bool, dict[str, str], str]:
    """Run the doctor; returns whether all is well, each finding by what was looked at, and what follows them."""
    given = {"port": 0, "agents_dir": tmp_path / "agents", "data_dir": tmp_path / "data", **settings}
    loaded = Settings.load(env_file=None, **given)
    agents = await asyncio.to_thread(lambda: load_agents(loaded.agents_dir, known_bots=None).agents)
    lines: list[str] = []
    is_well = await run_doctor(loaded, agents, found, lines.append)
    findings = [line for line in lines if line.startswith(("ok ", "off ", "problem "))]
    parted = [line.split(maxsplit=1) for line in findings]
    by_name = {rest.partition(": ")[0]: f"{grade}: {rest.partition(': ')[2]}" for grade, rest in parted}
    assert len(by_name) == len(findings)
    return is_well, by_name, "\n".join(lines[len(findings) :])


async def test_without_key_and_account_it_says_so_and_that_it_is_fine(tmp_path: Path) -> None:
    write_agent(tmp_path / "agents", numbers=["+15551230100"])
    is_well, found, _ = await examine(tmp_path)
    assert is_well
    off = {what: line for what, line in found.items() if line.startswith("off")}
    assert set(off) == {"models", "public address", "Twilio account"}
    assert all("fine for local use" in line for line in off.values())
    assert found["database"].startswith("ok: SQLite answers; its tables are brought up to date at the next start")
    assert found["sentences of desk"].endswith("by a shipped clip")


async def test_with_everything_there_it_finds_everything_well(tmp_path: Path, gemini: GeminiEmulator) -> None:
    write_agent(tmp_path / "agents", on_failure=[{"model": "another-live-model"}, {"say": "Hold on."}, "hang_up"])
    data = tmp_path / "data"
    db = Database(f"sqlite+aiosqlite:///{data}/trunkline.db")
    await db.connect(5)
    await db.migrate()
    await db.close()
    filler = Reading("gemini-3.8-live", "Aoede", "en-US", Phrases().filler)
    tone = (np.sin(np.arange(36000) / 10) * 8000).astype("<i2").tobytes()
    await asyncio.to_thread(SentenceFiles(data / "sentences").save, filler, tone)
    is_well, found, _ = await examine(tmp_path, gemini_base_url=gemini.base_url, gemini_ca_file=gemini.ca_file)
    assert is_well
    assert found["database"] == "ok: SQLite answers and is up to date"
    assert found["on_failure of desk"] == "ok: model, say, hang_up"
    for model in ("gemini-3.8-live", "another-live-model"):
        assert found[f"model {model} of desk"].startswith("ok: ready in ")
    assert found["sentences of desk"].startswith("ok: 1 read by its own voice, ")
    assert found["sentences of desk"].endswith(" by a shipped clip")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("http-401", "refuses the key"),
        ("http-429", "quota"),
        ("http-503", "503"),
        ("no-setup-complete", "in time"),
        ("connection-refused", "Nobody listens"),
        ("tls-error", "not trusted"),
    ],
)
async def test_a_model_that_cannot_be_had_is_one_sentence(
    tmp_path: Path, gemini: GeminiEmulator, fault: str, sentence: str
) -> None:
    write_agent(
        tmp_path / "agents", pipeline=["transport.input", "user_turns", {"gemini_live": {"connection": QUICK}}, OUTPUT]
    )
    gemini.arm(fault, times=None)
    is_well, found, _ = await examine(tmp_path, gemini_base_url=gemini.base_url, gemini_ca_file=gemini.ca_file)
    assert not is_well
    assert found["model gemini-3.8-live of desk"].startswith("problem: ")
    assert sentence in found["model gemini-3.8-live of desk"]
    gemini.disarm()


QUICK = {"ready_secs": 0.5}
OUTPUT = "transport.output"


async def test_the_accounts_credentials_are_tried(tmp_path: Path, twilio: TwilioSimulator) -> None:
    write_agent(tmp_path / "agents")
    account = {"twilio_account_sid": twilio.account_sid, "twilio_api_base": twilio.base_url}
    is_well, found, _ = await examine(tmp_path, twilio_auth_token="wrong", **account)
    assert not is_well
    assert found["Twilio account"].startswith("problem: Twilio refused: HTTP 401")
    assert "check TWILIO_ACCOUNT_SID" in found["Twilio account"]
    _, found, _ = await examine(tmp_path, twilio_auth_token=twilio.auth_token, **account)
    assert found["Twilio account"] == "ok: active, and the credentials are good"


async def test_what_would_fail_a_call_is_a_problem_with_its_cure(tmp_path: Path) -> None:
    write_agent(tmp_path / "agents", numbers=["+15551230100"], on_failure=[{"transfer": "+15551230100"}])
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    is_well, found, _ = await examine(
        tmp_path,
        problem("agents and bots", "x.yaml: broken"),
        data_dir=blocked,
        database_url="postgresql+psycopg://trunkline@127.0.0.1:1/calls",
        public_base_url="http://voice.example.com",
        twilio_auth_token="0123456789abcdef",
    )
    assert not is_well
    wrong = {what: line for what, line in found.items() if line.startswith("problem")}
    assert set(wrong) == {
        "agents and bots",
        "data folder",
        "database",
        "sealing keys",
        "public address",
        "on_failure of desk",
    }
    assert "TRUNKLINE_DATA_DIR" in wrong["data folder"]
    assert "TRUNKLINE_DATABASE_URL" in wrong["database"]
    assert "https" in wrong["public address"]
    assert "name a person's number" in wrong["on_failure of desk"]


async def test_a_database_of_a_newer_version_is_a_problem(tmp_path: Path) -> None:
    write_agent(tmp_path / "agents")
    await examine(tmp_path)

    def rewrite() -> None:
        with sqlite3.connect(tmp_path / "data" / "trunkline.db") as connection:
            connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
            connection.execute("INSERT INTO alembic_version VALUES ('9999')")
        connection.close()

    await asyncio.to_thread(rewrite)
    is_well, found, _ = await examine(tmp_path)
    assert not is_well
    assert "newer version" in found["database"]


async def test_the_fallback_documents_say_the_agents_words(tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    write_agent(folder, "desk", numbers=["+15551230100"], on_failure=["say", {"transfer": PERSON}])
    write_agent(folder, "empfang", numbers=["+15551230101"], language="de-DE")
    write_agent(folder, "web", language="nl-NL")
    _, found, printed = await examine(tmp_path)
    assert found["sentences of web"].endswith(
        " by Twilio's voice only; they are made as soon as its model can be reached"
    )
    assert "desk, +15551230100" in printed
    assert "empfang, +15551230101" in printed
    assert "web," not in printed
    documents = [fromstring(line.encode()) for line in printed.splitlines() if line.startswith("<?xml")]
    assert [[verb.tag for verb in document] for document in documents] == [["Say", "Dial"], ["Say", "Hangup"]]
    assert documents[0][0].text == Phrases().connecting
    assert documents[0][1][0].text == PERSON
    assert documents[1][0].get("language") == "de-DE"
