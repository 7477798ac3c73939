"""Where durable work is kept, and what can be seen of it without starting what carries it out.

Beside SQLite it is a file of its own, for the tables have names of their own choosing; in PostgreSQL it is the schema
`dbos` of the same database.
"""

from pathlib import Path
from typing import Any, cast

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import ConnectionPoolEntry

_BUSY_TIMEOUT_MS = 30_000
_CONNECTIONS = 4
SCHEMA = "dbos"
_UNFINISHED = "('DELAYED', 'ENQUEUED', 'PENDING')"


class WorkflowTables:
    """The place, not opened before it is asked for. Everything blocks; call it in a thread."""

    def __init__(self, database_url: str, data_dir: Path) -> None:
        """Take the URL of the server's database and its data folder."""
        url = make_url(database_url)
        self._file = data_dir / "workflows.sqlite" if url.drivername.startswith("sqlite") else None
        if self._file is not None:
            self.url = f"sqlite:///{self._file}"
        else:
            self.url = url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        self._engine: Engine | None = None

    def has_unfinished(self) -> bool:
        """Whether any work waits or is being done, by whatever process."""
        return bool(self._read(f"SELECT 1 FROM {{table}} WHERE status IN {_UNFINISHED} LIMIT 1"))

    def list_executors(self) -> set[str]:
        """Name the processes that are doing work, dead or alive."""
        return set(self._read("SELECT DISTINCT executor_id FROM {table} WHERE status = 'PENDING'"))

    def engine(self) -> Engine:
        """The place's connections; the file's folder is made when it is not there."""
        if self._engine is None:
            if self._file is not None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
            self._engine = _make_engine(self.url, is_file=self._file is not None)
        return self._engine

    def close(self) -> None:
        """Close the connections; one that a thread still uses is closed when the thread is done with it."""
        if self._engine is not None:
            # It would be given back into a pool that nobody has any more, and stay open there.
            event.listen(self._engine.pool, "checkin", _close_connection)
            self._engine.dispose()
            self._engine = None

    def _read(self, query: str) -> list[str]:
        if self._file is not None and not self._file.exists():
            return []
        table = "workflow_status" if self._file is not None else f"{SCHEMA}.workflow_status"
        with self.engine().connect() as connection:
            if not _has_table(connection.dialect.name, connection):
                return []
            return [row[0] for row in connection.execute(text(query.format(table=table))) if row[0] is not None]


def _close_connection(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.invalidate()


def _has_table(dialect: str, connection: Any) -> bool:
    if dialect == "sqlite":
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'workflow_status'"
    else:
        query = f"SELECT 1 WHERE to_regclass('{SCHEMA}.workflow_status') IS NOT NULL"
    try:
        return connection.execute(text(query)).first() is not None
    except ProgrammingError:  # this role may not see the schema, and so has never used it
        return False


def _make_engine(url: str, *, is_file: bool) -> Engine:
    if not is_file:
        return create_engine(
            url,
            pool_size=_CONNECTIONS,
            max_overflow=_CONNECTIONS,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"application_name": "trunkline workflows", "connect_timeout": 5},
        )
    engine = create_engine(url, pool_size=_CONNECTIONS, max_overflow=_CONNECTIONS, hide_parameters=True)

    def prepare(connection: DBAPIConnection, _record: object) -> None:
        # A writer takes its lock at once, and waits for it, instead of failing half-way.
        cast(Any, connection).isolation_level = "IMMEDIATE"
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={_BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine, "connect", prepare)
    return engine
