"""The command line: exit codes, one clear line for each problem, and `run` from start to end."""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger
from typer.testing import CliRunner, Result

from cli import app
from config.settings import Settings, environment_name
from tests.databases import IS_POSTGRES

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def own_logs() -> Iterator[None]:
    """Give the log back to the other tests: a verb sends it to its own standard error."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logger.remove()
    logger.add(sys.stderr)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a server with one quiet agent and no key, whatever this machine and its .env say."""
    monkeypatch.chdir(settings.agents_dir.parent)
    for name in Settings.model_fields:
        monkeypatch.delenv(environment_name(name), raising=False)
    return {
        "TRUNKLINE_PORT": "0",
        # What a verb says is read here from this process; of several, see tests/calls/test_processes.py.
        "TRUNKLINE_PROCESSES": "1",
        "TRUNKLINE_AGENTS_DIR": str(settings.agents_dir),
        "TRUNKLINE_BOTS_DIR": str(settings.bots_dir),
        "TRUNKLINE_DATA_DIR": str(settings.data_dir),
        "TRUNKLINE_DATABASE_URL": settings.database_url,
    }


def invoke(environment: dict[str, str], *arguments: str, **changes: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={**environment, **changes})


def test_settings_that_cannot_be_used_end_with_2(environment: dict[str, str]) -> None:
    result = invoke(environment, "serve", TRUNKLINE_PORT="seven", TRUNKLINE_LOG_LEVEL="loud")
    assert result.exit_code == 2
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["TRUNKLINE_PORT", "TRUNKLINE_LOG_LEVEL"]


def test_a_public_server_without_an_auth_token_does_not_start(environment: dict[str, str]) -> None:
    result = invoke(environment, "serve", TRUNKLINE_HOST="0.0.0.0")
    assert result.exit_code == 2
    assert result.stderr.startswith("TWILIO_AUTH_TOKEN: must be set")


