"""Copies of databases, made while calls run, and databases made of them. Everything blocks.

SQLite is copied by itself (`VACUUM INTO`: one moment of it, without the free pages that may still hold what was
deleted), PostgreSQL by its own programs, `pg_dump` and `pg_restore`.
"""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import NullPool, create_engine, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError

from storage import schema

_BUSY_SECS = 60.0
_AWAY = "the database does not answer; start it, or correct TRUNKLINE_DATABASE_URL"


class CannotCopy(Exception):
    """The database could not be copied or filled; the message has the cure."""


def sqlite_file(database_url: str) -> Path | None:
    """Return the file of a SQLite database; None for PostgreSQL."""
    url = make_url(database_url)
    return Path(url.database) if url.drivername.startswith("sqlite") and url.database else None


def copy_sqlite(file: Path, copy: Path) -> None:
    """Copy a database that may be in use, as it is at this moment; `copy` is not there yet. Raises `CannotCopy`."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=rw", uri=True, timeout=_BUSY_SECS)) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
    except sqlite3.Error as error:
        raise CannotCopy(f"{file} could not be copied ({error})") from error


def dump_postgres(database_url: str, copy: Path, tools: Path | None) -> None:
    """Copy a database with `pg_dump`, as it is at this moment. `tools`: their folder; None: they are on the path.

    Raises `CannotCopy`.
    """
    _run(database_url, tools, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={copy}")


def fill_postgres(database_url: str, copy: Path, tools: Path | None) -> None:
    """Fill an empty database from a copy, all of it or nothing. Raises `CannotCopy`."""
    options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
    _run(database_url, tools, "pg_restore", *options, str(copy))


def has_tables(database_url: str) -> bool:
    """Return whether there is anything of ours in a database. Raises `CannotCopy` when it does not answer."""
    engine = create_engine(_plain(database_url), poolclass=NullPool, hide_parameters=True)
    try:
        with engine.connect() as connection:
            return inspect(connection).has_table("calls")
    except OperationalError as error:
        raise CannotCopy(_AWAY) from error
    finally:
        engine.dispose()


def find_revision(database_url: str) -> str | None:
    """Return which migration a database is at. Raises `CannotCopy` when it does not answer."""
    try:
        return schema.find_revision(_plain(database_url))
    except OperationalError as error:
        raise CannotCopy(_AWAY) from error


def _plain(database_url: str) -> URL:
    url = make_url(database_url)
    return url.set(drivername="sqlite") if url.drivername.startswith("sqlite") else url


def _run(database_url: str, tools: Path | None, tool: str, *arguments: str) -> None:
    url = make_url(database_url)
    command = str(tools / tool) if tools is not None else tool
    # The password goes by the environment: arguments can be read by everybody on the machine.
    shown = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    try:
        done = subprocess.run(
            [command, f"--dbname={shown}", *arguments],
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "PGPASSWORD": url.password or "",
                "PGAPPNAME": "trunkline backup",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise CannotCopy(
            f"{command} cannot be run ({error.strerror}); install PostgreSQL's client programs, or name their folder "
            "with --pg-tools"
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CannotCopy(f"{tool} failed: {last}")
