"""API keys from the command line: the database opened for one errand, and what came of it as lines of text."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from config.settings import Settings
from storage.audit import COMMAND_LINE, AuditStore
from storage.errand import open_database
from storage.keys import KeyRow, KeyStore


@asynccontextmanager
async def open_keys(settings: Settings) -> AsyncGenerator[tuple[KeyStore, AuditStore]]:
    """Yield the keys and the audit log of the server with these settings.

    Raises `storage.errors` when its database cannot be used.
    """
    async with open_database(settings, is_unsealed=False) as database:
        yield KeyStore(database), AuditStore(database)


async def create_key(
    settings: Settings, name: str, scopes: Sequence[str], days: int | None, agents: Sequence[str] = ()
) -> str:
    """Make a key that is good for `days`, or for ever; returns what to print, with the key in it.

    `agents`: the only ones that it may see and use; none named: all. Raises `UnknownScope`, `BadKeyName`, and as
    `open_keys`.
    """
    now = datetime.now(UTC)
    expires_at = None if days is None else now + timedelta(days=days)
    async with open_keys(settings) as (keys, audit):
        new = await keys.create(name, scopes, now=now, expires_at=expires_at, agents=agents or None)
        detail = {"scopes": sorted(set(scopes)), "agents": sorted(set(agents)) or None}
        await audit.add(COMMAND_LINE, "keys.create", "key", new.key_id, at=now, detail=detail)
    return f"{new.text}\nThis is shown once. It is kept as a hash; revoke it with: cli.py keys revoke {new.key_id}"


async def rotate_key(settings: Settings, key_id: str, overlap_hours: float) -> str:
    """Give a key a new secret; returns what to print, with the key in it.

    Raises `NoSuchKey`, `KeyRevoked`, `KeyExpired`, and as `open_keys`.
    """
    now, overlap = datetime.now(UTC), timedelta(hours=overlap_hours)
    async with open_keys(settings) as (keys, audit):
        new = await keys.rotate(key_id, now=now, overlap=overlap)
        await audit.add(COMMAND_LINE, "keys.rotate", "key", key_id, at=now, detail={"overlap_hours": overlap_hours})
    return (
        f"{new.text}\nThis is shown once. The secret that it replaces is good until {now + overlap:%Y-%m-%d %H:%M} UTC."
    )


async def list_keys(settings: Settings) -> str:
    """Return a table of the keys, none of which can be used from it. Raises as `open_keys`."""
    async with open_keys(settings) as (keys, _):
        rows = await keys.list_keys()
    if not rows:
        return "there is no API key; make one with: cli.py keys create NAME --scope calls:write"
    now = datetime.now(UTC)
    table = [["id", "name", "scopes", "made", "last used", "state"], *(_cells(row, now) for row in rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(table[0]))]
    return "\n".join("  ".join(map(str.ljust, cells, widths)).rstrip() for cells in table)


async def revoke_key(settings: Settings, key_id: str) -> bool:
    """Revoke a key; False when there is none of that id. Raises as `open_keys`."""
    now = datetime.now(UTC)
    async with open_keys(settings) as (keys, audit):
        is_there = await keys.revoke(key_id, now=now)
        if is_there:
            await audit.add(COMMAND_LINE, "keys.revoke", "key", key_id, at=now)
        return is_there


def _cells(row: KeyRow, now: datetime) -> list[str]:
    state = "good"
    if row.revoked_at is not None:
        state = f"revoked {row.revoked_at:%Y-%m-%d}"
    elif row.expires_at is not None:
        state = f"{'expired' if row.expires_at <= now else 'good until'} {row.expires_at:%Y-%m-%d}"
    used = f"{row.last_used_at:%Y-%m-%d}" if row.last_used_at else "never"
    if row.agents is not None:
        state = f"{state}, only {', '.join(row.agents)}"
    if row.previous_until is not None and row.previous_until > now and row.revoked_at is None:
        state = f"{state}, old secret until {row.previous_until:%Y-%m-%d %H:%M}"
    return [row.key_id, row.name, ",".join(row.scopes), f"{row.created_at:%Y-%m-%d}", used, state]
