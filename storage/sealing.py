"""Sealed columns: how a row says which of its values are sealed, and how they are sealed and opened.

A column is sealed by its type, `SealedText` or `SealedJson`; its class says in `seal` what the seal is bound to. Rows
that are loaded have their plain values. What a query returns beside rows is `Stored`, which shows nothing; what is
written must have been sealed first, or the write is refused: so neither is forgotten by mistake.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from string import hexdigits
from types import MappingProxyType
from typing import Any, Final, cast

from sqlalchemy import String, Table, TypeDecorator
from sqlalchemy.engine import Dialect
from sqlmodel import SQLModel, inspect

from storage.envelope import SealBroken, key_id_of_text, open_text, seal_text
from storage.json_text import dump_json
from storage.key_ring import NUMBERS, KeyRing, SealingKeyMissing, keyed_hash, number_index

_CURE = "Restore the row from a backup, or delete it; see docs/sealing.md"
_HASH_DIGITS = 32
RING: Final = "key ring"
"""Under which name a session's `info` has the keys."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What a row's seals are bound to, and which of its columns hold keyed hashes of sealed ones.

    `bound_to`: the columns that tell the row from all others and never change, and that the program itself gives it.
    `indexes`: sealed column -> (column of its keyed hash, purpose of the key); the hash is made with the seal.
    """

    bound_to: tuple[str, ...]
    indexes: Mapping[str, tuple[str, str]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Stored:
    """What stands in a sealed column: sealed, or as a version without seals wrote it. Never taken for the value."""

    text: str = field(repr=False)

    @property
    def key_id(self) -> str | None:
        """Which key sealed it; None for a value that is not sealed."""
        return key_id_of_text(self.text)


class NotSealed(TypeError):
    """A plain value was about to be written to, or compared with, a sealed column. Seal it, or use its keyed hash."""


class SealedText(TypeDecorator[Any]):
    """A sealed text."""

    impl = String
    cache_ok = True
    is_json = False

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Let nothing pass but what is sealed."""
        if value is None or isinstance(value, Stored):
            return None if value is None else value.text
        raise NotSealed(f"{NotSealed.__doc__}")

    def process_result_value(self, value: str | None, dialect: Dialect) -> Stored | None:
        """Mark it as what it is."""
        return None if value is None else Stored(value)

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        """Compare with sealed values only."""
        return self


class SealedJson(SealedText):
    """A sealed value that JSON can hold; None is no value."""

    cache_ok = True
    is_json = True


@dataclass(frozen=True, slots=True)
class Sealed:
    """The sealed columns of a table: name -> whether it holds JSON; and what their seals are bound to."""

    table: str
    columns: Mapping[str, bool]
    seal: Seal

    def place(self, column: str, row: Mapping[str, Any]) -> str:
        """Name the place of a value; `row` has at least what the seal is bound to."""
        return f"{self.table}.{column}:{'|'.join(_spell(row[name]) for name in self.seal.bound_to)}"

    def name_row(self, row: Mapping[str, Any]) -> str:
        """Name a row for whoever looks for it in the database, by ids and keyed hashes: nothing private is in it."""
        hashes = {index for index, _purpose in self.seal.indexes.values()}

        def shown(name: str) -> str:
            text = str(row[name])
            # A version without seals kept a record's key where its hash is now.
            return text if name not in hashes or _is_hash(text) else "(no hash)"

        return ", ".join(f"{name} = {shown(name)}" for name in self.seal.bound_to)


def sealed_columns(table: type[SQLModel]) -> Sealed:
    """Return which columns of a row class are sealed. Raises TypeError for sealed ones that are bound to nothing."""
    return _find_sealed(cast(Any, table))


@cache
def _find_sealed(table: Any) -> Sealed:
    local = cast(Table, inspect(table).local_table)
    columns = {column.name: column.type.is_json for column in local.columns if isinstance(column.type, SealedText)}
    seal: Seal | None = getattr(table, "seal", None)
    if columns and seal is None:
        raise TypeError(f"{table.__name__} has sealed columns; say in `seal` what they are bound to")
    return Sealed(local.name, columns, seal or Seal(()))


def seal_fields(
    ring: KeyRing, table: type[SQLModel], fields: Mapping[str, Any], key: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return fields of a row with its sealed ones sealed, and their keyed hashes beside them.

    `key`: what the seal is bound to, where `fields` lack it.
    """
    sealed = sealed_columns(table)
    made = dict(fields)
    for column, (index, purpose) in sealed.seal.indexes.items():
        if column in fields:
            value = fields[column]
            made[index] = made.get(index) if value is None else _index(ring, purpose, str(value))
    row = made if key is None else made | dict(key)
    for column in sealed.columns.keys() & fields.keys():
        if fields[column] is not None:
            made[column] = seal_value(ring, sealed, column, row, fields[column])
    return made


def seal_value(ring: KeyRing, sealed: Sealed, column: str, row: Mapping[str, Any], value: object) -> Stored:
    """Seal one value of a row that has at least what the seal is bound to."""
    text = dump_json(value) if sealed.columns[column] else str(value)
    return Stored(seal_text(text, sealed.place(column, row), ring))


def open_value(ring: KeyRing, sealed: Sealed, column: str, row: Mapping[str, Any], stored: Stored) -> Any:
    """Return the value; one that a version without seals wrote is returned as it is, until its table is sealed wholly.

    Raises:
        SealingError: it does not open, stands in the clear where nothing may any more, or its key is not here.
    """
    text = stored.text
    if stored.key_id is not None:
        try:
            text = open_text(text, sealed.place(column, row), ring)
        except SealBroken as error:
            raise SealBroken(f"{error}; the row is {sealed.name_row(row)}. {_CURE}") from None
    elif ring.is_sealed_wholly(sealed.table):
        raise SealBroken(
            f"what is kept in {sealed.table}.{column} is not sealed, in a table that was sealed wholly: this program "
            f"did not write it so; the row is {sealed.name_row(row)}. {_CURE}"
        )
    if not sealed.columns[column]:
        return text
    try:
        return json.loads(text)
    except ValueError:
        raise SealBroken(
            f"what is kept in {sealed.table}.{column} is not JSON; the row is {sealed.name_row(row)}. {_CURE}"
        ) from None


def ring_of(info: Mapping[Any, Any]) -> KeyRing:
    """Return the keys of a session, by its `info`. Raises `SealingKeyMissing` for a session without any."""
    ring = info.get(RING)
    if not isinstance(ring, KeyRing):
        raise SealingKeyMissing("this session has no keys, so nothing private can be read or written with it")
    return ring


def _index(ring: KeyRing, purpose: str, value: str) -> str:
    return number_index(ring, value) if purpose == NUMBERS else keyed_hash(ring, purpose, value)


def _is_hash(text: str) -> bool:
    return len(text) == _HASH_DIGITS and all(letter in hexdigits for letter in text)


def _spell(value: object) -> str:
    # With its length before it, so that no two rows are spelled alike whatever they are named.
    text = value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
    return f"{len(text)}:{text}"
