"""The server's own figure of how late its event loop is, from its `/metrics`; baselines have none."""

import asyncio
import re
from dataclasses import dataclass
from urllib.request import ProxyHandler, build_opener

_NAME = "trunkline_loop_lag_seconds"
_BUCKET = re.compile(rf'^{_NAME}_bucket{{(?:.*,)?le="([^"]+)".*}} (\S+)$', re.MULTILINE)
_TIMEOUT_SECS = 5.0


@dataclass(frozen=True)
class LoopLag:
    """Counts of a Prometheus histogram, cumulated: upper bound in seconds -> how many were at most that late."""

    counts: dict[float, float]

    def since(self, earlier: "LoopLag") -> "LoopLag":
        """What was added after an earlier reading."""
        return LoopLag({bound: count - earlier.counts.get(bound, 0.0) for bound, count in self.counts.items()})

    def quantile_ms(self, share: float) -> float | None:
        """The upper bound of the bucket that this share of the readings is within; None when there are none."""
        total = self.counts.get(float("inf"), 0.0)
        if total <= 0:
            return None
        return min(bound for bound, count in self.counts.items() if count >= share * total) * 1000


def read_lag(metrics: str) -> LoopLag:
    """Read the histogram from Prometheus text; processes and labels are added up, and none gives no counts."""
    counts: dict[float, float] = {}
    for bound, count in _BUCKET.findall(metrics):
        counts[float(bound)] = counts.get(float(bound), 0.0) + float(count)
    return LoopLag(counts)


async def fetch_lag(port: int) -> LoopLag:
    """Ask the server on 127.0.0.1; no counts when it has no such page."""
    return await asyncio.to_thread(_fetch, port)


def _fetch(port: int) -> LoopLag:
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=_TIMEOUT_SECS) as answer:
            return read_lag(answer.read().decode())
    except OSError:  # HTTPError is one
        return LoopLag({})
