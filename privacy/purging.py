"""The purge as a job of the server: once an hour, one process at a time, of all machines on one database."""

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from loguru import logger

from config.privacy import Retention
from privacy.retention import Purge
from storage.agents_in_force import AgentsInForce
from storage.errors import DatabaseAway
from transcripts.bucket import BucketAway

_EVERY_SECS = 3600.0
_FIRST_AFTER_SECS = 60.0
AUDIT = "audit"
"""What the entries of the audit log are counted as, beside the parts of calls."""

Retentions = Callable[[], Awaitable[Mapping[str, Retention]]]
"""What the agents say now, by name."""


@asynccontextmanager
async def purging(
    purge: Purge, retentions: Retentions, data_dir: Path, *, first_after_secs: float = _FIRST_AFTER_SECS
) -> AsyncGenerator[None]:
    """Remove what has expired, for the length of the block."""

    async def run() -> None:
        await asyncio.sleep(first_after_secs)
        while True:
            try:
                await purge_once(purge, retentions, data_dir, now=datetime.now(UTC))
            except (DatabaseAway, BucketAway, OSError) as error:
                logger.bind(problem=str(error)).warning("what has expired cannot all be removed now")
            except Exception:
                logger.exception("removing what has expired failed by a fault of the server; the next hour tries again")
            await asyncio.sleep(_EVERY_SECS)

    task = asyncio.create_task(run(), name="remove what has expired")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def retentions_of(agents: AgentsInForce) -> dict[str, Retention]:
    """Return what the agents of files and of the database say now."""
    return {agent.name: agent.retention for agent in (await agents.current()).agents}


async def purge_once(purge: Purge, retentions: Retentions, data_dir: Path, *, now: datetime) -> dict[str, int] | None:
    """Remove what has expired by `now` (aware); returns the counts, None when somebody else is at it.

    That is another process with this folder, or another machine on the same PostgreSQL: two at once would count
    everything twice, and now and then lock each other out.
    """
    with _only_one(data_dir) as is_mine:
        if not is_mine:
            return None
        async with purge.alone() as is_alone:
            if not is_alone:
                return None
            return await _purge(purge, retentions, now)


async def _purge(purge: Purge, retentions: Retentions, now: datetime) -> dict[str, int]:
    counts = await purge.run(await purge.in_force(await retentions()), now)
    counts[AUDIT] = await purge.run_audit(now)
    if any(counts.values()):
        logger.bind(**counts).info("what had expired was removed")
    return counts


@contextmanager
def _only_one(data_dir: Path) -> Generator[bool]:
    file = os.open(data_dir / "purge.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        yield False
        return
    try:
        yield True
    finally:
        os.close(file)
