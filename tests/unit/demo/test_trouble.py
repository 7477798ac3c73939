"""`cli.py call --fault`: the fault is armed where it has to be, or one line says why it cannot be."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from loguru import logger
from typer.testing import CliRunner, Result

from cli import app
from config.settings import Settings, environment_name
from demo.trouble import NoTrouble, armed, fault_of_a_call, ready_file
from simulators.fault_control import FaultControl
from simulators.faults import find_fault
from simulators.gemini_live import GeminiEmulator

_ROOT = Path(__file__).parents[3]


def stand_in_runs(data_dir: Path, control_url: str) -> None:
    ready_file(data_dir).parent.mkdir(parents=True, exist_ok=True)
    ready_file(data_dir).write_text(json.dumps({"control_url": control_url}))


async def test_a_fault_is_armed_for_one_call_and_what_is_left_of_it_is_taken_back(tmp_path: Path) -> None:
    told: list[str] = []
    async with GeminiEmulator(ca_dir=tmp_path / "ca") as gemini, FaultControl(gemini) as control:
        await asyncio.to_thread(stand_in_runs, tmp_path, control.url)
        async with armed(find_fault("goaway"), tmp_path, told.append):
            assert gemini.faults.armed == ["goaway"]
        assert gemini.faults.armed == []
        async with armed(find_fault("goaway"), tmp_path, told.append):
            gemini.faults.take("turn")
        async with armed(find_fault("connection-refused"), tmp_path, told.append):
            pass
    assert told == [
        "The fault goaway did not strike: the call gave it no occasion.",
        "The fault goaway struck.",
        "The fault connection-refused struck.",
    ]


async def test_a_stand_in_that_was_stopped_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(NoTrouble, match="none runs here: .*ready.json leads to none. Start .* with `make run`"):
        async with armed(find_fault("goaway"), tmp_path, print):
            pytest.fail("nothing can be armed")
    told: list[str] = []
    async with GeminiEmulator(ca_dir=tmp_path / "ca") as gemini:
        async with FaultControl(gemini) as control:
            await asyncio.to_thread(stand_in_runs, tmp_path, control.url)
            meeting = armed(find_fault("goaway"), tmp_path, told.append)
            await meeting.__aenter__()
        await meeting.__aexit__(None, None, None)
        assert told == ["The stand-in Gemini was stopped meanwhile."]
        # Its file was left behind by a process that was killed.
        with pytest.raises(NoTrouble, match="leads to none"):
            await armed(find_fault("goaway"), tmp_path, print).__aenter__()


def test_a_call_can_meet_all_faults_but_those_of_the_rest_api() -> None:
    assert fault_of_a_call("jitter-30").side == "twilio"
    with pytest.raises(NoTrouble, match="there is no fault 'http-418'; there are connection-refused, .*jitter-30"):
        fault_of_a_call("http-418")
    with pytest.raises(NoTrouble, match="`cli.py chaos --fault rest-500`"):
        fault_of_a_call("rest-500")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(environment_name(name), raising=False)
    return {"TRUNKLINE_DATA_DIR": str(tmp_path / "data"), "TRUNKLINE_AGENTS_DIR": str(_ROOT / "config" / "agents")}


def invoke(environment: dict[str, str], *arguments: str) -> Result:
    try:
        return CliRunner().invoke(app, list(arguments), env=environment)
    finally:
        # A verb sends the log to its own standard error, which is gone.
        logger.remove()
        logger.add(lambda line: sys.stderr.write(line), level="WARNING")


def test_no_such_fault_and_no_stand_in_are_one_clear_line_each(environment: dict[str, str]) -> None:
    result = invoke(environment, "call", "--simulate", "front-desk", "--fault", "http-418")
    assert (result.exit_code, "there is no fault 'http-418'" in result.stderr) == (2, True)
    result = invoke(environment, "call", "--simulate", "front-desk", "--fault", "goaway")
    assert result.exit_code == 1
    assert "goaway is a fault of the stand-in Gemini, and none runs here" in result.stdout
    assert "Traceback" not in result.output


def test_no_such_drill_is_one_clear_line(environment: dict[str, str]) -> None:
    result = invoke(environment, "chaos", "--fault", "http-418")
    assert (result.exit_code, "no drill is about 'http-418'" in result.stderr) == (2, True)


@pytest.mark.calls
def test_a_running_server_tells_where_its_stand_in_is_as_long_as_it_runs(environment: dict[str, str]) -> None:
    command = [sys.executable, str(_ROOT / "cli.py"), "run"]
    given = {
        **os.environ,
        **environment,
        "TRUNKLINE_PORT": "0",
        "TRUNKLINE_PREPARE_SENTENCES": "false",
        "TRUNKLINE_BOTS_DIR": str(_ROOT / "bots"),
    }
    file = ready_file(Path(environment["TRUNKLINE_DATA_DIR"]))
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "stand-in Gemini" in process.stdout.readline()
        ready = json.loads(file.read_text())
        assert set(ready) == {"base_url", "ca_file", "control_url"}
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert not file.exists()
