"""`cli.py bench levers`: every lever is where the table says, and the differences are computed right."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from google.genai import Client
from google.genai.live import AsyncSession
from pydantic import BaseModel
from typer.testing import CliRunner

from bench import trunkline
from bench.density import Candidate, Order, Write
from bench.figures import StepFigures
from bench.levers import request
from bench.levers.differences import AGAIN, AS_IT_IS, compare, render
from bench.levers.model_way import speech_of
from bench.levers.patching import LeverGone, with_default
from bench.levers.patching import replace as put
from bench.levers.table import LEVERS
from bench.summary import Row, summarise
from cli import app
from pipelines.model_voice import read_speech
from tests.unit.bench.test_figures import make_step

VOICE = {"mimeType": "audio/pcm;rate=24000", "data": base64.b64encode(bytes(range(96))).decode()}
ROOT = Path(__file__).resolve().parent.parent.parent.parent


def take_out(*names: str) -> subprocess.CompletedProcess[str]:
    """Take levers out of a process that imports what the server imports, and ends."""
    options = [option for name in names for option in ("--without", name)]
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "bench.levers.serve", *options, "--check"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_levers_are_where_the_table_says() -> None:
    done = take_out(*LEVERS)
    assert done.returncode == 0, done.stderr


@pytest.mark.soak
@pytest.mark.parametrize("name", LEVERS)
def test_every_lever_is_where_the_table_says(name: str) -> None:
    done = take_out(name)
    assert done.returncode == 0, done.stderr


def test_figures_are_others_without_their_levers() -> None:
    code = """
from bench.levers.table import LEVERS
for name in ("joined-input", "send-ahead", "long-chunks"):
    LEVERS[name].take_out()
