"""From a measured density curve, a load and a price table to servers, quotas and money. Pure."""

from dataclasses import dataclass
from math import ceil, floor

from pydantic import BaseModel, ConfigDict, Field

from bench.plan_curve import Curve
from bench.plan_tokens import CallTokens, count_tokens
from config.prices import PriceTable

HOURS_PER_MONTH = 730.0
MINUTES_PER_DAY = 1440
# Calls end anywhere within their last minute, which is counted whole: half a minute more for each, on average.
_ROUNDING_MINUTES = 0.5


class Assumptions(BaseModel):
    """What nobody told us; each is printed with the plan, and can be overridden."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    call_minutes: float = Field(default=3, gt=0, le=240, description="how long a call lasts on average")
    agent_talks: float = Field(default=0.5, ge=0, le=1, description="share of a call in which the agent speaks")
    replies_per_minute: float = Field(default=4, gt=0, le=60, description="how often the agent replies")
    prompt_tokens: int = Field(default=1000, ge=0, description="instructions and tools of the agent, in tokens")
    compression_tokens: int = Field(
        default=104_858, gt=0, description="context at which Gemini drops its older half: 80 % of its window"
    )
    outgoing: float = Field(default=0, ge=0, le=1, description="share of the calls that the server places")
    reserve: float = Field(default=0.25, ge=0, lt=1, description="part of each core that stays free at the peak")
    cores_per_machine: int = Field(default=2, ge=1, description="cores of a machine or pod, a process on each")
    spare_machines: int = Field(default=1, ge=0, description="machines more than the peak needs")
    days_per_month: float = Field(default=30, gt=0, le=31, description="days with that many minutes")


@dataclass(frozen=True)
class Demand:
    """The load: calls at once at the peak, and minutes of calls in a day."""

    calls: int
    minutes_per_day: float


class Impossible(ValueError):
    """No plan fits this load or this curve; the text says why, and what to do."""


@dataclass(frozen=True)
class Cost:
    """A line of the month's bill: `amount` units at `usd_each`."""

    what: str
    amount: float
    unit: str
    usd_each: float

    @property
    def usd(self) -> float:
        """US dollars a month."""
        return self.amount * self.usd_each


@dataclass(frozen=True)
class Plan:
    """What a load needs; memory in bytes, money in US dollars a month.

    Attributes:
        calls_per_core: what was measured, less the reserve.
        processes: one a core, at least as many as the peak needs.
        machines: spare ones included.
        memory_per_machine_bytes: with every core of it full up to the reserve.
        cpu_share: of all cores at the peak, 0 to 1.
        peak_hours: how long a day the peak would have to last to make the day's minutes.
        starts_per_sec: calls that begin at the peak, on average.
        outgoing_starts_per_sec: those of them that Twilio is asked to place.
        sessions: conversations with Gemini at once.
        call_tokens: what Gemini counts for one call.
        tokens_per_minute: what it counts at the peak, in and out.
        calls_per_day: how many calls the day's minutes are.
        costs: the month's bill.
    """

    calls_per_core: int
    processes: int
    machines: int
    memory_per_machine_bytes: float
    cpu_share: float
    peak_hours: float
    starts_per_sec: float
    outgoing_starts_per_sec: float
    sessions: int
    call_tokens: CallTokens
    tokens_per_minute: float
    calls_per_day: float
    costs: tuple[Cost, ...]

    @property
    def usd_per_month(self) -> float:
        """The whole bill."""
        return sum(cost.usd for cost in self.costs)


def make_plan(demand: Demand, curve: Curve, assumed: Assumptions, table: PriceTable) -> Plan:
    """Work out what the demand needs.

    Raises:
        Impossible: more minutes than the calls at once can make in a day, or a curve on which nothing passed.
    """
    if demand.minutes_per_day > demand.calls * MINUTES_PER_DAY:
        least = ceil(demand.minutes_per_day / MINUTES_PER_DAY)
        raise Impossible(
            f"{demand.calls} calls at once make at most {demand.calls * MINUTES_PER_DAY:,} minutes a day; "
            f"{demand.minutes_per_day:,g} minutes need at least --calls {least}, and more when the night is quiet"
        )
    best = curve.best
    if best is None:
        raise Impossible(f"no step of {curve.source} is within its pass bar, so a core carries no call; measure again")
    calls_per_core = floor(best.calls / curve.cores * (1 - assumed.reserve))
    if calls_per_core < 1:
        raise Impossible(f"a reserve of {assumed.reserve:g} leaves no call on a core; choose a smaller one")
    processes = ceil(demand.calls / calls_per_core)
    machines = ceil(processes / assumed.cores_per_machine) + assumed.spare_machines
    starts_per_sec = demand.calls / (assumed.call_minutes * 60)
    tokens = count_tokens(
        call_secs=assumed.call_minutes * 60,
        replies_per_minute=assumed.replies_per_minute,
        agent_talks=assumed.agent_talks,
        prompt_tokens=assumed.prompt_tokens,
        compression_tokens=assumed.compression_tokens,
        audio_tokens_per_sec=table.facts.gemini_audio_tokens_per_sec.value,
    )
    counted = tokens.audio_in + tokens.text_in + tokens.audio_out
    full_process_bytes = best.idle_bytes / curve.cores + calls_per_core * best.bytes_per_call
    return Plan(
        calls_per_core=calls_per_core,
        processes=processes,
        machines=machines,
        memory_per_machine_bytes=assumed.cores_per_machine * full_process_bytes,
        cpu_share=demand.calls * best.cpu_ms_per_call_sec / 1000 / (machines * assumed.cores_per_machine),
        peak_hours=demand.minutes_per_day / demand.calls / 60,
        starts_per_sec=starts_per_sec,
        outgoing_starts_per_sec=starts_per_sec * assumed.outgoing,
        sessions=demand.calls,
        call_tokens=tokens,
        tokens_per_minute=demand.calls * counted / assumed.call_minutes,
        calls_per_day=demand.minutes_per_day / assumed.call_minutes,
        costs=_costs(demand, assumed, table, tokens, machines),
    )


def _costs(
    demand: Demand, assumed: Assumptions, table: PriceTable, tokens: CallTokens, machines: int
) -> tuple[Cost, ...]:
    calls = demand.minutes_per_day / assumed.call_minutes * assumed.days_per_month
    minutes = calls * (assumed.call_minutes + _ROUNDING_MINUTES)
    million = calls / 1_000_000
    core_hours = machines * assumed.cores_per_machine * HOURS_PER_MONTH
    prices = table.prices
    lines = (
        Cost("Twilio, incoming calls", minutes * (1 - assumed.outgoing), "minutes", prices.twilio_incoming_call.usd),
        Cost("Twilio, outgoing calls", minutes * assumed.outgoing, "minutes", prices.twilio_outgoing_call.usd),
        Cost("Twilio, media streams", minutes, "minutes", prices.twilio_media_stream.usd),
        Cost("Gemini, audio in", million * tokens.audio_in, "million tokens", prices.gemini_audio_in.usd),
        Cost("Gemini, text in", million * tokens.text_in, "million tokens", prices.gemini_text_in.usd),
        Cost("Gemini, audio out", million * tokens.audio_out, "million tokens", prices.gemini_audio_out.usd),
        Cost("Machines", core_hours, "core hours", prices.core.usd),
    )
    return tuple(line for line in lines if line.amount)
