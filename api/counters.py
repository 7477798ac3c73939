"""Counters that end by themselves: in Redis, where all processes see them, or in this process's memory."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import islice
from typing import TypeVar

from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.errors import StorageError
from loguru import logger

_Result = TypeVar("_Result")

_PATIENCE_SECS = 0.25
"""How long Redis is waited for: a request that it holds up is answered by memory instead."""
_ASK_AGAIN_SECS = 5.0
_TIDY_EVERY_SECS = 1.0
_TIDY_AT_ONCE = 5_000
"""So many of the oldest are looked at, in a millisecond; what has ended and is still there counts no more."""
MOST_IN_MEMORY = 50_000
"""How many counters memory has at most, less than 20 MB: whoever comes from ever new addresses makes ever new ones."""

Storage = MemoryStorage | RedisStorage


class TidyMemory(MemoryStorage):
    """limits' storage in memory, which looks for what has ended once a second, and not once with each request.

    Otherwise each request would look at what is kept of every address, on the loop that voices are on. When there
    are more counters than there may be, the oldest are forgotten: to refuse new addresses would keep out everybody.
    """

    def __init__(self, most: int = MOST_IN_MEMORY) -> None:
        """Take how many counters there may be."""
        super().__init__()
        # Goes by age, as a dict does, but finds the first one at once when many before it are gone.
        self.expirations: dict[str, float] = OrderedDict()
        self._most = most
        self._tidied_at = 0.0
        self._is_told = False

    async def _MemoryStorage__schedule_expiry(self) -> None:  # noqa: N802 - the name that Python gives the private one
        while len(self.expirations) >= self._most:
            self._forget(next(iter(self.expirations)))
            if not self._is_told:
                self._is_told = True
                logger.bind(counters=self._most).warning(
                    "requests come from more addresses than can be counted in memory: the oldest counts are forgotten"
                )
        now = time.monotonic()
        if now - self._tidied_at < _TIDY_EVERY_SECS:
            return
        self._tidied_at = now
        moment = time.time()
        oldest = islice(self.expirations.items(), _TIDY_AT_ONCE)
        for key in [key for key, ends_at in oldest if ends_at <= moment]:
            self._forget(key)

    def _forget(self, key: str) -> None:
        self.storage.pop(key, None)
        self.expirations.pop(key, None)
        self.locks.pop(key, None)


class Counters:
    """Asks Redis, and memory while Redis does not answer: nobody is refused and nobody waits because it is away."""

    def __init__(self, redis_url: str | None) -> None:
        """Take Redis's URL; without one everything is in memory."""
        self._memory = TidyMemory()
        self._redis = None if redis_url is None else _redis(redis_url)
        self._ask_again_at = 0.0
        self._is_away = False

    async def ask(self, question: Callable[[Storage], Awaitable[_Result]]) -> _Result:
        """Return what the question finds; it may be put to Redis first and then to memory."""
        if self._redis is None or time.monotonic() < self._ask_again_at:
            return await question(self._memory)
        try:
            async with asyncio.timeout(_PATIENCE_SECS):
                found = await question(self._redis)
        except (StorageError, TimeoutError, OSError) as error:
            self._ask_again_at = time.monotonic() + _ASK_AGAIN_SECS
            if not self._is_away:
                self._is_away = True
                problem = type(error.__cause__ or error).__name__
                logger.bind(problem=problem).warning("Redis is away: requests are counted in memory until it answers")
            return await question(self._memory)
        if self._is_away:
            self._is_away = False
            logger.info("Redis answers again: requests are counted there")
        return found

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._redis is not None:
            bridge = self._redis.bridge
            assert isinstance(bridge, RedispyBridge)
            await bridge.storage.aclose()


@asynccontextmanager
async def open_counters(redis_url: str | None) -> AsyncGenerator[Counters]:
    """Yield counters for the length of the block."""
    counters = Counters(redis_url)
    try:
        yield counters
    finally:
        await counters.close()


def _redis(url: str) -> RedisStorage:
    scheme, _, rest = url.partition("://")
    known = {"unix": "async+redis+unix", "redis": "async+redis", "rediss": "async+rediss"}
    return RedisStorage(
        f"{known[scheme]}://{rest}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="trunkline",
        socket_timeout=_PATIENCE_SECS,
        socket_connect_timeout=_PATIENCE_SECS,
    )
