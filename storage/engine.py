"""One database by URL: SQLite in a file or PostgreSQL, behind the same two doors, `reader` and `writer`.

SQLite takes one writer at a time. All writers of this process therefore queue for one connection, in WAL mode, so that
readers never wait for them; writers of other processes wait `busy_timeout`.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal, cast

from loguru import logger
from sqlalchemy import event, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from storage import schema
from storage.errors import BadDatabaseUrl, DatabaseAway, is_away
from storage.json_text import dump_json
from storage.key_ring import KeyRing
from storage.known_keys import unlock
from storage.sealing import RING
from telemetry import metrics

_BUSY_TIMEOUT_MS = 5_000
_SCRUB_TRIES = 20
_RETRY_SECS = 0.5
_SAY_SO_EVERY_SECS = 5.0
_ATTEMPT_SECS = 5.0
# How long a writer may queue for SQLite's one connection: longer than any busy_timeout of the writer ahead of it.
_QUEUE_SECS = 60.0
# A peer that vanished without a word is noticed within about 20 s, not after the kernel's default of two hours.
_POSTGRES_ARGS: dict[str, Any] = {
    "application_name": "trunkline",
    # Any other zone makes the driver read that zone's file, on the event loop.
    "options": "-c timezone=UTC",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
}


class Database:
    """A database, not yet connected.

    Args:
        url: `sqlite+aiosqlite:///relative/or//absolute/file.db` or `postgresql+psycopg://user:password@host/name`;
            the bare `sqlite:` and `postgresql:` are understood too. `?timeout=` sets how many seconds SQLite waits for
            another process's lock.
        ring: the keys of what is private in it; None for an errand that touches nothing private.

    Raises:
        BadDatabaseUrl: the URL cannot be read, names another kind of database, or a SQLite that lives in memory
            (its two doors would open on two different databases).
    """

    def __init__(self, url: str, ring: KeyRing | None = None) -> None:
        self._url = _parse_url(url)
        self.ring = ring or KeyRing()
        self.kind: Literal["sqlite", "postgresql"] = (
            "sqlite" if self._url.drivername.startswith("sqlite") else "postgresql"
        )
        self._engines: _Engines | None = None

    @property
    def safe_url(self) -> str:
        """The URL without its password, fit for a log or a terminal."""
        hidden = {key: "***" for key in self._url.query if "password" in key}
        return self._url.update_query_dict(hidden).render_as_string(hide_password=True)

    async def connect(self, wait_secs: float) -> None:
        """Wait until the database answers; the log says so when it does not at once.

        Args:
            wait_secs: how long to wait; 0 asks once.

        Raises:
            DatabaseAway: it did not answer in time.
        """
        deadline = time.monotonic() + wait_secs
        may_say_at = 0.0
        if self._engines is None:
            # Loads the driver and looks at the file system: not on the event loop.
            self._engines = await asyncio.to_thread(_Engines, self._url, self.kind, self.ring)
        while True:
            try:
                async with asyncio.timeout(max(min(deadline - time.monotonic(), _ATTEMPT_SECS), _RETRY_SECS)):
                    await self._try_once()
                return
            except TimeoutError:
                problem = "no answer"
            except OSError as error:
                problem = str(error)
            except Exception as error:
                if not is_away(error):
                    raise
                problem = _first_line(error)
            now = time.monotonic()
            if now >= deadline:
                raise DatabaseAway(
                    f"The database {self.safe_url} did not answer within {wait_secs:g} s ({problem}). "
                    "Start it, or correct TRUNKLINE_DATABASE_URL."
                )
            if now >= may_say_at:
                may_say_at = now + _SAY_SO_EVERY_SECS
                logger.bind(database=self.safe_url, problem=problem, seconds_left=round(deadline - now)).warning(
                    "waiting for the database"
                )
            await asyncio.sleep(min(_RETRY_SECS, deadline - now))

    async def migrate(self) -> None:
        """Bring the schema up to date; of several processes starting at once one does it and the others wait.

        Then see that the keys of everything sealed in it are there, and make those that it has never had.

        Raises:
            DatabaseAhead: a newer version of Trunkline wrote this database.
            DatabaseAway: the database went away meanwhile.
            SealingError: a key is missing or wrong, so that something in it could not be read.
        """
        # Alembic is synchronous and reads its scripts from disk: not on the event loop.
        with self._naming_absence():
            await asyncio.to_thread(schema.upgrade, self._url)
        if self.ring.is_usable:
            await unlock(self, self.ring)

    async def count_pending_migrations(self) -> int:
        """Count what `migrate` would do; changes nothing.

        Raises:
            DatabaseAhead: a newer version of Trunkline wrote this database.
            DatabaseAway: the database does not answer.
        """
        with self._naming_absence():
            return await asyncio.to_thread(schema.count_pending, self._url)

    @asynccontextmanager
    async def writer(self) -> AsyncGenerator[AsyncSession]:
        """Open a transaction that is committed at the end of the block, or rolled back when the block raises.

        Never keep it open across anything but statements: on SQLite every other writer waits for it.

        Raises:
            DatabaseAway: the database does not answer, or the file stayed locked by another process. Whether the
                transaction was committed is then unknown, so what is written must be safe to repeat.
        """
        with _timed("write"), self._naming_absence():
            async with self._opened().writers() as session, session.begin():
                yield session

    @asynccontextmanager
    async def reader(self) -> AsyncGenerator[AsyncSession]:
        """Open a read-only transaction: one consistent view; both databases refuse to write in it.

        Raises:
            DatabaseAway: the database does not answer.
        """
        with _timed("read"), self._naming_absence():
            async with self._opened().readers() as session:
                yield session

    @asynccontextmanager
    async def holding(self, lock_id: int) -> AsyncGenerator[bool]:
        """Yield whether nobody else holds this lock, which is then ours for the length of the block.

        PostgreSQL's advisory lock, for all machines on it: a connection is kept for it, and with that it is lost. A
        SQLite file belongs to one machine, whose processes lock a file of their own: there it is always ours.

        Raises:
            DatabaseAway: the database does not answer.
        """
        if self.kind == "sqlite":
            yield True
            return
        async with self._opened().writers() as session:
            with self._naming_absence():
                # No transaction: one that stays open for minutes would keep the database from cleaning up.
                connection = await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
                lock = text("SELECT pg_try_advisory_lock(:id)").bindparams(id=lock_id)
                is_ours = bool((await connection.execute(lock)).scalar())
            try:
                yield is_ours
            finally:
                if is_ours:
                    with contextlib.suppress(DBAPIError):  # a connection that broke has let go of it
                        await connection.execute(text("SELECT pg_advisory_unlock(:id)").bindparams(id=lock_id))

    async def ping(self, timeout_secs: float = 2.0) -> None:
        """Ask the database for one answer.

        Raises:
            DatabaseAway: there was none within `timeout_secs`.
        """
        try:
            async with asyncio.timeout(timeout_secs), self.reader() as session:
                await (await session.connection()).execute(text("SELECT 1"))
        except TimeoutError as error:
            raise DatabaseAway(f"The database {self.safe_url} did not answer within {timeout_secs:g} s.") from error

    async def is_writable(self) -> bool:
        """Return whether a transaction that writes may begin; nothing is changed.

        Raises:
            DatabaseAway: the database does not answer, or the file stayed locked by another process.
        """
        try:
            async with self.writer() as session:
                connection = await session.connection()  # on SQLite the lock of writers is taken by now
                if self.kind == "sqlite":
                    return True
                found = await connection.execute(text("SHOW transaction_read_only"))
                return str(found.scalar()) == "off"
        except OperationalError:
            return False

    async def scrub(self) -> None:
        """See to it that what was deleted is in no file any more, as far as that is for us to do.

        SQLite has overwritten it in its file, and its log is emptied here, unless somebody is reading in it for long;
        PostgreSQL's own vacuum does it in its time.

        Raises:
            DatabaseAway: the database does not answer.
        """
        if self.kind != "sqlite":
            return
        for _ in range(_SCRUB_TRIES):
            with self._naming_absence():
                is_busy = await self._empty_log()
            if not is_busy:
                return
            await asyncio.sleep(_RETRY_SECS)
        logger.warning("somebody reads in the database's log for long: what was deleted leaves it with the next write")

    async def _empty_log(self) -> bool:
        """Write SQLite's log into its file and empty it; True when somebody was in the way."""
        # Past SQLAlchemy, which would begin a transaction: none may be open.
        async with self._opened().writer.connect() as connection:
            raw = await connection.get_raw_connection()
            assert raw.driver_connection is not None, "it was just taken from the pool"
            async with raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)") as cursor:
                (is_busy, *_) = await cursor.fetchone()
        return bool(is_busy)

    async def close(self) -> None:
        """Close every connection. The object may not be used afterwards."""
        if self._engines is not None:
            await self._engines.reader.dispose()
            await self._engines.writer.dispose()

    async def _try_once(self) -> None:
        if self.kind == "sqlite":
            file = Path(cast(str, self._url.database))
            await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)
        # The writer first: it creates SQLite's file and turns WAL on, which a reader may not.
        for engine in (self._opened().writer, self._opened().reader):
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

    def _opened(self) -> "_Engines":
        if self._engines is None:
            raise RuntimeError("Database.connect() comes first.")
        return self._engines

    def _naming_absence(self) -> "_NamingAbsence":
        return _NamingAbsence(self.safe_url)


