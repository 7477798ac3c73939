"""How often somebody may ask, and how long somebody waits who tries keys that are none."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from api.addresses import neighbourhood
from api.asking import Bucket
from api.counters import Counters, Storage
from config.settings import Settings
from telemetry import metrics

_KEYS_OF_AN_ADDRESS = 4
"""Behind one address there may be several keys; so much more it may ask than one of them."""
_REMEMBERED_SECS = 3600
_LONGEST_WAIT_SECS = 300


class TooManyRequests(Exception):
    """Too many requests in one minute. Wait as long as Retry-After says, then ask again."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        """Take the headers that say how long to wait."""
        super().__init__()
        self.headers = headers


class TooManyFailures(Exception):
    """Too many wrong keys, tokens or secrets from this address. Wait as long as Retry-After says, then ask again."""

    def __init__(self, wait_secs: int) -> None:
        """Take how long to wait."""
        super().__init__()
        self.headers = {"Retry-After": str(wait_secs)}


class RateLimits:
    """Counts requests by key and by address, in one bucket for each kind, over the last minute."""

    def __init__(self, settings: Settings, counters: Counters) -> None:
        """Take how many there may be, and what counts them."""
        self._counters = counters
        self._most = {
            Bucket.READS: settings.max_reads_per_minute,
            Bucket.WRITES: settings.max_writes_per_minute,
            Bucket.DIALS: settings.max_dials_per_minute,
        }
        self._most_keyless = settings.max_keyless_per_minute

    async def count(self, bucket: Bucket, key_id: str, address: str) -> Mapping[str, str]:
        """Count one request; returns the headers that tell how many more there may be.

        Args:
            bucket: what it is.
            key_id: who asks; empty: somebody without a key, who is counted by the address alone.
            address: where from.

        Raises:
            TooManyRequests: one more than there may be; it is not counted.
        """
        most = self._most[bucket]
        asked = [("address", neighbourhood(address), most * _KEYS_OF_AN_ADDRESS)]
        asked += [("key", key_id, most)] if key_id else []
        told: Mapping[str, str] = {}
        for kind, who, limit in asked:
            try:
                told = await self._count(f"{bucket}/{kind}/{who}", limit)
            except TooManyRequests:
                metrics.RATE_LIMITED_TOTAL.labels(limit=f"{bucket} by {kind}").inc()
                raise
        return told

    async def count_keyless(self, address: str) -> Mapping[str, str]:
        """Count one request that showed no good key, by its address alone; returns and raises as `count`."""
        try:
            return await self._count(f"keyless/{neighbourhood(address)}", self._most_keyless)
        except TooManyRequests:
            metrics.RATE_LIMITED_TOTAL.labels(limit="keyless by address").inc()
            raise

    async def _count(self, what: str, limit: int) -> Mapping[str, str]:
        item = RateLimitItemPerMinute(limit)

        async def hit(storage: Storage) -> tuple[bool, int, float]:
            limiter = SlidingWindowCounterRateLimiter(storage)
            may = await limiter.hit(item, what)
            stats = await limiter.get_window_stats(item, what)
            return may, stats.remaining, stats.reset_time

        may, remaining, reset_at = await self._counters.ask(hit)
        wait_secs = max(1, math.ceil(reset_at - time.time()))
        headers = {
            "RateLimit-Limit": str(limit),
            "RateLimit-Remaining": str(max(0, remaining) if may else 0),
            "RateLimit-Reset": str(wait_secs),
        }
        if not may:
            raise TooManyRequests(headers | {"Retry-After": str(wait_secs)})
        return headers


@dataclass(frozen=True, slots=True)
class Logins:
    """Who gave a wrong key, token or secret, by address: after the first few each one costs twice the time.

    `most_failures`: how many are free within an hour.
    """

    counters: Counters
    most_failures: int

    async def check(self, address: str) -> None:
        """Raise `TooManyFailures` while the address has to wait; nothing that it gives is looked at then."""
        wait = f"login-wait/{neighbourhood(address)}"

        async def look(storage: Storage) -> float:
            return await storage.get_expiry(wait) - time.time() if await storage.get(wait) else 0.0

        left_secs = await self.counters.ask(look)
        if left_secs > 0:
            metrics.RATE_LIMITED_TOTAL.labels(limit="logins").inc()
            raise TooManyFailures(math.ceil(left_secs))

    async def note_failure(self, address: str) -> None:
        """Count a wrong key, token or secret of this address."""
        who = neighbourhood(address)

        async def count(storage: Storage) -> None:
            failures = await storage.incr(f"login-failures/{who}", _REMEMBERED_SECS)
            over = failures - self.most_failures
            if over >= 0:
                await storage.incr(f"login-wait/{who}", min(2 ** min(over, 20), _LONGEST_WAIT_SECS))

        await self.counters.ask(count)
