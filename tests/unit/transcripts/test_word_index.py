"""Calls found by what was said in them, on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlmodel import col, delete, select

from storage.engine import Database
from storage.known_keys import WORDS
from tests.unit.transcripts.calls import make_call
from transcripts.call import Speaker, Turn
from transcripts.call_list import CallFilter, CallList
from transcripts.entries import ForgetWordsEntry, TurnEntry
from transcripts.models import CallRow
from transcripts.store import CallStore
from transcripts.word_index import NoWords, TooManyWords, WordHashRow, WordIndex
from transcripts.words import word_hash


def said(call_id: str, position: int, text: str, *, is_searched: bool = True) -> TurnEntry:
    return TurnEntry(call_id, position, Turn(Speaker.CALLER, text, position * 1000, position * 1000 + 500), is_searched)


@pytest.fixture
async def store(database: Database) -> CallStore:
    """Three calls, one a minute; the last one of an agent whose calls are not searched."""
    store = CallStore(database)
    for number in range(3):
        call = make_call(f"c{number}", f"CA{number}", agent_name="other" if number == 2 else "front-desk")
        await store.open_call(replace(call, started_at=call.started_at + timedelta(minutes=number)))
    await store.add_entries(
        [
            said("c0", 0, "A table for two, please."),
            said("c0", 1, "On Sunday, two of us."),
            said("c1", 0, "Sunday is fine, a TABLE by the window."),
            said("c2", 0, "A table on Sunday.", is_searched=False),
        ]
    )
    return store


async def found(database: Database, words: str) -> list[str]:
    return [row.call_id for row, _ in await CallList(database).page(CallFilter(words=words), 10)]


async def test_every_word_must_have_been_said(database: Database, store: CallStore) -> None:
    assert await found(database, "sunday Table") == ["c1", "c0"]
    assert await found(database, "two table") == ["c0"]
    assert await found(database, "tab") == []
    assert await found(database, "window two") == []
    others = CallFilter(words="table").only({"other"})
    assert await CallList(database).page(others, 10) == []


async def test_the_table_holds_no_word_and_a_word_once(database: Database, store: CallStore) -> None:
    async with database.reader() as session:
        rows = (await session.exec(select(WordHashRow))).all()
    assert {row.call_id for row in rows} == {"c0", "c1"}
    assert {len(row.word) for row in rows} == {16}
    assert len([row for row in rows if row.call_id == "c0"]) == 9  # "two" is there once
    assert not any(row.word.startswith((b"table", b"two")) for row in rows)
    # By the key of this database, which its copy without the sealing key does not give away.
    assert word_hash(database.ring.purpose(WORDS), "table") in {row.word for row in rows}


async def test_a_search_needs_a_word_and_not_too_many(database: Database, store: CallStore) -> None:
    with pytest.raises(NoWords):
        await found(database, " ?! ")
    with pytest.raises(TooManyWords):
        await found(database, " ".join(f"w{number}" for number in range(11)))


async def test_an_entry_written_twice_is_there_once(store: CallStore) -> None:
    await store.add_entries([said("c0", 0, "A table for two, please.")])


async def test_words_go_with_their_call_and_with_withdrawn_consent(database: Database, store: CallStore) -> None:
    await store.add_entries([ForgetWordsEntry("c0", position=1, seq=0)])
    assert await found(database, "table") == ["c1"]
    assert await found(database, "sunday") == ["c1", "c0"]
    async with database.writer() as session:
        await session.exec(delete(CallRow).where(col(CallRow.call_id) == "c1"))
    async with database.reader() as session:
        assert {row.call_id for row in (await session.exec(select(WordHashRow))).all()} == {"c0"}


async def test_the_index_is_made_again_for_the_agents_that_ask_for_it(database: Database, store: CallStore) -> None:
    assert await WordIndex(database).index_again(["other"]) == (1, 2)
    assert await found(database, "table") == ["c2"]
    assert await WordIndex(database).index_again(["front-desk", "other"]) == (3, 0)
    assert await found(database, "table") == ["c2", "c1", "c0"]
    assert await WordIndex(database).index_again([]) == (0, 3)
    assert await found(database, "table") == []
