"""The keys that everything private is sealed with: whether they are there, for whom, and whether one is missing."""

import asyncio

from config.settings import Settings
from doctor.findings import Finding, ok, problem
from storage.engine import Database
from storage.envelope import SealingError
from storage.errors import BadDatabaseUrl, DatabaseAhead, DatabaseAway
from storage.key_ring import KEY_FILE, KeyRing
from storage.known_keys import check, read_known

_WAIT_SECS = 3.0
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


async def _read_known(settings: Settings) -> dict[str, str]:
    """Return the keys that the database knows; none of one that cannot be asked, which has a line of its own."""
    try:
        db = Database(settings.database_url)
    except BadDatabaseUrl:
        return {}
    try:
        await db.connect(_WAIT_SECS)
        return {} if await db.count_pending_migrations() else await read_known(db)
    except (DatabaseAway, DatabaseAhead):
        return {}
    finally:
        await db.close()
