"""Records of consent in the database, and words that go: when one is withdrawn, or were a part of a number."""

from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from storage.engine import Database
from storage.key_ring import number_index
from storage.rows import insert_new, sealed_values
from transcripts.call import Consent, ConsentAnswer, ConsentGivenBy
from transcripts.entries import ConsentEntry, ForgetWordsEntry, LessEntry
from transcripts.models import CallEventRow, ConsentRow, TurnRow
from transcripts.wordless import without_words


class Consents:
    """What was asked and answered, to be shown. Every method may raise `storage.errors.DatabaseAway`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def of_call(self, call_id: str) -> list[Consent]:
        """List a call's records in the order in which they were made."""
        return await self._list(col(ConsentRow.call_id) == call_id)

    async def of_number(self, number: str) -> list[Consent]:
        """List the records of everybody at that number (E.164), oldest first."""
        return await self._list(col(ConsentRow.number_index) == number_index(self._db.ring, number))

    async def _list(self, condition: object) -> list[Consent]:
        query = select(ConsentRow).where(condition).order_by(col(ConsentRow.at), col(ConsentRow.id))  # pyright: ignore[reportArgumentType]
        async with self._db.reader() as session:
            return [_to_consent(row) for row in (await session.exec(query)).all()]


async def add_consent(session: AsyncSession, entry: ConsentEntry) -> None:
    """Write a record; the same one written twice is there once."""
    consent = entry.consent
    fields = {
        "call_id": entry.call_id,
        "agent_name": consent.agent_name,
        "number": consent.number,
        "wording": consent.wording,
        "language": consent.language,
        "answer": consent.answer.value,
        "given_by": None if consent.given_by is None else consent.given_by.value,
        "at": consent.at,
    }
    await insert_new(session, ConsentRow, [fields])


async def forget_words(session: AsyncSession, entry: ForgetWordsEntry) -> None:
    """Remove the turns of a call up to a place, and from its events what was said; twice is as good as once."""
    of_call = col(TurnRow.call_id) == entry.call_id
    await session.exec(delete(TurnRow).where(of_call, col(TurnRow.position) < entry.position))
    earlier = (col(CallEventRow.call_id) == entry.call_id, col(CallEventRow.seq) < entry.seq)
    for event in (await session.exec(select(CallEventRow).where(*earlier))).all():
        left = without_words(event.data, event.kind)
        if left != event.data:
            sealed = sealed_values(session, CallEventRow, {"call_id": event.call_id, "seq": event.seq}, data=left)
            await session.exec(update(CallEventRow).where(col(CallEventRow.id) == event.id).values(**sealed))


async def leave_less(session: AsyncSession, entry: LessEntry) -> None:
    """Write what is left of a turn and of its event in their place; what is gone stays gone."""
    turn = {"call_id": entry.call_id, "position": entry.position}
    text = sealed_values(session, TurnRow, turn, text=entry.text)
    of_turn = (col(TurnRow.call_id) == entry.call_id, col(TurnRow.position) == entry.position)
    await session.exec(update(TurnRow).where(*of_turn).values(**text))
    event = {"call_id": entry.call_id, "seq": entry.seq}
    data = sealed_values(session, CallEventRow, event, data=entry.data)
    of_event = (col(CallEventRow.call_id) == entry.call_id, col(CallEventRow.seq) == entry.seq)
    await session.exec(update(CallEventRow).where(*of_event).values(**data))


def _to_consent(row: ConsentRow) -> Consent:
    given_by = None if row.given_by is None else ConsentGivenBy(row.given_by)
    return Consent(row.agent_name, row.number, row.wording, row.language, ConsentAnswer(row.answer), given_by, row.at)