def test_a_taken_port_ends_with_2_and_one_line(environment: dict[str, str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        result = invoke(environment, "serve", TRUNKLINE_PORT=str(other.getsockname()[1]))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith("is taken by another program; stop it, or set TRUNKLINE_PORT")
    assert "Traceback" not in result.stderr


def test_a_database_that_is_away_is_waited_for_and_then_ends_with_3(environment: dict[str, str]) -> None:
    url = "postgresql://trunkline:hunter2@127.0.0.1:1/calls"
    result = invoke(environment, "serve", TRUNKLINE_DATABASE_URL=url, TRUNKLINE_DATABASE_WAIT_SECS="1")
    assert result.exit_code == 3
    assert "waiting for the database" in result.stderr
    assert "did not answer within 1 s" in result.stderr.splitlines()[-1]
    assert "hunter2" not in result.stderr
    assert "Traceback" not in result.stderr


def test_good_agents_are_said_to_be_good(environment: dict[str, str]) -> None:
    result = invoke(environment, "agents", "check")
    assert result.exit_code == 0, result.stderr
    assert "every agent can be used" in result.stdout


def test_each_problem_of_an_agent_is_a_line_with_its_cure(environment: dict[str, str]) -> None:
    file = Path(environment["TRUNKLINE_AGENTS_DIR"]) / "front-desk.yaml"
    file.write_text(file.read_text() + "limits: {max_call_secs: 3}\nfoo: 1\n")
    result = invoke(environment, "agents", "check")
    assert result.exit_code == 2
    lines = [line for line in result.stderr.splitlines() if line.startswith(str(file))]
    assert len(lines) == 2
    assert any("limits.max_call_secs: must be >= 10 (got 3)" in line for line in lines)


def test_a_bot_that_does_not_import_is_named(environment: dict[str, str]) -> None:
    (Path(environment["TRUNKLINE_BOTS_DIR"]) / "broken.py").write_text("1 / 0\n")
    result = invoke(environment, "agents", "check")
    assert result.exit_code == 2
    assert "broken.py:1: does not import: ZeroDivisionError" in result.stderr


def test_the_example_environment_is_printed(environment: dict[str, str]) -> None:
    result = invoke(environment, "env-example")
    assert result.exit_code == 0
    assert "TRUNKLINE_PUBLIC_BASE_URL" in result.stdout


def test_an_agent_that_does_not_exist_cannot_be_phoned(environment: dict[str, str]) -> None:
    result = invoke(environment, "call", "--simulate", "nobody")
    assert result.exit_code == 2
    assert "no agent named nobody has a number" in result.stderr


@pytest.mark.calls
def test_a_key_is_made_listed_and_revoked(environment: dict[str, str]) -> None:
    made = invoke(environment, "keys", "create", "my tests", "--scope", "calls:read", "--days", "3")
    key = made.stdout.splitlines()[0]
    key_id = key.split("_")[1]
    assert made.exit_code == 0, made.output
    listed = invoke(environment, "keys", "list").stdout
    assert ("my tests" in listed, key_id in listed, "good until" in listed) == (True, True, True)
    assert key not in listed
    rotated = invoke(environment, "keys", "rotate", key_id, "--overlap-hours", "2")
    assert (rotated.exit_code, rotated.stdout.startswith(f"tk_{key_id}_")) == (0, True)
    assert rotated.stdout.splitlines()[0] != made.stdout.splitlines()[0]
    assert "old secret until" in invoke(environment, "keys", "list").stdout
    assert invoke(environment, "keys", "rotate", "0" * 12).exit_code == 2
    bound = invoke(environment, "keys", "create", "one agent", "--scope", "calls:read", "--agent", "front-desk")
    assert bound.exit_code == 0
    assert "only front-desk" in invoke(environment, "keys", "list").stdout
    assert invoke(environment, "keys", "revoke", key_id).exit_code == 0
    assert invoke(environment, "keys", "rotate", key_id).exit_code == 2
    assert "revoked" in invoke(environment, "keys", "list").stdout
    assert invoke(environment, "keys", "revoke", "0" * 12).exit_code == 2
    unknown = invoke(environment, "keys", "create", "x", "--scope", "calls:wirte")
    assert (unknown.exit_code, "there are agents:read, " in unknown.output) == (2, True)


def test_a_call_needs_somebody_to_call_and_a_server_to_place_it(environment: dict[str, str]) -> None:
    nobody = invoke(environment, "call")
    assert (nobody.exit_code, "say whom to call" in nobody.output) == (2, True)
    bad = invoke(environment, "call", "+15551230177", "--agent", "front-desk", "--variable", "x")
    assert (bad.exit_code, "name=value" in bad.output) == (2, True)
    alone = invoke(environment, "call", "+15551230177", "--agent", "front-desk", TRUNKLINE_PORT="9")
    assert (alone.exit_code, "The server cannot be reached." in alone.output) == (1, True)


def test_run_without_keys_starts_a_stand_in_and_stops_it_again(environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), "run"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(5)]
        assert "stand-in Gemini" in said[0]
        assert ("PostgreSQL" if IS_POSTGRES else "SQLite") in said[0]
        assert any("/playground" in line for line in said)
        assert any("/twilio/voice" in line for line in said)
        found = re.search(r"http://127\.0\.0\.1:\d+", said[0])
        assert found is not None
        with urllib.request.urlopen(f"{found[0]}/readyz", timeout=5) as answer:
            assert json.load(answer)["status"] == "ready"
        (child,) = children_of(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert not Path(f"/proc/{child}").exists()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def children_of(pid: int) -> list[int]:
    """Return the processes that `pid` has started and not yet collected."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_doctor_ends_with_0_where_nothing_is_wrong_and_prints_the_fallback_twiml(environment: dict[str, str]) -> None:
    result = invoke(environment, "doctor")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "ok       settings: they can be used together"
    assert "problem" not in result.stdout
    assert [line for line in lines if line.startswith("<?xml")]


def test_doctor_ends_with_1_and_one_line_for_each_problem(environment: dict[str, str]) -> None:
    result = invoke(environment, "doctor", TRUNKLINE_PORT="seven", TRUNKLINE_LOG_LEVEL="loud")
    assert result.exit_code == 1
    assert [line.split(":")[:2] for line in result.stdout.splitlines()] == [
        ["problem  settings", " TRUNKLINE_PORT"],
        ["problem  settings", " TRUNKLINE_LOG_LEVEL"],
    ]
    agent = Path(environment["TRUNKLINE_AGENTS_DIR"]) / "front-desk.yaml"
    agent.write_text(agent.read_text().replace("bot: quiet", "bot: loud"))
    result = invoke(environment, "doctor")
    assert result.exit_code == 1
    assert [line for line in result.stdout.splitlines() if line.startswith("problem  agents and bots: ")]
