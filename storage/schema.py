"""The schema's history: bring a database up to date under a lock, and compare it with what the code declares."""

import sqlite3
from pathlib import Path
from typing import Any, cast

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from loguru import logger
from sqlalchemy import MetaData, NullPool, create_engine, event, text
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection

from storage.errors import DatabaseAhead

_SCRIPTS = Path(__file__).parent / "migrations"
# Any number will do as long as every version uses the same one: it names this lock among a server's advisory locks.
_LOCK_ID = 7_283_940_115
_LOCK_WAIT_SECS = 120
# Since this revision SQLite overwrites what it deletes; what versions before deleted still stands in the file's gaps.
_OVERWRITES_SINCE = "0008"
_AHEAD = "The database was written by a newer version of Trunkline; run that one."


def upgrade(url: URL) -> None:
    """Apply every migration that the database lacks, all or none of them, while no other process does.

    Blocks; call it in a thread.

    Args:
        url: the application's own URL; its driver is exchanged for a synchronous one where needed.

    Raises:
        DatabaseAhead: the database has migrations that this code does not know.
        sqlalchemy.exc.OperationalError: the database does not answer.
    """
    is_sqlite = url.drivername.startswith("sqlite")
    engine = create_engine(url.set(drivername="sqlite") if is_sqlite else url, poolclass=NullPool, hide_parameters=True)
    if is_sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        with engine.begin() as connection:
            if not is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
            before = MigrationContext.configure(connection).get_current_revision()
            command.upgrade(_config(connection), "head")
            if is_sqlite and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()):
                raise RuntimeError(f"A migration left {len(broken)} rows that point nowhere; nothing was changed.")
    except CommandError as error:
        if "Can't locate revision" not in str(error):
            raise
        raise DatabaseAhead(_AHEAD) from error
    else:
        if is_sqlite and before is not None and before < _OVERWRITES_SINCE:
            _clean(engine)
    finally:
        engine.dispose()


def count_pending(url: URL) -> int:
    """Count the migrations that the database lacks; changes nothing. Blocks; call it in a thread.

    Raises:
        DatabaseAhead: the database has migrations that this code does not know.
        sqlalchemy.exc.OperationalError: the database does not answer.
    """
    is_sqlite = url.drivername.startswith("sqlite")
    engine = create_engine(url.set(drivername="sqlite") if is_sqlite else url, poolclass=NullPool, hide_parameters=True)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
            scripts = ScriptDirectory.from_config(_config(connection))
        if current is not None:
            scripts.get_revision(current)  # raises for one that this code does not know
        return sum(1 for _ in scripts.iterate_revisions("heads", current or "base"))
    except CommandError as error:
        if "Can't locate revision" not in str(error):
            raise
        raise DatabaseAhead(_AHEAD) from error
    finally:
        engine.dispose()


def find_revision(url: URL) -> str | None:
    """Return which migration a database is at; None for one that has none. `url` has a synchronous driver. Blocks.

    Raises sqlalchemy.exc.OperationalError when it does not answer.
    """
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def is_known(revision: str) -> bool:
    """Return whether this code knows a migration."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    try:
        ScriptDirectory.from_config(config).get_revision(revision)
    except CommandError:
        return False
    return True


def find_differences(connection: Connection, metadata: MetaData) -> list[Any]:
    """List what separates the database from the declared tables; empty when the migrations are complete.

    Compares tables, columns, types, nullability, indexes, unique and foreign keys. CHECK rules are not compared.
    """
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return cast(list[Any], compare_metadata(context, metadata))


def _clean(engine: Engine) -> None:
    """Write the file anew, without the gaps in which deleted rows of versions before still stand; once."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        cursor = connection.connection.cursor()
        try:
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as error:
            # A full disk, or another program that holds the file: no reason to take no calls.
            logger.bind(problem=str(error)).warning("deleted rows may still stand in the file's gaps; run VACUUM on it")
        finally:
            cursor.close()


def _config(connection: Connection) -> Config:
    config = Config()
    # ConfigParser reads % as its own; the folder may have one in its name.
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _prepare_sqlite(connection: DBAPIConnection, _record: object) -> None:
    cast(Any, connection).isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_LOCK_WAIT_SECS * 1000}")
    # SQLite changes a table by copying and dropping it; with the keys on, the drop would delete rows that point to it.
    cursor.execute("PRAGMA foreign_keys=OFF")
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # The lock: a second process waits here until the first has committed.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