from pipelines import phone_line, stages
print(stages.TransportInput().piece_ms, stages.TransportOutput().lead_ms)
print(phone_line.FastAPIWebsocketParams(audio_out_10ms_chunks=10).audio_out_10ms_chunks, phone_line._MARK_EVERY_MS)
"""
    run = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["20", "40", "4", "200.0"]


def test_a_name_that_is_gone_is_no_lever_any_more() -> None:
    class Settings(BaseModel):
        lead_ms: int = 200

    owner = type("owner", (), {"there": 1})
    assert put(owner, "there", 2) == 1
    with pytest.raises(LeverGone, match="owner has no gone: look for where the lever went"):
        put(owner, "gone", 2)
    shorter = with_default(Settings, "lead_ms", 40)
    assert shorter().model_dump() == {"lead_ms": 40}
    assert shorter.model_validate({"lead_ms": 60}).model_dump() == {"lead_ms": 60}  # what an agent says still counts
    with pytest.raises(LeverGone, match="Settings has no field ahead_ms"):
        with_default(Settings, "ahead_ms", 40)


def test_a_server_without_a_lever_differs_from_the_shipped_one_in_nothing_else(tmp_path: Path) -> None:
    plain = trunkline.launch(8000, "https://model", tmp_path / "ca.pem", tmp_path)
    other = trunkline.launch_without("fir", 8000, "https://model", tmp_path / "ca.pem", tmp_path)
    assert other.argv[1:] == ["-m", "bench.levers.serve", "--without", "fir"]
    assert other.env == plain.env | {"PYTHONPATH": str(ROOT)}
    assert other.env["TRUNKLINE_PROCESSES"] == "1"
    assert replace(other, name=plain.name, argv=plain.argv, env=plain.env) == plain


@pytest.mark.parametrize(
    "message",
    [
        {"serverContent": {"modelTurn": {"parts": [{"inlineData": VOICE}], "role": "model"}}},
        {"serverContent": {"modelTurn": {"parts": [{"inlineData": VOICE}, {"inlineData": VOICE}]}}},
        {"serverContent": {"outputTranscription": {"text": "Good morning."}}},
        {"serverContent": {"modelTurn": {"parts": [{"inlineData": VOICE}]}, "turnComplete": True}},
        {"serverContent": {"modelTurn": {"parts": [{"text": "thinking"}]}}},
        {"serverContent": {"generationComplete": True}},
        {"serverContent": {"outputTranscription": {"text": "Well"}}, "usageMetadata": {"totalTokenCount": 3}},
        {"toolCall": {"functionCalls": [{"id": "1", "name": "look_up", "args": {}}]}},
    ],
)
async def test_without_its_short_socket_the_model_is_heard_to_say_the_same(message: dict[str, Any]) -> None:
    class Socket:
        async def recv(self, decode: bool | None = None) -> bytes:
            return json.dumps(message).encode()

    client = Client(api_key="none-needed")
    session = AsyncSession(api_client=client.aio.live._api_client, websocket=cast(Any, Socket()))
    assert speech_of(await session._receive()) == read_speech(json.dumps(message).encode())


def make_row(server: str, **figures: float | None) -> Row:
    return replace(summarise([make_step()]), server=server, **figures)  # type: ignore[arg-type]


def make_rows() -> list[Row]:
    return [
        make_row(AS_IT_IS, cpu_ms=20.0, added_p95_ms=30.0, mb_for_each=None),
        make_row("without fir", cpu_ms=25.2, added_p95_ms=31.0, mb_for_each=3.0),
        make_row(AGAIN, cpu_ms=22.0, added_p95_ms=34.0, mb_for_each=None),
    ]


def test_a_difference_is_to_the_mean_of_both_plain_rows_and_the_drift_is_between_them() -> None:
    comparison = compare(make_rows())
    assert (comparison.plain["cpu_ms"], comparison.drift["cpu_ms"]) == (21.0, 2.0)
    [(name, less)] = comparison.without.items()
    assert name == "without fir"
    assert (less["cpu_ms"], less["added_p95_ms"], less["mb_for_each"]) == (4.2, -1.0, None)
    assert comparison.drift["mb_for_each"] is None


def test_the_table_shows_differences_that_the_drift_does_not_explain() -> None:
    rows = make_rows()
    text = render(rows, compare(rows))
    line = next(line for line in text.splitlines() if "without fir" in line)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1] == "25.2 (+4.2, +20%)"
    assert cells[4] == "31 (=)"  # both plain rows are further apart than that
    assert cells[7] == "3"
    assert "CPU ms 2," in text


def test_with_one_plain_row_alone_there_is_no_drift_to_tell() -> None:
    rows = make_rows()[:2]
    text = render(rows, compare(rows))
    assert "25.2 (+5.2, +26%)" in text
    assert "only one was measured" in text


def test_an_unknown_lever_gets_all_their_names_and_exit_code_2(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "levers", "--only", "crowbar", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert done.stderr == f"--only crowbar: no such lever; there are {', '.join(LEVERS)}\n"


def test_calls_too_short_to_be_up_together_are_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "levers", "--seconds", "10", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "30 calls need at least 14, to be up together" in done.stderr


def test_one_lever_is_measured_between_two_plain_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def measure(candidates: Sequence[Candidate], order: Order, out_dir: Path, write: Write) -> list[StepFigures]:
        asked.extend(each.name for each in candidates)
        assert (order.calls, order.seconds, order.has_burst) == ((30,), 25.0, False)
        return [replace(make_step(), server=each.name) for each in candidates[:2]]

    monkeypatch.setattr(request, "_run", measure)
    done = CliRunner().invoke(app, ["bench", "levers", "--only", "one-ear", "--out", str(tmp_path)])
    assert asked == [AS_IT_IS, "without one-ear", AGAIN]
    assert done.exit_code == 1, done.output
    assert done.stderr == f"{AGAIN}: not measured\n"
    assert "without one-ear" in (tmp_path / "levers.md").read_text(encoding="utf-8")
    document = json.loads((tmp_path / "levers.json").read_text(encoding="utf-8"))
    assert document["settings"]["levers"] == ["one-ear"]
    assert document["differences"]["without"]["without one-ear"]["cpu_ms"] == 0.0
