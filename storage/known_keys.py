"""What a database knows of keys: which sealing keys it was sealed with, and its purpose keys, themselves sealed."""

import asyncio
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final

from sqlmodel import Field, col, delete, select

from storage.envelope import SealBroken, SealingError, open_text, seal_text
from storage.key_ring import NUMBERS, KeyRing
from storage.rows import Row, insert_or_ignore
from storage.sealing import Seal, SealedText

if TYPE_CHECKING:
    from storage.engine import Database

RECORDS: Final = "records"
"""The purpose of the key that keys of records are hashed with."""
REQUESTS: Final = "requests"
"""The purpose of the key that idempotency keys and requests are hashed with."""
WORDS: Final = "words"
"""The purpose of the key that words are hashed with, to be searched for."""
CONTENTS: Final = "contents"
"""The purpose of the key that the contents of agents are hashed with, to be told from one another."""
PURPOSES: Final = (NUMBERS, RECORDS, REQUESTS, WORDS, CONTENTS)
"""Every purpose that a key is made for. A new one is added here."""
_KEY_BYTES = 32
_PROOF = "opens"


class PurposeKeyRow(Row, table=True):
    """The key of one purpose, 32 bytes in hexadecimal digits, made once and never changed."""

    __tablename__ = "purpose_keys"  # pyright: ignore[reportAssignmentType]
    seal: ClassVar[Seal] = Seal(("purpose",))

    purpose: str = Field(primary_key=True)
    key: str = Field(sa_type=SealedText)
    made_at: datetime


class SealingKeyRow(Row, table=True):
    """A sealing key that something in this database may be sealed with."""

    __tablename__ = "sealing_keys"  # pyright: ignore[reportAssignmentType]

    key_id: str = Field(primary_key=True)
    proof: str
    """A word sealed with it, which another key of the same id does not open."""
    first_used_at: datetime


class SealedTableRow(Row, table=True):
    """A table in which nothing is left in the clear of what a version without seals wrote, and nothing is accepted.

    A migration that seals one more column of a table with rows in it deletes the table's row here.
    """

    __tablename__ = "sealed_tables"  # pyright: ignore[reportAssignmentType]

    name: str = Field(primary_key=True)
    sealed_at: datetime


async def unlock(db: "Database", ring: KeyRing) -> None:
    """Prove that every key is there that this database needs, and read its purpose keys; make what it never had.

    Of any number of processes that start at once with one key all succeed; with several keys those that were slower
    are refused.

    Raises:
        SealingError: a key is missing or another one than that which was used; the message says which, and the cure.
        DatabaseAway: the database does not answer.
    """
    known = await read_known(db)
    ring.take_sealed_tables(await read_sealed_tables(db))
    await asyncio.to_thread(ring.read_again)
    if not known:
        await asyncio.to_thread(ring.make_first)
    check(ring, known)
    found = await _read_purposes(db)
    lacking = [purpose for purpose in PURPOSES if purpose not in found]
    if lacking:
        now = datetime.now(UTC)
        made = [{"purpose": each, "key": secrets.token_hex(_KEY_BYTES), "made_at": now} for each in lacking]
        async with db.writer() as session:
            await insert_or_ignore(session, PurposeKeyRow, made)
        found = await _read_purposes(db)  # another process may have been faster
    ring.take_purposes(found)
    await note_current(db, ring, known)


async def read_known(db: "Database") -> dict[str, str]:
    """Return the sealing keys that something may be sealed with: id -> proof."""
    async with db.reader() as session:
        return {row.key_id: row.proof for row in await session.exec(select(SealingKeyRow))}


async def read_sealed_tables(db: "Database") -> set[str]:
    """Return the names of the tables that were sealed wholly."""
    async with db.reader() as session:
        return {row.name for row in await session.exec(select(SealedTableRow))}


def check(ring: KeyRing, known: dict[str, str]) -> None:
    """Raise a `SealingError` unless the ring has every one of these keys."""
    missing = [key_id for key_id in sorted(known) if key_id not in ring.key_ids]
    where = ring.file or "TRUNKLINE_SEALING_KEYS"
    if missing:
        raise SealingError(
            f"what is kept in this database is sealed with the key {missing[0]}, which is not in {where}; put it back "
            "from your copy of the keys, or from the machine that made it: without it nothing of that can be read"
        )
    for key_id, proof in known.items():
        try:
            open_text(proof, _place(key_id), ring)
        except SealBroken as error:
            raise SealingError(
                f"the key {key_id} in {where} is not the one that this database is sealed with; put back the right one "
                "from your copy"
            ) from error


async def note_current(db: "Database", ring: KeyRing, known: Iterable[str]) -> None:
    """Write down that something may be sealed with the current key from now on, unless that is known."""
    key_id = ring.current.key_id
    if key_id not in known:
        proof = seal_text(_PROOF, _place(key_id), ring)
        fields = {"key_id": key_id, "proof": proof, "first_used_at": datetime.now(UTC)}
        async with db.writer() as session:
            await insert_or_ignore(session, SealingKeyRow, [fields])


async def forget(db: "Database", key_ids: Iterable[str]) -> None:
    """Write down that nothing is sealed with these keys any more."""
    async with db.writer() as session:
        await session.exec(delete(SealingKeyRow).where(col(SealingKeyRow.key_id).in_(list(key_ids))))


async def _read_purposes(db: "Database") -> dict[str, bytes]:
    async with db.reader() as session:
        return {row.purpose: bytes.fromhex(row.key) for row in await session.exec(select(PurposeKeyRow))}


def _place(key_id: str) -> str:
    return f"sealing_keys.proof:{key_id}"
