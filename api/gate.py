"""What the doors look at besides keys: tokens, how often somebody asks, how often he was wrong."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from loguru import logger
from starlette.requests import HTTPConnection

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
    warned: list[str] = field(default_factory=list[str])

    async def note_failure(self, connection: HTTPConnection, address: str) -> None:
        """Count a wrong key, token or secret; say once that a proxy is in front which nobody has named."""
        await self.logins.note_failure(address)
        peer = None if connection.client is None else connection.client.host
        if peer == address and "x-forwarded-for" in connection.headers and not self.warned:
            self.warned.append("proxy")
            logger.warning(
                "requests come through a proxy that TRUNKLINE_TRUSTED_PROXIES does not name: all that come through it "
                "are one address, and wrong keys of one keep out the others"
            )


@asynccontextmanager
async def open_gate(settings: Settings, secret: bytes, now: Callable[[], float]) -> AsyncGenerator[Gate]:
    """Yield the gate for the length of the block. `secret` is the server's own, `now` Unix time."""
    async with open_counters(settings.redis_url) as counters:
        logins = Logins(counters, settings.max_failed_logins)
        yield Gate(Tokens(secret, now), RateLimits(settings, counters), logins)
