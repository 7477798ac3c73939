"""How a step went: what time it was, and what all sides had used, at each of its moments."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.cores import Cores
from bench.loop_lag import LoopLag
from bench.process_tree import Used, measure


@dataclass
class Course:
    """The moments of a step, by name: start, one (call is up), all, burst, burst over, end, after.

    Attributes:
        at: `time.monotonic()` of each.
        server: what the server and all its children had used by then; `model` and `callers` likewise.
        callers_lateness_ms: how late the callers' rounds were.
        lag: of the server's event loop.
        model_report: the model's own counts.
    """

    cores: Cores
    server_id: int = 0
    model_id: int = 0
    at: dict[str, float] = field(default_factory=dict[str, float])
    server: dict[str, Used] = field(default_factory=dict[str, Used])
    model: dict[str, Used] = field(default_factory=dict[str, Used])
    callers: dict[str, Used] = field(default_factory=dict[str, Used])
    callers_lateness_ms: list[float] = field(default_factory=list[float])
    lag: LoopLag = field(default_factory=lambda: LoopLag({}))
    model_report: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def note(self, moment: str) -> None:
        """Write down a moment."""
        self.at[moment] = time.monotonic()
        self.server[moment] = measure(self.server_id)
        self.model[moment] = measure(self.model_id)
        self.callers[moment] = _measure_self()

    def server_cpu_secs(self, first: str, last: str) -> float:
        """CPU that the server used between two moments."""
        return self.server[last].cpu_secs - self.server[first].cpu_secs

    def share(self, used: Mapping[str, Used]) -> float:
        """Share of a core that somebody used while all calls were up, the burst included."""
        secs = self.at["burst over"] - self.at["all"]
        return (used["burst over"].cpu_secs - used["all"].cpu_secs) / secs if secs > 0 else 0.0


def _measure_self() -> Used:
    """What this process has used, without its children: those have columns of their own."""
    times = os.times()
    return Used(times.user + times.system, 0)
