"""What models used outside of conversations, on its way to the database: whoever tells of it never waits."""

from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from loguru import logger

from aftercall.ledger import Ledger, Usage
from storage.errors import DatabaseAway

_MOST = 10_000
"""Hours without a database, at as many sentences as a model can read."""


class ToldUsage:
    """Keeps what it is told until it is written. Implements `pipelines.sentence_usage.TellUsage`."""

    def __init__(self, ledger: Ledger, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Take what writes it down, and a clock: a day's costs are those told on it (UTC)."""
        self._ledger, self._now = ledger, now
        self._waiting: deque[tuple[Usage, datetime]] = deque(maxlen=_MOST)

    def __call__(
        self, agent_name: str, source: str, model: str, usage: Mapping[str, Any], call_id: str | None = None
    ) -> None:
        """Keep what one message says was used by `source`, in its provider's words; instant."""
        self._waiting.append((Usage(agent_name, source, model, usage, call_id), self._now()))

    async def write(self) -> None:
        """Write down what waits. Raises `DatabaseAway`: the rest waits on."""
        while self._waiting:
            first = self._waiting.popleft()
            try:
                await self._ledger.note(*first)
            except DatabaseAway:
                self._waiting.appendleft(first)
                raise

    async def close(self) -> None:
        """Write down what waits, or say what is lost."""
        try:
            await self.write()
        except DatabaseAway:
            logger.bind(messages=len(self._waiting)).warning("what sentences have used is lost: the database is away")