class _Engines:
    """Both doors' engines; PostgreSQL's are two views of one pool."""

    def __init__(self, url: URL, kind: Literal["sqlite", "postgresql"], ring: KeyRing) -> None:
        self.writer, self.reader = _make_sqlite(url) if kind == "sqlite" else _make_postgres(url)
        info = {RING: ring}
        self.writers = async_sessionmaker(self.writer, class_=AsyncSession, expire_on_commit=False, info=info)
        self.readers = async_sessionmaker(self.reader, class_=AsyncSession, expire_on_commit=False, info=info)


@contextmanager
def _timed(operation: Literal["read", "write"]) -> Generator[None]:
    """Measure a transaction, however it ends."""
    began = time.monotonic()
    try:
        yield
    except DatabaseAway:
        metrics.DATABASE_AWAY_TOTAL.inc()
        raise
    finally:
        metrics.DATABASE_SECONDS.labels(operation=operation).observe(time.monotonic() - began)


class _NamingAbsence:
    """Turns the many faces of an absent database into DatabaseAway; anything else passes."""

    def __init__(self, safe_url: str) -> None:
        self._safe_url = safe_url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and not isinstance(error, DatabaseAway) and is_away(error):
            raise DatabaseAway(f"The database {self._safe_url} does not answer ({_first_line(error)}).") from error


