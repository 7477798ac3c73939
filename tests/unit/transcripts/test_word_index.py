"""Calls found by what was said in them, on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlmodel import col, delete, select

from storage.engine import Database
from storage.keyset import Position
from tests.unit.transcripts.calls import make_call
from transcripts.call import Speaker, Turn
from transcripts.entries import ForgetWordsEntry, TurnEntry
from transcripts.models import CallRow
from transcripts.store import CallStore
from transcripts.word_index import NoWords, TooManyWords, WordHashRow, WordIndex

KEY = b"k" * 32


def said(call_id: str, position: int, text: str, *, is_searched: bool = True) -> TurnEntry:
    return TurnEntry(call_id, position, Turn(Speaker.CALLER, text, position * 1000, position * 1000 + 500), is_searched)


@pytest.fixture
async def store(database: Database) -> CallStore:
    """Three calls, one a minute; the last one of an agent whose calls are not searched."""
    store = CallStore(database, lambda: KEY)
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


async def found(index: WordIndex, words: str, limit: int = 10) -> list[str]:
    return [row.call_id for row in await index.find_calls(words, limit)]


async def test_every_word_must_have_been_said(database: Database, store: CallStore) -> None:
    index = WordIndex(database, lambda: KEY)
    assert await found(index, "sunday Table") == ["c1", "c0"]
    assert await found(index, "two table") == ["c0"]
    assert await found(index, "tab") == []
    assert await found(index, "window two") == []
    assert [row.call_id for row in await index.find_calls("table", 9, agents=["other"])] == []
    first = (await index.find_calls("table", 1))[0]
    rest = await index.find_calls("table", 9, after=Position(first.created_at, first.call_id))
    assert [first.call_id, *(row.call_id for row in rest)] == ["c1", "c0"]


async def test_another_key_finds_nothing_and_the_table_holds_no_word(database: Database, store: CallStore) -> None:
    assert await found(WordIndex(database, lambda: b"l" * 32), "table") == []
    async with database.reader() as session:
        rows = (await session.exec(select(WordHashRow))).all()
    assert {row.call_id for row in rows} == {"c0", "c1"}
    assert {len(row.word) for row in rows} == {16}
    assert len([row for row in rows if row.call_id == "c0"]) == 9  # "two" is there once


async def test_a_search_needs_a_word_and_not_too_many(database: Database, store: CallStore) -> None:
    index = WordIndex(database, lambda: KEY)
    with pytest.raises(NoWords):
        await index.find_calls(" ?! ", 10)
    with pytest.raises(TooManyWords):
        await index.find_calls(" ".join(f"w{number}" for number in range(11)), 10)


async def test_an_entry_written_twice_is_there_once(store: CallStore) -> None:
    await store.add_entries([said("c0", 0, "A table for two, please.")])


async def test_words_go_with_their_call_and_with_withdrawn_consent(database: Database, store: CallStore) -> None:
    index = WordIndex(database, lambda: KEY)
    await store.add_entries([ForgetWordsEntry("c0", position=1, seq=0)])
    assert await found(index, "table") == ["c1"]
    assert await found(index, "sunday") == ["c1", "c0"]
    async with database.writer() as session:
        await session.exec(delete(CallRow).where(col(CallRow.call_id) == "c1"))
    async with database.reader() as session:
        assert {row.call_id for row in (await session.exec(select(WordHashRow))).all()} == {"c0"}


async def test_the_index_is_made_again_for_the_agents_that_ask_for_it(database: Database, store: CallStore) -> None:
    index = WordIndex(database, lambda: KEY)
    assert await index.index_again(["other"]) == (1, 2)
    assert await found(index, "table") == ["c2"]
    assert await index.index_again(["front-desk", "other"]) == (3, 0)
    assert await found(index, "table") == ["c2", "c1", "c0"]
    assert await index.index_again([]) == (0, 3)
    assert await found(index, "table") == []
