"""`cli.py bench`: what it is asked, what it refuses, and what it ends with."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bench import density_request
from bench.cores import divide_cores
from bench.density import Candidate, Order, Write
from bench.density_request import CannotMeasure, read_calls
from bench.launch import Launch, NotServing, serving
from bench.plot import draw
from bench.report import write_json
from bench.step import free_port, least_secs
from bench.summary import Row, summarise
from cli import app
from tests.unit.bench.test_figures import make_step

EVERY_CORE = len(os.sched_getaffinity(0))


def run_bench(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["bench", *arguments])


@pytest.mark.parametrize(("text", "steps"), [("5", (5,)), ("25, 1,10,10", (1, 10, 25))])
def test_steps_are_read_ascending_and_once(text: str, steps: tuple[int, ...]) -> None:
    assert read_calls(text) == steps


@pytest.mark.parametrize("text", ["", "1,,2", "many", "0", "-5", "1.5", "1e2", "²"])
def test_what_is_no_number_of_calls_is_refused(text: str) -> None:
    with pytest.raises(CannotMeasure, match="is no number of calls; write it as 1,10,25"):
        read_calls(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--calls", "1,ten"], "--calls 1,ten: 'ten' is no number of calls; write it as 1,10,25"),
        (["--cores", "4096"], f"--cores 4096: 4096 cores are wanted, and this process may use {EVERY_CORE}; ask for"),
        (["--seconds", "20"], "--seconds 20: 100 calls need at least 29, to be up together"),
        (["--seconds", "nan"], "--seconds nan: 100 calls need at least 29, to be up together"),
        (["--only", "bare"], "--only bare: no such server; "),
        (["--out", "/dev/null/results"], "--out /dev/null/results: cannot be written to (Not a directory); name"),
    ],
)
def test_a_wrong_order_gets_one_line_and_exit_code_2(tmp_path: Path, options: list[str], message: str) -> None:
    done = run_bench("density", "--out", str(tmp_path), *options)
    assert done.exit_code == 2, done.output
    [line] = done.stderr.splitlines()
    assert line.startswith(message)


def test_calls_of_the_least_length_are_up_together_between_ramp_and_burst() -> None:
    assert least_secs(1, has_burst=False) < least_secs(1, has_burst=True) < least_secs(100, has_burst=True) < 40
    order = density_request.SMOKE
    assert order.seconds >= least_secs(max(order.calls), has_burst=order.has_burst)


class Measured:
    """Stands where an hour of measuring does: writes the curve that it is given, and keeps what it was asked."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = list(rows)
        self.asked: tuple[list[str], Order] | None = None

    def __call__(self, candidates: Sequence[Candidate], order: Order, out_dir: Path, write: Write) -> list[Row]:
        self.asked = ([each.name for each in candidates], order)
        write_json(out_dir / "density.json", [make_step()], self.rows, vars(order) | {"calls": list(order.calls)})
        return self.rows


def make_rows(**changes: Any) -> list[Row]:
    row = summarise([make_step()])
    return [row, replace(row, server="bare bridge", **changes), replace(row, server="generated bot", **changes)]


def test_one_command_measures_all_three_and_plans_from_the_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Measured(make_rows())
    monkeypatch.setattr(density_request, "run_density", measured)
    done = run_bench("density", "--calls", "4", "--out", str(tmp_path), "--runs", "3")
    assert done.exit_code == 0, done.output
    assert measured.asked == (["Trunkline", "bare bridge", "generated bot"], Order((4,), 1, 40.0, 3))
    assert "A plan for 500 calls at once and 20,000 minutes of calls a day" in done.stdout
    assert "planned for one core" in (tmp_path / "density.md").read_text(encoding="utf-8")


def test_a_bad_row_or_a_server_without_rows_ends_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = make_rows(flaws=("the callers are late",))[:2]
    monkeypatch.setattr(density_request, "run_density", Measured(rows))
    done = run_bench("density", "--calls", "4", "--out", str(tmp_path))
    assert done.exit_code == 1
    assert done.stderr.splitlines() == ["bare bridge, 4 calls: invalid", "generated bot: not measured"]


def test_a_curve_without_a_passed_step_has_no_plan_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [replace(make_rows()[0], added_p95_ms=900.0)]
    monkeypatch.setattr(density_request, "run_density", Measured(rows))
    done = run_bench("density", "--calls", "4", "--only", "trunkline", "--out", str(tmp_path))
    assert done.exit_code == 0  # slow is a result
    assert "No plan can be made of this curve: no step of density.json is within its pass bar" in done.stdout


def test_the_plot_is_a_picture_in_both_formats(tmp_path: Path) -> None:
    rows = make_rows(added_p50_ms=-2.0, cpu_ms=None)
    draw(rows, "title", tmp_path / "a.png", tmp_path / "a.svg")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "<!-- Trunkline, p95 -->" in text
    assert "<!-- the bar, 60 ms -->" in text


async def test_a_server_that_ends_before_it_answers_says_what_it_printed(tmp_path: Path) -> None:
    argv = ["/bin/sh", "-c", "echo the disk is full; exit 7"]
    launch = Launch("x", argv, tmp_path, {}, "/", free_port(), keeps_rows=False)
    with pytest.raises(NotServing, match="it ended with 7:\nthe disk is full"):
        async with serving(launch, divide_cores(1).server, tmp_path / "x.log"):
            pass