def _parse_url(text_url: str) -> URL:
    try:
        url = make_url(text_url)
    except ArgumentError:
        raise BadDatabaseUrl(
            "The database URL cannot be read; write sqlite+aiosqlite:///file.db or postgresql+psycopg://..."
        ) from None
    match url.drivername:
        case "sqlite" | "sqlite+aiosqlite":
            if not url.database or ":memory:" in url.database or "mode" in url.query:
                raise BadDatabaseUrl("SQLite needs a file here, not memory: sqlite+aiosqlite:///data/trunkline.db")
            return url.set(drivername="sqlite+aiosqlite")
        case "postgres" | "postgresql" | "postgresql+psycopg":
            return url.set(drivername="postgresql+psycopg")
        case other:
            raise BadDatabaseUrl(f"{other} is not supported; use sqlite+aiosqlite or postgresql+psycopg.")


def _make_sqlite(url: URL) -> tuple[AsyncEngine, AsyncEngine]:
    writer = create_async_engine(
        url, pool_size=1, max_overflow=0, pool_timeout=_QUEUE_SECS, hide_parameters=True, json_serializer=dump_json
    )
    reader = create_async_engine(url, pool_size=5, max_overflow=5, hide_parameters=True, json_serializer=dump_json)
    # IMMEDIATE takes the write lock at once and so waits for it; a lock taken half-way through cannot be waited for.
    busy = () if "timeout" in url.query else (f"busy_timeout={_BUSY_TIMEOUT_MS}",)
    _prepare_sqlite(
        writer, (*busy, "journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON"), begin="BEGIN IMMEDIATE"
    )
    _prepare_sqlite(
        reader,
        (
            *busy,
            "query_only=ON",
        ),
        begin="BEGIN",
    )
    return writer, reader


def _prepare_sqlite(engine: AsyncEngine, pragmas: tuple[str, ...], *, begin: str) -> None:
    def prepare(connection: DBAPIConnection, _record: object) -> None:
        # The driver would otherwise begin transactions by itself, and never IMMEDIATE ones.
        cast(Any, connection).isolation_level = None
        cursor = connection.cursor()
        for pragma in (*pragmas, "foreign_keys=ON", "temp_store=MEMORY"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", prepare)
    event.listen(engine.sync_engine, "begin", begin_transaction)


def _make_postgres(url: URL) -> tuple[AsyncEngine, AsyncEngine]:
    engine = create_async_engine(
        url,
        pool_size=10,
        max_overflow=10,
        pool_timeout=30,
        pool_pre_ping=True,
        hide_parameters=True,
        json_serializer=dump_json,
        connect_args={key: value for key, value in _POSTGRES_ARGS.items() if key not in url.query},
    )
    return engine, engine.execution_options(postgresql_readonly=True)


def _first_line(error: BaseException) -> str:
    original = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines()
    return lines[0] if lines else type(original).__name__
