"""What the doors look at besides keys: tokens, how often somebody asks, how often he was wrong."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from api.counters import open_counters
from api.rate_limits import Logins, RateLimits
from api.tokens import Tokens
from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Gate:
    """All of it."""

    tokens: Tokens
    rates: RateLimits
    logins: Logins


@asynccontextmanager
async def open_gate(settings: Settings, secret: bytes, now: Callable[[], float]) -> AsyncGenerator[Gate]:
    """Yield the gate for the length of the block. `secret` is the server's own, `now` Unix time."""
    async with open_counters(settings.redis_url) as counters:
        logins = Logins(counters, settings.max_failed_logins)
        yield Gate(Tokens(secret, now), RateLimits(settings, counters), logins)
