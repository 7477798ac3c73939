"""Every byte that a server has kept, searched for what nobody may find there: files, and every table as text."""

import base64
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url


def find_leaks(private: Iterable[str], sources: Iterable[tuple[str, bytes]]) -> list[str]:
    """Return `name: text` for each private text that a source has, as it is, as JSON writes it, or in base64."""
    spellings = [(text, spelling) for text in dict.fromkeys(private) for spelling in _spell(text)]
    return sorted({
        f"{name}: {text}" for name, content in sources for text, spelling in spellings if spelling in content
    })  # fmt: skip


def files_below(folder: Path, *, without: Iterable[str] = ()) -> Iterator[tuple[str, bytes]]:
    """Read every file, whatever it is, but for folders of these names."""
    skipped = set(without)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not skipped & set(path.relative_to(folder).parts):
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def tables_of(url: str) -> Iterator[tuple[str, bytes]]:
    """Read every row of every table of a database, DBOS's and Alembic's too, as text."""
    parsed = make_url(url)
    if parsed.drivername.startswith("sqlite"):
        with closing(sqlite3.connect(f"file:{parsed.database}?mode=ro", uri=True)) as database:
            names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in names:
                yield name, str(database.execute(f'SELECT * FROM "{name}"').fetchall()).encode()
        return
    plain = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:
        of_others = "('pg_catalog', 'information_schema')"
        tables = connection.execute(f"SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN {of_others}")
        for schema, name in tables.fetchall():
            rows = connection.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(schema, name)))
            yield f"{schema}.{name}", str(rows.fetchall()).encode()


def _spell(text: str) -> list[bytes]:
    plain = text.encode()
    # A text within what was encoded begins at any of three places of a group; the groups at its ends are not its own.
    within = [base64.b64encode(b"\0" * shift + plain)[4:-4] for shift in range(3)]
    return [plain, json.dumps(text)[1:-1].encode(), *(each for each in within if len(each) > 7)]
