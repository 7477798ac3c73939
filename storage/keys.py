"""API keys: made once, shown once, kept as a hash."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex, token_urlsafe
from types import MappingProxyType
from typing import Any

from sqlmodel import JSON, Field, col, select, update

from storage.engine import Database
from storage.rows import Row, insert_or_ignore

SCOPES: Mapping[str, str] = MappingProxyType(
    {
        "agents:read": "see agents and their versions",
        "agents:write": "make, change, publish and delete agents",
        "calls:read": "see calls, what was said in them and how they ended",
        "calls:write": "place calls, call them off, hang up",
        "recordings:read": "hear what was recorded",
        "keys:read": "see which API keys there are",
        "keys:write": "make, rotate and revoke API keys, of no more scopes than its own",
        "usage:read": "see what was used and what it cost",
        "analysis:read": "see what was made of calls after their end",
        "analysis:write": "have calls analysed again",
        "webhooks:read": "see webhooks and what was delivered",
        "webhooks:write": "make and change webhooks, deliver again",
        "people:read": "export all that is held on a number",
        "people:write": "erase people, and say who must not be called",
        "audit:read": "see who changed what, and who heard which recording",
        "metrics:read": "read /metrics",
        "playground:use": "talk to agents in the playground",
    }
)
"""Everything that a key may be good for."""

_KEY = re.compile(r"tk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_SECRET_BYTES = 32  # so many random bits need no slow hash: nobody guesses them
_LONGEST_NAME = 100
_USED_EVERY = timedelta(minutes=1)


class UnknownScope(ValueError):
    """There is no such scope."""


class BadKeyName(ValueError):
    """A key's name has 1 to 100 printable characters."""


class BadKey(Exception):
    """The API key is not one of this server's. Make one with `cli.py keys create`."""


class KeyRevoked(BadKey):
    """The API key was revoked. Make another one with `cli.py keys create`."""


class KeyExpired(BadKey):
    """The API key has expired. Make another one with `cli.py keys create`."""


class KeyRow(Row, table=True):
    """One API key. Of its secret there is only the SHA-256."""

    __tablename__ = "api_keys"  # pyright: ignore[reportAssignmentType]

    key_id: str = Field(primary_key=True)
    name: str
    secret_hash: str
    scopes: list[str] = Field(sa_type=JSON)
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    previous_hash: str | None = None
    """Of the secret before the last rotation, which is good until `previous_until`."""
    previous_until: datetime | None = None
    agents: list[str] | None = Field(default=None, sa_type=JSON(none_as_null=True))  # pyright: ignore[reportArgumentType]
    """The only agents it may see and use; None: all."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. `text` is the key itself: it is shown now and never again."""

    key_id: str
    text: str

    def __repr__(self) -> str:
        """Leave the key out, wherever this is printed by mistake."""
        return f"NewKey({self.key_id})"


class KeyStore:
    """Every method may raise `storage.errors.DatabaseAway`, and may then be repeated."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(
        self, name: str, scopes: Iterable[str], *, now: datetime, expires_at: datetime | None = None
    ) -> NewKey:
        """Make a key.

        Args:
            name: who or what it is for.
            scopes: what it is good for, names of `SCOPES`.
            now: aware.
            expires_at: aware; None: never.

        Raises:
            UnknownScope: a scope that there is not, or none at all.
            BadKeyName: the name is empty, too long or not printable.
        """
        wanted = check_scopes(scopes)
        if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
            raise BadKeyName(f"{BadKeyName.__doc__}")
        key_id, secret = token_hex(6), token_urlsafe(_SECRET_BYTES)
        fields: dict[str, Any] = {
            "key_id": key_id,
            "name": name,
            "secret_hash": _hash(secret),
            "scopes": wanted,
            "created_at": now,
            "expires_at": expires_at,
        }
        async with self._db.writer() as session:
            await insert_or_ignore(session, KeyRow, [fields])
        return NewKey(key_id, f"tk_{key_id}_{secret}")

    async def list_keys(self) -> list[KeyRow]:
        """List all keys, revoked ones too, the oldest first."""
        async with self._db.reader() as session:
            return list((await session.exec(select(KeyRow).order_by(col(KeyRow.created_at), col(KeyRow.key_id)))).all())

    async def revoke(self, key_id: str, *, now: datetime) -> bool:
        """Make a key useless from now on. Returns False when there is none of this id; the first time stands."""
        change = update(KeyRow).where(col(KeyRow.key_id) == key_id, col(KeyRow.revoked_at).is_(None))
        async with self._db.writer() as session:
            if (await session.exec(change.values(revoked_at=now))).rowcount == 1:
                return True
            return await session.get(KeyRow, key_id) is not None

    async def check(self, text: str, *, now: datetime) -> KeyRow:
        """Return the key that this text is. Raises `BadKey`, `KeyRevoked`, `KeyExpired`; never tells the text."""
        found = _KEY.fullmatch(text)
        if found is None:
            raise BadKey
        async with self._db.reader() as session:
            row = await session.get(KeyRow, found[1])
        # Compared also when there is no such key, so that the time taken tells nothing about ids.
        is_right = hmac.compare_digest(row.secret_hash if row else _hash(""), _hash(found[2]))
        if row is None or not is_right:
            raise BadKey
        if row.revoked_at is not None:
            raise KeyRevoked
        if row.expires_at is not None and row.expires_at <= now:
            raise KeyExpired
        if row.last_used_at is None or now - row.last_used_at >= _USED_EVERY:
            await self._note_use(row.key_id, now)
        return row

    async def _note_use(self, key_id: str, now: datetime) -> None:
        async with self._db.writer() as session:
            await session.exec(update(KeyRow).where(col(KeyRow.key_id) == key_id).values(last_used_at=now))


def check_scopes(scopes: Iterable[str]) -> list[str]:
    """Return the scopes, sorted and each once. Raises `UnknownScope` with those that there are."""
    wanted = sorted(set(scopes))
    known = ", ".join(SCOPES)
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown:
        raise UnknownScope(f"there is no scope {unknown[0]!r}; there are {known}")
    if not wanted:
        raise UnknownScope(f"a key without a scope is good for nothing; there are {known}")
    return wanted


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8")).hexdigest()
