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

from sqlmodel import JSON, Field, col, select, tuple_, update

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


class SecretReplaced(BadKey):
    """The API key was rotated and its old secret's time is over. Use the new one."""


class NoSuchKey(Exception):
    """There is no API key of that id. `GET /v1/keys` lists those that there are."""


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
        self,
        name: str,
        scopes: Iterable[str],
        *,
        now: datetime,
        expires_at: datetime | None = None,
        agents: Iterable[str] | None = None,
    ) -> NewKey:
        """Make a key.

        Args:
            name: who or what it is for.
            scopes: what it is good for, names of `SCOPES`.
            now: aware.
            expires_at: aware; None: never.
            agents: the only agents that it may see and use; None: all.

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
            "agents": None if agents is None else sorted(set(agents)),
        }
        async with self._db.writer() as session:
            await insert_or_ignore(session, KeyRow, [fields])
        return NewKey(key_id, f"tk_{key_id}_{secret}")

    async def get(self, key_id: str) -> KeyRow | None:
        """Return one key, of whatever state; None when there is none of this id."""
        async with self._db.reader() as session:
            return await session.get(KeyRow, key_id)

    async def list_keys(self) -> list[KeyRow]:
        """List all keys, revoked ones too, the oldest first."""
        async with self._db.reader() as session:
            return list((await session.exec(select(KeyRow).order_by(col(KeyRow.created_at), col(KeyRow.key_id)))).all())

    async def list_page(self, limit: int, *, after: str | None = None) -> list[KeyRow]:
        """List `limit` keys, the newest first; `after`: those that follow the key of this id.

        Raises `NoSuchKey` when there is no key of that id.
        """
        order = col(KeyRow.created_at), col(KeyRow.key_id)
        query = select(KeyRow).order_by(*(column.desc() for column in order)).limit(limit)
        async with self._db.reader() as session:
            if after is not None:
                last = await session.get(KeyRow, after)
                if last is None:
                    raise NoSuchKey
                query = query.where(tuple_(*order) < tuple_(last.created_at, last.key_id))
            return list((await session.exec(query)).all())

    async def rotate(self, key_id: str, *, now: datetime, overlap: timedelta) -> NewKey:
        """Give a key a new secret. The one that it has is good for `overlap` longer, one before that no more.

        Raises `NoSuchKey`; `KeyRevoked` or `KeyExpired` for a key that no secret would make good.
        """
        secret = token_urlsafe(_SECRET_BYTES)
        # One statement: of two rotations at once each keeps the secret that it really replaced.
        change = (
            update(KeyRow)
            .where(col(KeyRow.key_id) == key_id, col(KeyRow.revoked_at).is_(None))
            .values(previous_hash=KeyRow.secret_hash, previous_until=now + overlap, secret_hash=_hash(secret))
        )
        async with self._db.writer() as session:
            row = await session.get(KeyRow, key_id)
            if row is None:
                raise NoSuchKey
            check_state(row, now)
            if (await session.exec(change)).rowcount != 1:
                raise KeyRevoked
        return NewKey(key_id, f"tk_{key_id}_{secret}")

    async def revoke(self, key_id: str, *, now: datetime) -> bool:
        """Make a key useless from now on. Returns False when there is none of this id; the first time stands."""
        change = update(KeyRow).where(col(KeyRow.key_id) == key_id, col(KeyRow.revoked_at).is_(None))
        async with self._db.writer() as session:
            if (await session.exec(change.values(revoked_at=now))).rowcount == 1:
                return True
            return await session.get(KeyRow, key_id) is not None

    async def check(self, text: str, *, now: datetime) -> KeyRow:
        """Return the key that this text is; also by the secret before the last one, while that is good.

        Raises `BadKey`, `KeyRevoked`, `KeyExpired`, `SecretReplaced`; never tells the text.
        """
        found = _KEY.fullmatch(text)
        if found is None:
            raise BadKey
        async with self._db.reader() as session:
            row = await session.get(KeyRow, found[1])
        # Compared also when there is no such key, so that the time taken tells nothing about ids.
        given = _hash(found[2])
        is_right = hmac.compare_digest(row.secret_hash if row else _hash(""), given)
        was_right = hmac.compare_digest((row.previous_hash if row else None) or _hash(""), given)
        if row is None or not (is_right or was_right):
            raise BadKey
        check_state(row, now)
        if not is_right and (row.previous_until is None or row.previous_until <= now):
            raise SecretReplaced
        await self._note_use_of(row, now)
        return row

    async def check_id(self, key_id: str, *, now: datetime) -> KeyRow:
        """Return the key of this id, for what was made by it. Raises `BadKey`, `KeyRevoked`, `KeyExpired`."""
        row = await self.get(key_id)
        if row is None:
            raise BadKey
        check_state(row, now)
        await self._note_use_of(row, now)
        return row

    async def _note_use_of(self, row: KeyRow, now: datetime) -> None:
        if row.last_used_at is None or now - row.last_used_at >= _USED_EVERY:
            await self._note_use(row.key_id, now)

    async def _note_use(self, key_id: str, now: datetime) -> None:
        async with self._db.writer() as session:
            await session.exec(update(KeyRow).where(col(KeyRow.key_id) == key_id).values(last_used_at=now))


def check_state(row: KeyRow, now: datetime) -> None:
    """Raise `KeyRevoked` or `KeyExpired` for a key that is good for nothing any more."""
    if row.revoked_at is not None:
        raise KeyRevoked
    if row.expires_at is not None and row.expires_at <= now:
        raise KeyExpired


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
