"""Everything that is held on a number, erased: by the hand of an operator or over the API, and with a receipt.

It may be killed anywhere and begun again: every step finds what is left. What is under way is never touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from loguru import logger
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from privacy import people, receipts
from privacy.receipts import Receipt
from privacy.replies import forget_replies
from storage.engine import Database
from storage.key_ring import number_index
from storage.rows import sealed_values
from storage.sealing_rows import seal_old_rows
from telemetry import metrics
from transcripts.backlog import Backlog
from transcripts.call import CallStatus, EndReason, RecordingStatus
from transcripts.do_not_call import DoNotCallRow, forget_number, is_listed
from transcripts.models import CallEventRow, CallRow, RecordRow, TransferRow
from transcripts.outgoing import OutgoingStore
from transcripts.recording_store import RecordingStore

_AT_ONCE = 50

KEPT = {
    "audit log": "who erased and exported what, by a keyed hash of the number: it proves that this was done",
    "costs": "what the calls cost, by agent and day, without the calls: figures of money are no person's",
    "receipt": "this receipt, by a keyed hash of the number",
}
_LISTED = "a keyed hash of the number on the do-not-call list: the promise not to call outlives the erasure"

_ELSEWHERE = (
    "{count} recordings that are neither on this machine nor in the bucket: gone already, or sealed in the data folder "
    "of another machine, which deletes them a week after it finds that their calls are gone"
)
_RECORDED = frozenset({RecordingStatus.RECORDING, RecordingStatus.COMPLETE})


class CallUnderWay(Exception):
    """A call of this number is under way. Hang up first, then erase."""

    def __init__(self, call_ids: Sequence[str]) -> None:
        """Name the calls."""
        named = ", ".join(call_ids)
        super().__init__(
            f"A call of this number is under way ({named}). "
            "End it with POST /v1/calls/{call_id}/hang-up, or wait for its end, then erase."
        )
        self.call_ids = tuple(call_ids)


class NotAll(Exception):
    """Something could not be erased. What was is counted; erase again when the cause is gone."""


@dataclass(frozen=True, slots=True)
class Eraser:
    """Erases people. `backlog` has what processes could not write."""

    db: Database
    recordings: RecordingStore
    backlog: Backlog

    async def erase(self, number: str, *, now: datetime | None = None, keep_do_not_call: bool = True) -> Receipt:
        """Erase everything that is held on a number (E.164), and return the receipt.

        Args:
            number: whose.
            now: aware; when left out, the time.
            keep_do_not_call: leave the keyed hash of the number on the do-not-call list, if it is on it.

        Raises:
            CallUnderWay: nothing was erased.
            NotAll: it was begun; do it again.
            DatabaseAway: it may have been begun; do it again.
            OSError, BucketAway: recordings could not be removed; do it again.
        """
        now = now or datetime.now(UTC)
        index = number_index(self.db.ring, number)
        await seal_old_rows(self.db)  # until then a row of a version without seals is found by no number
        async with self.db.writer() as session:
            if under_way := await people.list_under_way(session, index):
                raise CallUnderWay(under_way)
            receipt = await receipts.open_receipt(session, index, now)
            queued = await people.list_queued(session, index)
        for call_id in queued:
            if await OutgoingStore(self.db).end_unplaced(call_id, EndReason.CANCELLED):
                async with self.db.writer() as session:
                    await receipts.add_counts(session, receipt.receipt_id, {"scheduled calls called off": 1})
        await self.backlog.take_in()
        call_ids, elsewhere = await self._erase_calls(index, receipt.receipt_id)
        await self._erase_mentions(number, receipt.receipt_id)
        await forget_replies(self.db, [number, *call_ids], receipt.receipt_id)
        await self._check_files(call_ids)
        kept = dict(KEPT)
        if elsewhere:
            kept["recordings elsewhere"] = _ELSEWHERE.format(count=elsewhere)
        async with self.db.writer() as session:
            if keep_do_not_call and await is_listed(session, index):
                await forget_number(session, index)
                kept["do-not-call"] = _LISTED
            elif not keep_do_not_call:
                await _unlist(session, index, receipt.receipt_id)
            if left := await people.list_under_way(session, index):
                kept["calls under way"] = f"{len(left)} begun while this was done; erase again when they are over"
            done = await receipts.complete(session, self.db.ring, receipt.receipt_id, kept, datetime.now(UTC))
        await self.db.scrub()
        metrics.ERASURES_TOTAL.inc()
        logger.bind(receipt=done.receipt_id, **_plain(done.content["erased"])).info("a person was erased")
        return done

    async def _erase_calls(self, index: str, receipt_id: str) -> tuple[list[str], int]:
        """Erase the calls of a number that are over, in batches.

        Returns their ids, and of how many the recording was neither here nor in the bucket.
        """
        erased: list[str] = []
        elsewhere = 0
        while True:
            async with self.db.reader() as session:
                rows = await people.list_ended(session, index, _AT_ONCE)
            if not rows:
                return erased, elsewhere
            call_ids = [row.call_id for row in rows]
            for row in rows:
                if row.recording_status in _RECORDED:
                    has = await self.recordings.in_thread(self.recordings.has, row.call_id)
                    elsewhere += not has
            await erase_with_recordings(self.db, self.recordings, call_ids, receipt_id)
            erased += call_ids

    async def _erase_mentions(self, number: str, receipt_id: str) -> None:
        """Erase the number where it stands in what is somebody else's, or nobody's any more."""
        async for record in people.scan_records(self.db, number):
            async with self.db.writer() as session:
                gone = await session.exec(delete(RecordRow).where(col(RecordRow.id) == record.id))
                await receipts.add_counts(session, receipt_id, {"records": gone.rowcount})
        touched: set[str] = set()
        async for transfer in people.scan_transfers(self.db, number):
            address = people.without(transfer.address, number)
            async with self.db.writer() as session:
                key = {"transfer_id": transfer.transfer_id}
                values = sealed_values(session, TransferRow, key, address=address)
                change = update(TransferRow).where(col(TransferRow.transfer_id) == transfer.transfer_id)
                await session.exec(change.values(**values))
                await receipts.add_counts(session, receipt_id, {"transfers to the number": 1})
            touched.add(transfer.call_id)
        async for call in people.scan_attempts(self.db, number):
            touched.add(call.call_id)
        for call_id in sorted(touched):
            await self._erase_from_call(call_id, number)

    async def _erase_from_call(self, call_id: str, number: str) -> None:
        async with self.db.writer() as session:
            call = (await session.exec(select(CallRow).where(col(CallRow.call_id) == call_id))).first()
            if call is None:
                return
            values = sealed_values(
                session,
                CallRow,
                {"call_id": call_id},
                transfer_attempts=people.without(call.transfer_attempts, number),
                next_step=people.without(call.next_step, number),
            )
            await session.exec(update(CallRow).where(col(CallRow.call_id) == call_id).values(**values))
            for event in (await session.exec(select(CallEventRow).where(col(CallEventRow.call_id) == call_id))).all():
                if people.mentions(event.data, number):
                    left = people.without(event.data, number)
                    key = {"call_id": call_id, "seq": event.seq}
                    sealed = sealed_values(session, CallEventRow, key, data=left)
                    await session.exec(update(CallEventRow).where(col(CallEventRow.id) == event.id).values(**sealed))

    async def _check_files(self, call_ids: Sequence[str]) -> None:
        """See to it that no log entry of these calls waits in a file."""
        if waiting := await self.backlog.forget(call_ids):
            names = ", ".join(waiting)
            raise NotAll(f"Log entries of erased calls wait in {names}, which cannot be read in now. Try again later.")


async def erase_with_recordings(
    db: Database, recordings: RecordingStore, call_ids: Sequence[str], receipt_id: str | None = None
) -> None:
    """Erase calls that are over, and their recordings: before the rows, by which they are found again after a kill.

    And after them, for one that was on its way into the bucket: whoever sends it looks for the row in the end.
    """
    for call_id in call_ids:
        await recordings.delete_recording(call_id)
    await erase_calls(db, call_ids, receipt_id)
    for call_id in call_ids:
        await recordings.delete_recording(call_id)


async def erase_calls(db: Database, call_ids: Sequence[str], receipt_id: str | None = None) -> dict[str, int]:
    """Erase calls that are over, with every row that hangs on them; what calls cost stays, without them.

    Their recordings must be gone. Returns how many rows of each table went; a receipt is told in the same transaction.
    """
    async with db.writer() as session:
        over = col(CallRow.call_id).in_(call_ids), col(CallRow.status) == CallStatus.ENDED.value
        ended = (await session.exec(select(CallRow.call_id, CallRow.recording_status).where(*over))).all()
        ids = [call_id for call_id, _ in ended]
        counts = await people.count_rows(session, ids)
        counts.pop("costs", None)
        for row_class, column, fate in people.of_calls():
            if fate != "CASCADE" and people.table_name(row_class) != "costs":
                await session.exec(delete(row_class).where(col(getattr(row_class, column)).in_(ids)))
        await session.exec(delete(CallRow).where(col(CallRow.call_id).in_(ids)))
        counts["calls"] = len(ids)
        counts["recordings"] = sum(status != RecordingStatus.NONE for _, status in ended)
        if receipt_id is not None:
            await receipts.add_counts(session, receipt_id, counts)
    return counts


async def _unlist(session: AsyncSession, index: str, receipt_id: str) -> None:
    gone = await session.exec(delete(DoNotCallRow).where(col(DoNotCallRow.number_index) == index))
    await receipts.add_counts(session, receipt_id, {"do_not_call": gone.rowcount})


def _plain(counts: dict[str, Any]) -> dict[str, Any]:
    return {name.replace(" ", "_").replace("-", "_"): count for name, count in counts.items()}
