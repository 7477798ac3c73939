"""What a load needs and costs, worked out by hand, and what a wrong question is told."""

import json
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import HttpUrl
from typer.testing import CliRunner, Result

from bench.figures import StepFigures
from bench.plan import Assumptions, Cost, Demand, Impossible, make_plan
from bench.plan_curve import BadCurve, Curve, Step, read_curve
from bench.plan_tokens import count_tokens
from bench.report import write_json
from bench.summary import Row
from cli import app
from config.prices import Facts, Prices, PriceTable, Sourced

MB = 1_000_000
STEPS = (
    Step(1, True, delay_p95_ms=20, cpu_ms_per_call_sec=30, idle_bytes=98 * MB, bytes_per_call=0),
    Step(41, True, delay_p95_ms=50, cpu_ms_per_call_sec=10, idle_bytes=100 * MB, bytes_per_call=2 * MB),
    Step(80, False, delay_p95_ms=70, cpu_ms_per_call_sec=9, idle_bytes=101 * MB, bytes_per_call=3 * MB),
    Step(100, True, delay_p95_ms=50, cpu_ms_per_call_sec=9, idle_bytes=102 * MB, bytes_per_call=1 * MB),
)
CURVE = Curve(source="density.json", measured="2026-11-24", cores=1, steps=STEPS)
ASSUMED = Assumptions(call_minutes=2, replies_per_minute=1, outgoing=0.2, days_per_month=10)


def make_prices(*dollars: float) -> PriceTable:
    """A table with these prices, in the order of the fields, and 25 tokens for a second."""
    origin = {"date": date(2026, 1, 1), "source": HttpUrl("https://example.com/")}

    def fill(model: type[Prices | Facts], key: str, values: tuple[float, ...]) -> Any:
        fields: dict[str, Sourced] = {}
        for (name, field), value in zip(model.model_fields.items(), values, strict=True):
            entry: Any = field.annotation
            unit = entry.model_fields.get("per")
            given = {key: value} | ({} if unit is None else {"per": unit.annotation.__args__[0]})
            fields[name] = entry(**origin, **given)
        return model(**fields)  # pyright: ignore[reportArgumentType]

    return PriceTable(
        prices=fill(Prices, "usd", (*dollars, *[0.0] * (len(Prices.model_fields) - len(dollars)))),
        facts=fill(Facts, "value", (25, 1000, 4e6, 1)),
    )


PRICES = make_prices(1, 2, 3, 4, 5, 6, 7)


def test_servers_by_hand() -> None:
    plan = make_plan(Demand(100, 12_000), CURVE, ASSUMED, PRICES)
    assert plan.calls_per_core == 30  # 41 less a quarter, rounded down
    assert plan.processes == 4  # 100 / 30
    assert plan.machines == 3  # 4 processes on 2 cores each, and one spare
    # Two processes of 100 MB, each with 30 calls of 2 MB.
    assert plan.memory_per_machine_bytes == pytest.approx(320 * MB)
    assert plan.cpu_share == pytest.approx(100 * 0.010 / 6)
    assert plan.peak_hours == pytest.approx(2)


def test_twilio_and_gemini_by_hand() -> None:
    plan = make_plan(Demand(100, 12_000), CURVE, ASSUMED, PRICES)
    assert plan.starts_per_sec == pytest.approx(100 / 120)
    assert plan.outgoing_starts_per_sec == pytest.approx(100 / 120 / 5)
    assert plan.sessions == 100
    assert plan.calls_per_day == pytest.approx(6000)
    # Two replies: 60 s are heard before each (1500 tokens), and 30 s (750) are spoken with each.
    # The first is billed for 1500, the second for 1500 + 750 + 1500; the 1000 of the prompt twice.
    tokens = plan.call_tokens
    assert (tokens.heard, tokens.audio_in, tokens.text_in, tokens.audio_out) == (3000, 5250, 2000, 1500)
    assert plan.tokens_per_minute == pytest.approx(100 * 8750 / 2)


