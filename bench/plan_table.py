"""A plan as text, for somebody who has never planned one: every figure with what it comes from."""

from collections.abc import Iterator

from bench.plan import HOURS_PER_MONTH, Assumptions, Demand, Plan
from bench.plan_curve import Curve
from config.prices import PriceTable

_NAME, _FIGURE = 26, 18
_GB = 1e9


def render_plan(plan: Plan, demand: Demand, curve: Curve, assumed: Assumptions, table: PriceTable) -> str:
    """Lay the plan out: servers, Twilio, Gemini, a month's bill, and everything that was assumed."""
    parts = [
        f"A plan for {demand.calls:,} calls at once and {demand.minutes_per_day:,g} minutes of calls a day\n",
        "Servers",
        *_servers(plan, demand, curve, assumed),
        "\nTwilio",
        *_twilio(plan, demand, assumed, table),
        "\nGemini",
        *_gemini(plan, assumed, table),
        "\nCost a month, in US dollars",
        *_costs(plan, demand, assumed),
        "\nAssumed (change one with --assume NAME=VALUE)",
        *_assumed(assumed),
        f"\nPrices and limits: config/prices.yaml, each with its page and its date (the oldest: {table.oldest}).",
        "Not in the bill: rent of numbers, taxes, volume discounts, transfers, traffic, the database and its disk;",
        "nor, at Gemini, transcripts, thoughts and tool calls.",
    ]
    return "\n".join(parts)


def _servers(plan: Plan, demand: Demand, curve: Curve, assumed: Assumptions) -> Iterator[str]:
    best = curve.best
    assert best is not None  # or there would be no plan
    per_core = best.calls / curve.cores
    least = "at least " if curve.is_open else ""
    yield _row(
        "measured on one core",
        f"{per_core:,g} calls",
        f"{least}that many pass, with p95 {best.delay_p95_ms:.0f} ms of added delay",
    )
    yield _row("", "", f"{curve.source}, {curve.measured}")
    yield _row(
        "planned for one core", f"{plan.calls_per_core:,} calls", f"{assumed.reserve:.0%} of it left free (reserve)"
    )
    yield _row("processes", f"{plan.processes:,}", f"{demand.calls:,} / {plan.calls_per_core:,}; one on each core")
    needed = plan.machines - assumed.spare_machines
    yield _row(
        "machines or pods",
        f"{plan.machines:,}",
        f"{needed:,} of {assumed.cores_per_machine} cores (cores_per_machine), {assumed.spare_machines} spare",
    )
    yield _row(
        "memory of each",
        f"{plan.memory_per_machine_bytes / _GB:,.2f} GB",
        f"a process {best.idle_bytes / curve.cores / 1e6:,.0f} MB, a call {best.bytes_per_call / 1e6:,.1f} MB; "
        "the system itself not counted",
    )
    yield _row("CPU at the peak", f"{plan.cpu_share:.0%}", f"{best.cpu_ms_per_call_sec:.1f} ms for a second of a call")


def _twilio(plan: Plan, demand: Demand, assumed: Assumptions, table: PriceTable) -> Iterator[str]:
    limit = table.facts.twilio_outgoing_calls_per_sec.value
    yield _row(
        "calls begin, at the peak",
        f"{plan.starts_per_sec:,.2f} a second",
        f"{demand.calls:,} calls of {assumed.call_minutes:g} minutes (call_minutes), on average",
    )
    placed = plan.outgoing_starts_per_sec
    verdict = (
        f"within an account's default of {limit:g} a second"
        if placed <= limit
        else f"more than an account's default of {limit:g} a second: ask Twilio for more CPS, or they wait in its queue"
    )
    yield _row("of them placed by us", f"{placed:,.2f} a second", f"{verdict}; calls that come in are not limited")
    yield _row(
        "calls at once", f"{demand.calls:,}", "without limit for an account with an approved business profile only"
    )


def _gemini(plan: Plan, assumed: Assumptions, table: PriceTable) -> Iterator[str]:
    facts, tokens = table.facts, plan.call_tokens
    yield _row(
        "conversations at once", f"{plan.sessions:,}", _against(plan.sessions, facts.gemini_sessions_per_project.value)
    )
    yield _row(
        "tokens a minute, peak",
        _count(plan.tokens_per_minute),
        _against(plan.tokens_per_minute, facts.gemini_tokens_per_minute.value),
    )
    per_day = plan.calls_per_day
    for what, each, why in (
        ("audio heard", tokens.heard, f"{facts.gemini_audio_tokens_per_sec.value:g} tokens a second, silence included"),
        ("audio in, billed", tokens.audio_in, "each reply is billed for all the audio before it again"),
        ("text in, billed", tokens.text_in, "the instructions, with each reply"),
        (
            "audio out, billed",
            tokens.audio_out,
            f"the agent speaks {assumed.agent_talks:.0%} of the time (agent_talks)",
        ),
    ):
        month = each * per_day * assumed.days_per_month
        yield _row(what, f"{_count(each * per_day)} a day", f"{_count(month)} a month; {why}")


def _costs(plan: Plan, demand: Demand, assumed: Assumptions) -> Iterator[str]:
    for cost in plan.costs:
        yield _row(cost.what, f"{cost.usd:,.0f}", f"{cost.amount:,.0f} {cost.unit} at {cost.usd_each:g}")
    minutes = demand.minutes_per_day * assumed.days_per_month
    each = f"{plan.usd_per_month / minutes:.4f} a minute of calls" if minutes else "no calls"
    yield _row("together", f"{plan.usd_per_month:,.0f}", f"{each}; machines run {HOURS_PER_MONTH:g} hours")
    yield _row(
        "", "", f"a day's minutes are {plan.peak_hours:.1f} hours of the peak; minutes are rounded up for each call"
    )


def _assumed(assumed: Assumptions) -> Iterator[str]:
    for name, field in Assumptions.model_fields.items():
        yield _row(name, f"{getattr(assumed, name):g}", field.description or "")


def _against(needed: float, limit: float) -> str:
    allowed = f"a project of Vertex AI has {_count(limit)}"
    return allowed if needed <= limit else f"{allowed}: ask Google for {needed / limit:.1f} times that"


def _count(number: float) -> str:
    for size, unit in ((1e9, " billion"), (1e6, " million")):
        if number >= size:
            return f"{number / size:,.3g}{unit}" if number < 1000 * size else f"{number / size:,.0f}{unit}"
    return f"{number:,.0f}"


def _row(name: str, figure: str, why: str) -> str:
    return f"  {name:<{_NAME}}{figure:>{_FIGURE}}  {why}".rstrip()
