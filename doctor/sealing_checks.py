"""The keys that everything private is sealed with: whether they are there, for whom, and whether one is missing.

And whether anything stands in the clear where everything was sealed.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from config.settings import Settings
from doctor.findings import Finding, ok, problem
from storage.engine import Database
from storage.envelope import SealingError
from storage.errors import BadDatabaseUrl, DatabaseAhead, DatabaseAway
from storage.key_ring import KEY_FILE, KeyRing
from storage.known_keys import check, read_known
from storage.sealing_rows import find_clear_rows

_WAIT_SECS = 3.0
_READ_SECS = 30.0
_SHOWN_ROWS = 3
_ROWS = "sealed rows"
_WHAT = "sealing keys"


async def check_sealing_keys(settings: Settings) -> Finding:
    """Read the keys, and hold them against those that the database was sealed with; nothing is made here."""
    try:
        ring = await asyncio.to_thread(KeyRing.load, settings)
        known = await _read_known(settings)
        check(ring, known)
    except SealingError as error:
        return problem(_WHAT, str(error))
    if not ring.key_ids:
        where = settings.data_dir / KEY_FILE
        return ok(
            _WHAT, f"none yet; the first start makes one in {where}. Copy it elsewhere then: nothing is read without"
        )
    current, count = ring.current.key_id, len(ring.key_ids)
    told = f"{count} {'key' if count == 1 else 'keys'}, the current one is {current}"
    left = sorted(key_id for key_id in known if key_id != current)
    if left:
        told += f"; something is still sealed with {', '.join(left)}: run `cli.py sealing rotate`"
    if ring.file is None:
        return ok(_WHAT, f"from TRUNKLINE_SEALING_KEYS: {told}")
    return ok(
        _WHAT, f"generated in {ring.file}, for its owner only: {told}. Keep a copy elsewhere: nothing is read without"
    )


async def check_sealed_rows(settings: Settings, *, read_secs: float = _READ_SECS) -> Finding:
    """Look for values in the clear in tables that were sealed wholly; a large database is read for `read_secs`."""
    try:
        async with asyncio.timeout(read_secs), _asking(settings) as db:
            if db is None:
                return ok(_ROWS, "not looked for: the database cannot be asked yet")
            count, places = await find_clear_rows(db, _SHOWN_ROWS)
    except TimeoutError:
        return ok(_ROWS, f"not all were read within {read_secs:g} s; `cli.py sealing status` reads all of them")
    except DatabaseAway as error:
        return problem(_ROWS, str(error))
    if not count:
        return ok(_ROWS, "nothing stands in the clear where everything was sealed")
    more = f" and {count - len(places)} more" if count > len(places) else ""
    return problem(
        _ROWS,
        f"in the clear where everything was sealed: {'; '.join(places)}{more}. This program did not write them, "
        "and it refuses them; restore these rows from a backup or delete them (docs/sealing.md)",
    )


async def _read_known(settings: Settings) -> dict[str, str]:
    """Return the keys that the database knows; none of one that cannot be asked."""
    try:
        async with _asking(settings) as db:
            return {} if db is None else await read_known(db)
    except DatabaseAway:
        return {}


@asynccontextmanager
async def _asking(settings: Settings) -> AsyncGenerator[Database | None]:
    """Open the database for a question; None for one that cannot be asked, which has a line of its own."""
    try:
        db = Database(settings.database_url)
    except BadDatabaseUrl:
        yield None
        return
    try:
        await db.connect(_WAIT_SECS)
        is_asked = not await db.count_pending_migrations()
    except (DatabaseAway, DatabaseAhead):
        is_asked = False
    try:
        yield db if is_asked else None
    finally:
        await db.close()
