"""Where things are kept: the data folder and the database."""

import asyncio
import tempfile
from pathlib import Path

from config.settings import Settings
from doctor.findings import Finding, ok, problem
from storage.engine import Database
from storage.errors import BadDatabaseUrl, DatabaseAhead, DatabaseAway

_WAIT_SECS = 3.0


async def check_data_folder(folder: Path) -> Finding:
    """Write a file and take it away again."""
    try:
        await asyncio.to_thread(_write, folder)
    except OSError as error:
        return problem(
            "data folder", f"{folder} cannot be written ({error.strerror}); make it writable, or set TRUNKLINE_DATA_DIR"
        )
    return ok("data folder", f"{folder} can be written")


async def check_database(settings: Settings) -> Finding:
    """Ask the database for an answer and for its migrations; nothing is migrated here."""
    try:
        db = Database(settings.database_url)
    except BadDatabaseUrl as error:
        return problem("database", f"{error}; correct TRUNKLINE_DATABASE_URL")
    try:
        await db.connect(_WAIT_SECS)
        pending = await db.count_pending_migrations()
        is_writable = await db.is_writable()
    except (DatabaseAway, DatabaseAhead) as error:
        return problem("database", str(error))
    finally:
        await db.close()
    if not is_writable:
        cure = "give the server's user the right to write, or name the primary in TRUNKLINE_DATABASE_URL"
        return problem("database", f"it answers, and takes no changes; {cure}")
    kind = "SQLite" if db.kind == "sqlite" else "PostgreSQL"
    if pending:
        return ok("database", f"{kind} answers; its tables are brought up to date at the next start ({pending} steps)")
    return ok("database", f"{kind} answers and is up to date")


def _write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"?")
        file.flush()
