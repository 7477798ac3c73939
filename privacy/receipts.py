"""Receipts of erasures: what went, what stayed and why, signed, without the number that it was about."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import uuid4

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from privacy.tables import ReceiptRow
from storage.engine import Database
from storage.key_ring import NUMBERS, KeyRing
from storage.rows import insert_new
from telemetry.moments import moment_text

_PURPOSE = b"trunkline receipts of erasures"
_FORM = "trunkline-erasure-1"


class BadReceipt(Exception):
    """The receipt is not one of this server's, or was changed."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as it is handed out; `text` is its JSON, with the signature."""

    receipt_id: str
    completed_at: datetime
    text: str

    @property
    def content(self) -> dict[str, Any]:
        """What it says."""
        content: dict[str, Any] = json.loads(self.text)
        return content


async def open_receipt(session: AsyncSession, person_hash: str, now: datetime) -> ReceiptRow:
    """Return the receipt of an erasure that was begun and not completed, or begin one."""
    begun = select(ReceiptRow).where(col(ReceiptRow.person_hash) == person_hash, col(ReceiptRow.completed_at).is_(None))
    row = (await session.exec(begun)).first()
    if row is None:
        fields: dict[str, Any] = {
            "receipt_id": uuid4().hex,
            "begun_at": now,
            "person_hash": person_hash,
            "counts": {},
        }
        await insert_new(session, ReceiptRow, [fields])
        row = (await session.exec(begun)).one()
    return row


async def add_counts(session: AsyncSession, receipt_id: str, counts: Mapping[str, int]) -> None:
    """Add what went in this very transaction, so that whoever goes on after a kill counts nothing twice."""
    row = (
        await session.exec(select(ReceiptRow).where(col(ReceiptRow.receipt_id) == receipt_id).with_for_update())
    ).one()
    total = dict(row.counts)
    for name, count in counts.items():
        if count:
            total[name] = total.get(name, 0) + count
    await session.exec(update(ReceiptRow).where(col(ReceiptRow.receipt_id) == receipt_id).values(counts=total))


async def complete(
    session: AsyncSession, ring: KeyRing, receipt_id: str, kept: Mapping[str, str], now: datetime
) -> Receipt:
    """Sign a receipt and keep it. `kept`: what is still there, and why."""
    row = (await session.exec(select(ReceiptRow).where(col(ReceiptRow.receipt_id) == receipt_id))).one()
    content = {
        "form": _FORM,
        "receipt_id": row.receipt_id,
        "begun_at": moment_text(row.begun_at),
        "completed_at": moment_text(now),
        "person_hash": row.person_hash,
        "erased": dict(sorted(row.counts.items())),
        "kept": dict(kept),
    }
    text = json.dumps({**content, "signature": _sign(ring, content)}, indent=2, sort_keys=True)
    change = update(ReceiptRow).where(col(ReceiptRow.receipt_id) == receipt_id)
    await session.exec(change.values(completed_at=now, signed=text))
    return Receipt(row.receipt_id, now, text)


async def list_signed(db: Database) -> list[str]:
    """Return all receipts as they were handed out, the oldest first."""
    query = select(ReceiptRow.signed).where(col(ReceiptRow.signed).is_not(None)).order_by(col(ReceiptRow.completed_at))
    async with db.reader() as session:
        return [text for text in await session.exec(query) if text is not None]


def verify(ring: KeyRing, text: str) -> dict[str, Any]:
    """Return what a receipt says. Raises `BadReceipt` unless this server signed exactly that."""
    try:
        read: object = json.loads(text)
    except (ValueError, RecursionError):
        raise BadReceipt("The receipt is no JSON; give the file as it was handed out.") from None
    content = cast(dict[str, Any], read) if isinstance(read, dict) else {}
    if content.get("form") != _FORM:
        raise BadReceipt("This is no receipt of an erasure.")
    signature: object = content.pop("signature", "")
    if not isinstance(signature, str) or not hmac.compare_digest(_sign(ring, content).encode(), signature.encode()):
        raise BadReceipt("The signature is not right: the receipt was changed, or another server signed it.")
    return content


def _sign(ring: KeyRing, content: Mapping[str, Any]) -> str:
    key = hmac.digest(ring.purpose(NUMBERS), _PURPOSE, hashlib.sha256)
    plain = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return hmac.digest(key, plain, hashlib.sha256).hex()