def test_the_bill_by_hand() -> None:
    plan = make_plan(Demand(100, 12_000), CURVE, ASSUMED, PRICES)
    # 60,000 calls in ten days, each billed for 2.5 minutes: 150,000 minutes, a fifth of them outgoing.
    bill = {cost.what: (round(cost.amount, 6), round(cost.usd, 6)) for cost in plan.costs}
    assert bill == {
        "Twilio, incoming calls": (120_000, 120_000 * 1),
        "Twilio, outgoing calls": (30_000, 30_000 * 2),
        "Twilio, media streams": (150_000, 150_000 * 3),
        "Gemini, audio in": (315, 315 * 4),
        "Gemini, text in": (120, 120 * 6),
        "Gemini, audio out": (90, 90 * 5),
        "Machines": (3 * 2 * 730, 3 * 2 * 730 * 7),
    }
    assert plan.usd_per_month == pytest.approx(120_000 + 60_000 + 450_000 + 1260 + 720 + 450 + 30_660)


def test_what_costs_nothing_is_no_line() -> None:
    plan = make_plan(Demand(10, 0), CURVE, Assumptions(), PRICES)
    assert plan.costs == (Cost("Machines", 2 * 2 * 730, "core hours", 7),)


def test_a_long_conversation_is_cut_to_half_of_where_compression_begins() -> None:
    given = {"call_secs": 120.0, "replies_per_minute": 1.0, "agent_talks": 0.5, "audio_tokens_per_sec": 25.0}
    # 1500 + 500 is not more than 2000; then 3750 + 500 is, and 1000 stay, 500 of them the prompt.
    assert count_tokens(**given, prompt_tokens=500, compression_tokens=2000).audio_in == 1500 + 500
    assert count_tokens(**given, prompt_tokens=500, compression_tokens=4250).audio_in == 1500 + 3750
    # A call that is too short for half a reply has one.
    brief = count_tokens(**given | {"call_secs": 6.0}, prompt_tokens=500, compression_tokens=2000)
    assert (brief.audio_in, brief.text_in, brief.audio_out) == (150, 500, 75)


def test_the_curve_ends_where_it_first_misses_its_bar() -> None:
    assert CURVE.best is STEPS[1]
    assert not CURVE.is_open
    only = Curve("x", "y", 2, STEPS[1:2])
    assert only.is_open
    # Measured on two cores: half of it for each.
    plan = make_plan(Demand(20, 0), only, Assumptions(reserve=0, cores_per_machine=1), PRICES)
    assert plan.calls_per_core == 20
    assert plan.memory_per_machine_bytes == 50 * MB + 20 * 2 * MB


@pytest.mark.parametrize(
    ("demand", "curve", "assumed", "message"),
    [
        (Demand(10, 20_000), CURVE, Assumptions(), r"10 calls at once make at most 14,400 .* need at least --calls 14"),
        (Demand(10, 10), Curve("d.json", "", 1, STEPS[2:3]), Assumptions(), "no step of d.json is within its pass bar"),
        (Demand(10, 10), CURVE, Assumptions(reserve=0.99), "a reserve of 0.99 leaves no call on a core"),
    ],
)
def test_what_cannot_be_planned_says_why(demand: Demand, curve: Curve, assumed: Assumptions, message: str) -> None:
    with pytest.raises(Impossible, match=message):
        make_plan(demand, curve, assumed, PRICES)


def make_row(calls: int, p95_ms: float, *, server: str = "Trunkline") -> Row:
    """A row as the bench makes it: 10 ms of CPU and 2 MB a call."""
    values: dict[str, Any] = {field.name: None for field in fields(Row)}
    values |= {"server": server, "runs": 3, "is_collapsed": False, "flaws": (), "faults": ()}
    values |= {"calls": calls, "added_p95_ms": p95_ms, "cpu_ms": 10.0, "mb_for_each": 2.0, "failed_percent": 0.0}
    return Row(**values)


def write_curve(file: Path, *rows: Row, idle_mb: float = 100.0) -> Path:
    """A file as `cli.py bench density` writes it, with what each run knows of memory."""
    write_json(file, [], rows, {"cores": 1, "calls": [row.calls for row in rows]})
    document = json.loads(file.read_text(encoding="utf-8"))
    assert "mb_idle" in {field.name for field in fields(StepFigures)}
    document["runs"] = [
        {"server": row.server, "calls": row.calls, "mb_idle": idle_mb + more} for row in rows for more in (-9, 0, 1)
    ]
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


