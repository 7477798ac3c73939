"""Which call has which words, as keyed hashes: for agents with `search: true`, and for nobody else's calls.

What this tells somebody who has the table and not the key, docs/security.md says.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlmodel import Field, ForeignKey, Index, LargeBinary, col, delete, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from storage.engine import Database
from storage.known_keys import WORDS
from storage.rows import Row, insert_new
from storage.sealing import ring_of
from transcripts.models import CallRow, TurnRow
from transcripts.words import hashes_of, word_hash, words_of

MOST_WORDS = 10
"""A search has no more words than this."""


class WordHashRow(Row, table=True):
    """One word of one call, however often it was said there."""

    __tablename__ = "word_hashes"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index(None, "call_id"),)

    word: bytes = Field(primary_key=True, sa_type=LargeBinary)
    """The first 16 bytes of its HMAC-SHA256."""
    call_id: str = Field(primary_key=True, sa_column_args=[ForeignKey("calls.call_id", ondelete="CASCADE")])


class NoWords(ValueError):
    """There is no word to look for: a word is made of letters and digits."""


class TooManyWords(ValueError):
    """A search has at most 10 different words."""


async def add_words(session: AsyncSession, texts: Iterable[tuple[str, str]]) -> None:
    """Index what was said, as (call_id, text), with what else this session writes. Twice is as good as once."""
    key = _key(session)
    said: dict[str, list[str]] = {}
    for call_id, text in texts:
        said.setdefault(call_id, []).append(text)
    rows = [{"word": word, "call_id": call_id} for call_id, of_call in said.items() for word in hashes_of(key, of_call)]
    # In one order everywhere: two writers of one call would else wait for each other.
    await insert_new(session, WordHashRow, sorted(rows, key=lambda row: (row["call_id"], row["word"])))


async def forget_words_of(session: AsyncSession, call_ids: Collection[str]) -> None:
    """Remove every word of these calls: to be called wherever the turns of a call are removed."""
    await session.exec(delete(WordHashRow).where(col(WordHashRow.call_id).in_(call_ids)))


async def index_what_is_left(session: AsyncSession, call_id: str) -> None:
    """Some turns of a call are gone: what it is found by are the words of the others, if it is found at all."""
    has_words = (await session.exec(select(WordHashRow.call_id).where(col(WordHashRow.call_id) == call_id))).first()
    if has_words is not None:
        left = (await session.exec(select(TurnRow).where(col(TurnRow.call_id) == call_id))).all()
        await forget_words_of(session, [call_id])
        await add_words(session, [(call_id, turn.text) for turn in left])


def calls_with(session: AsyncSession, text: str) -> Any:
    """Return a subquery: the ids of calls in which every word of `text` was said, in any order.

    Raises:
        NoWords: There is no word in it.
        TooManyWords: There are more than 10.
    """
    words = words_of(text)
    if not words:
        raise NoWords(f"{NoWords.__doc__}")
    if len(words) > MOST_WORDS:
        raise TooManyWords(f"{TooManyWords.__doc__}")
    key = _key(session)
    hashes = [word_hash(key, word) for word in words]
    return (
        select(WordHashRow.call_id)
        .where(col(WordHashRow.word).in_(hashes))
        .group_by(col(WordHashRow.call_id))
        .having(func.count() == len(hashes))
    )


def _key(session: AsyncSession) -> bytes:
    return ring_of(session.info).purpose(WORDS)


class WordIndex:
    """The index of a database as a whole. Every method may raise `storage.errors.DatabaseAway`."""

    def __init__(self, db: Database) -> None:
        """Take the database."""
        self._db = db

    async def index_again(self, agents: Collection[str]) -> tuple[int, int]:
        """Make the index what it is to be: every call of these agents in it, and no other.

        May be interrupted and repeated. Returns how many calls were indexed, and of how many the words were removed.
        """
        indexed, last = 0, ""
        while calls := await self._next_calls(agents, last):
            for call_id in calls:
                indexed += await self._index_call(call_id)
            last = calls[-1]
        others = col(CallRow.agent_name).not_in(agents)
        foreign = select(WordHashRow.call_id).join(CallRow).where(others).distinct()
        async with self._db.writer() as session:
            removed = (await session.exec(foreign)).all()
            await session.exec(delete(WordHashRow).where(col(WordHashRow.call_id).in_(foreign)))
        return indexed, len(removed)

    async def _next_calls(self, agents: Collection[str], last: str) -> Sequence[str]:
        query = select(CallRow.call_id).where(col(CallRow.agent_name).in_(agents), col(CallRow.call_id) > last)
        async with self._db.reader() as session:
            return (await session.exec(query.order_by(col(CallRow.call_id)).limit(500))).all()

    async def _index_call(self, call_id: str) -> bool:
        turns = select(TurnRow).where(col(TurnRow.call_id) == call_id)
        async with self._db.writer() as session:
            texts = [(call_id, turn.text) for turn in (await session.exec(turns)).all()]
            await forget_words_of(session, [call_id])
            await add_words(session, texts)
        return bool(texts)
