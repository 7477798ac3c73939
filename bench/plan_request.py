"""`cli.py plan`: what the command line says, read and turned into the plan's text."""

import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bench.plan import Assumptions, Demand, Impossible, make_plan
from bench.plan_curve import BadCurve, read_curve
from bench.plan_table import render_plan
from config.prices import PRICES_FILE, PriceErrors, load_prices
from config.wording import describe, suggest


class CannotPlan(Exception):
    """Something that was asked for, or a file it leans on, cannot be used; the text says what, and the cure."""


def plan_text(
    calls: int, minutes_per_day: float, assume: Sequence[str], curve_file: Path, prices_file: Path = PRICES_FILE
) -> str:
    """Plan for `calls` at once and `minutes_per_day`, from the files' curve and prices.

    Args:
        calls: calls at once at the peak, at least 1.
        minutes_per_day: minutes of calls in a day, at least 0.
        assume: NAME=VALUE for each assumption to be replaced.
        curve_file: JSON as `cli.py bench density` writes it.
        prices_file: YAML as config/prices.yaml.

    Raises:
        CannotPlan: one line for each thing that is wrong.
    """
    if not math.isfinite(minutes_per_day):
        raise CannotPlan(f"--minutes-per-day {minutes_per_day:g}: give a number of minutes")
    assumed = read_assumptions(assume)
    demand = Demand(calls, minutes_per_day)
    try:
        curve, table = read_curve(curve_file), load_prices(prices_file)
        return render_plan(make_plan(demand, curve, assumed, table), demand, curve, assumed, table)
    except (BadCurve, PriceErrors, Impossible) as error:
        raise CannotPlan(str(error)) from error


def read_assumptions(pairs: Sequence[str]) -> Assumptions:
    """The assumptions, with those replaced that `pairs` names as NAME=VALUE.

    Raises:
        CannotPlan: no such name, no value, or one out of range; a line for each.
    """
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise CannotPlan(f"--assume {pair}: write it as NAME=VALUE, for example reserve=0.3")
        if name in values:
            raise CannotPlan(f"--assume {name} is given twice; keep one of them")
        values[name] = value
    try:
        return Assumptions.model_validate(values)
    except ValidationError as error:
        raise CannotPlan(
            "\n".join(_explain(str(line["loc"][-1]), *_reason(line)) for line in error.errors())
        ) from error


def _reason(line: ErrorDetails) -> tuple[str, str]:
    if line["type"] == "extra_forbidden":
        return "no such assumption", suggest(str(line["loc"][-1]), Assumptions.model_fields)
    return describe(line)


def _explain(name: str, message: str, cure: str) -> str:
    return f"--assume {name}: {message}; {cure}" if cure else f"--assume {name}: {message}"