@pytest.fixture
def curve_file(tmp_path: Path) -> Path:
    """Trunkline carries 41 calls, another server 400."""
    rows = [make_row(1, 20), make_row(41, 50), make_row(80, 61), make_row(400, 10, server="bare bridge")]
    return write_curve(tmp_path / "density.json", *rows)


def run_plan(file: Path, *options: str, calls: str = "100", minutes: str = "12000") -> Result:
    asked = ["plan", "--calls", calls, "--minutes-per-day", minutes, "--curve", str(file), *options]
    return CliRunner().invoke(app, asked)


def test_the_curve_is_read_as_the_bench_writes_it(curve_file: Path) -> None:
    curve = read_curve(curve_file)
    assert (curve.source, curve.cores) == ("density.json", 1)
    assert curve.measured.startswith("20")
    assert [(step.calls, step.has_passed) for step in curve.steps] == [(1, True), (41, True), (80, False)]
    assert curve.best == Step(41, True, 50, 10, idle_bytes=100 * MB, bytes_per_call=2 * MB)


def test_the_plan_on_paper(curve_file: Path) -> None:
    done = run_plan(curve_file, "--assume", "call_minutes=2", "--assume", "spare_machines=0")
    assert done.exit_code == 0, done.output
    lines = {line[2:28].strip(): line[28:].split() for line in done.output.splitlines() if line.startswith("  ")}
    assert lines["measured on one core"][:2] == ["41", "calls"]
    assert lines["planned for one core"][:2] == ["30", "calls"]
    assert (lines["processes"][0], lines["machines or pods"][0]) == ("4", "2")
    assert lines["memory of each"][:2] == ["0.32", "GB"]
    assert lines["calls begin, at the peak"][:3] == ["0.83", "a", "second"]
    assert lines["conversations at once"][0] == "100"
    assert float(lines["together"][0].replace(",", "")) > 0
    # Everything that was assumed is said, with the name by which it can be changed.
    assert {name: lines[name][0] for name in ("call_minutes", "reserve")} == {"call_minutes": "2", "reserve": "0.25"}
    assert lines.keys() >= set(Assumptions.model_fields)


def test_limits_that_are_not_enough_are_said(curve_file: Path) -> None:
    assert "ask Google for" not in run_plan(curve_file).output
    much = run_plan(curve_file, "--assume", "outgoing=1", calls="3000").output
    assert "a project of Vertex AI has 1,000: ask Google for 3.0 times that" in much
    assert "ask Twilio for more CPS" in much


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--assume", "reserve"], "--assume reserve: write it as NAME=VALUE, for example reserve=0.3"),
        (["--assume", "reserve=1"], "--assume reserve: must be < 1 (got '1')"),
        (["--assume", "reserve=much"], "--assume reserve: must be a number (got 'much')"),
        (["--assume", "reserv=0.3"], "--assume reserv: no such assumption; did you mean 'reserve'?"),
        (["--assume", "reserve=0", "--assume", "reserve=0.1"], "--assume reserve is given twice; keep one of them"),
        (["--minutes-per-day", "inf"], "--minutes-per-day inf: give a number of minutes"),
        (["--calls", "3"], "3 calls at once make at most 4,320 minutes a day"),
        (["--curve", "/nowhere.json"], "/nowhere.json: cannot be read (No such file or directory); measure one with"),
    ],
)
def test_a_wrong_question_gets_one_line_and_exit_code_2(curve_file: Path, options: list[str], message: str) -> None:
    done = run_plan(curve_file, *options)
    assert done.exit_code == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(message)


@pytest.mark.parametrize("option", ["--calls=0", "--calls=1.5", "--minutes-per-day=-1", "--minutes-per-day=nan"])
def test_a_number_that_is_none_is_refused(curve_file: Path, option: str) -> None:
    assert run_plan(curve_file, option).exit_code == 2


def test_a_file_that_is_no_curve_says_what_it_lacks(tmp_path: Path) -> None:
    file = tmp_path / "density.json"
    for text, message in (
        ("{", "invalid JSON"),
        ("[]", "density.json: .*must be a mapping|object"),
        ('{"rows": []}', "density.json: made_at: is missing; measure one with"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(BadCurve, match=message):
            read_curve(file)
    with pytest.raises(BadCurve, match="rows: has no step of Trunkline"):
        read_curve(write_curve(file, make_row(5, 5, server="bare bridge")))
