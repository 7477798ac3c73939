"""Closes the calls of processes that are proven dead, and gives this process's own sign of life.

There are two proofs. A lock file on this machine that can be taken; else a sign of life in the database that this
process itself has watched, unchanged, for three minutes in which the database always answered. So neither a clock that
is wrong nor a database that was away is taken for a death.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol

from loguru import logger

from storage.errors import DatabaseAway
from transcripts.backlog import Backlog
from transcripts.instance import InstanceLocks
from transcripts.models import CallRow
from transcripts.outcomes import count_end
from transcripts.owners import Owners

_SWEEP_SECS = 10.0
_DEAD_AFTER_SECS = 180.0
# Between two looks no more than this may pass, or nobody knows what happened in between: the watch begins anew.
_LONGEST_GAP_SECS = 60.0

OnClosed = Callable[[list[CallRow]], Awaitable[None]]
"""Is told the calls that a sweep has closed, with their rows as they are now."""


class OtherWork(Protocol):
    """What processes hold besides calls. Both raise DatabaseAway, and may then be repeated."""

    async def list_executors(self) -> set[str]:
        """Name the processes that hold some, dead or alive."""
        ...

    async def take_over(self, executor: str) -> None:
        """Have what a dead process held done by a living one; any number may ask."""
        ...


class DeathWatch:
    """Which processes have given no sign of life for three minutes of uninterrupted watching."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[datetime | None, float]] = {}
        self._looked_at = float("-inf")

    def look(self, signs: Mapping[str, datetime | None], now_secs: float) -> set[str]:
        """Take the latest sign of each process in question; returns those that are dead. `now_secs` is monotonic."""
        if now_secs - self._looked_at > _LONGEST_GAP_SECS:
            self._seen.clear()
        self._looked_at = now_secs
        kept = {name: self._seen[name] for name in signs if name in self._seen and self._seen[name][0] == signs[name]}
        self._seen = {name: kept.get(name, (sign, now_secs)) for name, sign in signs.items()}
        return {name for name, (_, since_secs) in self._seen.items() if now_secs - since_secs >= _DEAD_AFTER_SECS}

    def interrupt(self) -> None:
        """Forget everything: for a while nothing could be seen."""
        self._seen.clear()


class Sweeper:
    """One for each process.

    Args:
        name: this process's own name.
        owners: who holds what.
        locks: the locks of this data folder.
        backlog: what processes that have ended could not write; it is written before their calls are judged.
        other_work: what else they hold; whoever is found dead is relieved of it too.
        ringing_secs: a call that has rung for longer than this was never connected.
    """

    def __init__(
        self,
        name: str,
        owners: Owners,
        locks: InstanceLocks,
        backlog: Backlog,
        other_work: OtherWork | None = None,
        *,
        ringing_secs: float,
    ) -> None:
        self._name = name
        self._owners = owners
        self._locks = locks
        self._backlog = backlog
        self._other_work = other_work
        self._ringing_secs = ringing_secs
        self._watch = DeathWatch()
        self._on_closed: OnClosed | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._is_away = False

    async def sweep(self, now_secs: float) -> list[CallRow]:
        """Close every call that nobody holds, and return their rows. `now_secs` is monotonic.

        Raises:
            DatabaseAway: not everything could be done; it may be repeated.
            OSError: the data folder cannot be read.
        """
        await self._backlog.take_in()
        owners = await self._owners.list_owners()
        executors = set[str]() if self._other_work is None else await self._other_work.list_executors()
        names = (owners | executors | await asyncio.to_thread(self._locks.names)) - {self._name}
        closed: list[CallRow] = []
        dead = sorted(await self._find_dead(names, now_secs))
        for name in dead:
            calls = await self._owners.close_calls_of(name) if name in owners else []
            logger.bind(owner=name, calls=len(calls)).warning("a server process is gone; its calls are closed")
            closed += self._report(calls)
        for name in dead:
            if self._other_work is not None:
                await self._other_work.take_over(name)
            # Not before nothing is left in its name: until then its lock is the proof.
            await asyncio.to_thread(self._locks.bury, name)
        return closed + self._report(await self._owners.close_abandoned(datetime.now(UTC), self._ringing_secs))

    async def close_calls_if_dead(self, name: str) -> bool:
        """Close the calls of one process now, if its lock proves that it is dead. Returns whether it does.

        Raises as `sweep` does.
        """
        if name == self._name or await asyncio.to_thread(self._locks.is_alive, name) is not False:
            return False
        await self._backlog.take_in()
        self._report(await self._owners.close_calls_of(name))
        return True

    def _report(self, closed: list[CallRow]) -> list[CallRow]:
        # At once, and not at the sweep's end: the database may go away in between.
        for row in closed:
            count_end(row.end_reason, row.agent_name)
            logger.bind(call_id=row.call_id, owner=row.owner, reason=row.end_reason).warning("call closed by a sweep")
        if closed and self._on_closed is not None:
            # Whoever is told may take his time; the signs of life may not wait for him.
            telling = asyncio.create_task(_tell(self._on_closed, closed), name="tell of closed calls")
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)
        return closed

    @asynccontextmanager
    async def sweeping(self, on_closed: OnClosed | None = None) -> AsyncGenerator[None]:
        """Sweep at once and from then on, and give signs of life, for the length of the block."""
        self._on_closed = on_closed
        running = asyncio.create_task(self._run(), name="sweeper")
        try:
            yield
        finally:
            for task in (running, *self._telling):
                task.cancel()
            await asyncio.gather(running, *self._telling, return_exceptions=True)

    async def _find_dead(self, names: set[str], now_secs: float) -> set[str]:
        alive = {name: await asyncio.to_thread(self._locks.is_alive, name) for name in names}
        signs = await self._owners.read_signs({name for name in names if alive[name] is None})
        unproven = {name: sign.heartbeat_at for name, sign in signs.items() if not sign.has_ended}
        said_so = set(signs) - set(unproven)
        return {name for name in names if alive[name] is False} | said_so | self._watch.look(unproven, now_secs)

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep(time.monotonic())
                await self._owners.beat(self._name)
                self._note(None)
            except (DatabaseAway, OSError) as error:
                self._note(error)
            except Exception:
                logger.exception("a sweep failed by a fault of the server; the next one tries again")
            await asyncio.sleep(_SWEEP_SECS)

    def _note(self, problem: Exception | None) -> None:
        if problem is not None:
            self._watch.interrupt()
            if not self._is_away:
                logger.bind(problem=str(problem)).warning("calls of dead processes cannot be looked for now")
        self._is_away = problem is not None


async def _tell(on_closed: OnClosed, closed: list[CallRow]) -> None:
    try:
        await on_closed(closed)
    except Exception:
        logger.exception("closed calls could not be told of")
