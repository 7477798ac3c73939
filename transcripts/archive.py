"""Everything that outlives a call, opened for one server process: database, store, log, and who closes what is left."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from loguru import logger

from config.settings import Settings
from storage.engine import Database
from storage.errors import DatabaseAway
from storage.key_ring import KeyRing
from storage.sealing_rows import keep_sealing
from storage.workflow_tables import WorkflowTables
from storage.workflows import Workflows
from transcripts.backlog import Backlog
from transcripts.instance import Instance, InstanceLocks, name_instance
from transcripts.log import LogWriter
from transcripts.owners import Owners
from transcripts.recording_keeper import RecordingKeeper
from transcripts.recording_store import RecordingStore
from transcripts.store import CallStore
from transcripts.sweeper import OnClosed, Sweeper

# No stream can come so long after its webhook, whatever the token's time is.
_RINGING_SECS = 300.0
_FAREWELL_SECS = 2.0


class BadDataFolder(Exception):
    """The data folder cannot be written. Make it writable, or correct TRUNKLINE_DATA_DIR."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What was opened. `sweeper` and `workflows` have yet to be started: `at_work`."""

    instance: Instance
    database: Database
    store: CallStore
    log_writer: LogWriter
    sweeper: Sweeper
    workflows: Workflows
    keys: KeyRing
    recordings: RecordingStore
    backlog: Backlog

    @asynccontextmanager
    async def at_work(self, on_closed: OnClosed) -> AsyncGenerator[None]:
        """Carry out durable work and sweep for the length of the block; `on_closed` is told of closed calls."""
        async with self.workflows.carrying_out(), self.sweeper.sweeping(on_closed):
            async with RecordingKeeper(self.recordings, self.store.find_statuses).keeping(), _sealing(self.database):
                yield


@asynccontextmanager
async def open_archive(settings: Settings) -> AsyncGenerator[Archive]:
    """Connect, bring the schema up to date, and register this process; at the end write what is left and sign off.

    Raises:
        DatabaseAway: the database does not answer in time.
        DatabaseAhead: a newer version wrote it.
        BadDatabaseUrl: it cannot be one of ours.
        BadDataFolder: the data folder cannot be written.
        SealingError: a key of what is sealed in the database is missing, or the keys cannot be used.
    """
    keys = await asyncio.to_thread(KeyRing.load, settings)
    instance, locks = name_instance(), InstanceLocks(settings.data_dir / "instances")
    db = Database(settings.database_url, keys)
    async with AsyncExitStack() as closing:
        closing.push_async_callback(db.close)
        await db.connect(settings.database_wait_secs)
        await db.migrate()
        store, owners = CallStore(db), Owners(db)
        await closing.enter_async_context(_registered(instance, locks, owners))
        backlog = Backlog(settings.data_dir / "log-backlog", instance.name, store)
        log = LogWriter(store, backlog)
        await log.start()
        closing.push_async_callback(log.close)
        ringing_secs = max(_RINGING_SECS, 2.0 * settings.stream_token_ttl_secs)
        workflows = Workflows(WorkflowTables(settings.database_url, settings.data_dir), instance.name)
        recordings = await asyncio.to_thread(RecordingStore.of, settings, keys)
        closing.callback(recordings.close)
        sweeper = Sweeper(instance.name, owners, locks, backlog, workflows, ringing_secs=ringing_secs)
        yield Archive(instance, db, store, log, sweeper, workflows, keys, recordings, backlog)


@asynccontextmanager
async def _sealing(db: Database) -> AsyncGenerator[None]:
    """Seal in the background what a version without seals has left."""
    sealing = asyncio.create_task(keep_sealing(db), name="sealing of old rows")
    try:
        yield
    finally:
        sealing.cancel()
        await asyncio.gather(sealing, return_exceptions=True)


@asynccontextmanager
async def _registered(instance: Instance, locks: InstanceLocks, owners: Owners) -> AsyncGenerator[None]:
    try:
        # The lock comes first: whoever finds the process in the database finds its lock too.
        lock = await asyncio.to_thread(locks.hold, instance.name)
    except OSError as error:
        raise BadDataFolder(f"{BadDataFolder.__doc__} ({error})") from error
    try:
        await owners.announce(instance)
        logger.bind(instance=instance.name).info("this process has its name")
        yield
    finally:
        has_signed_off = await _sign_off(instance, owners)
        await asyncio.to_thread(locks.release, instance.name, lock, is_proof_needed=not has_signed_off)


async def _sign_off(instance: Instance, owners: Owners) -> bool:
    try:
        async with asyncio.timeout(_FAREWELL_SECS):
            await owners.farewell(instance.name)
    except (DatabaseAway, TimeoutError):
        logger.bind(instance=instance.name).warning("the database does not know that this process has ended")
        return False
    return True
