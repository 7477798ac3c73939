"""`GET /v1/calls?words=`, and `cli.py search index`."""

import re

import pytest

from tests.unit.api.test_calls import key, problem
from tests.unit.api.test_cli import environment, invoke, own_logs
from tests.unit.api.wire import Line
from tests.unit.transcripts.calls import make_call
from transcripts.call import Speaker, Turn
from transcripts.entries import TurnEntry

__all__ = ["environment", "own_logs"]


async def fill(line: Line) -> None:
    """Two calls of one agent and one of another: each was asked for a table."""
    store = line.server.services.store
    for number, agent in enumerate(("front-desk", "front-desk", "survey")):
        await store.open_call(make_call(f"c{number}", f"CA{number}", agent_name=agent))
        turn = Turn(Speaker.CALLER, f"A table for {('two', 'three', 'four')[number]}, s'il vous pla\u00eet!", 0, 900)
        await store.add_entries([TurnEntry(f"c{number}", 0, turn, is_searched=True)])


async def test_calls_are_found_by_their_words_a_page_at_a_time(line: Line) -> None:
    await fill(line)
    reader = await key(line, "calls:read")

    async def found(**query: str) -> set[str]:
        answer = await line.http.get("/v1/calls", params=query, headers=reader)
        assert answer.status_code == 200, answer.text
        return {call["call_id"] for call in answer.json()["calls"]}

    assert await found(words="TABLE pla\u00eet") == {"c0", "c1", "c2"}
    assert await found(words="two table") == {"c0"}
    assert await found(words="table", agent="survey") == {"c2"}
    assert await found(words="tables") == set()
    first = (await line.http.get("/v1/calls", params={"words": "table", "limit": "2"}, headers=reader)).json()
    assert len(first["calls"]) == 2
    assert len(await found(words="table", limit="2", cursor=first["next_cursor"])) == 1
    # A cursor of one search is none of another.
    other = await line.http.get("/v1/calls", params={"words": "two", "cursor": first["next_cursor"]}, headers=reader)
    problem(other, 422)


async def test_a_key_of_one_agent_finds_no_call_of_another(line: Line) -> None:
    await fill(line)
    narrow = await key(line, "calls:read", agents=["survey"])
    answer = await line.http.get("/v1/calls", params={"words": "table"}, headers=narrow)
    assert [call["call_id"] for call in answer.json()["calls"]] == ["c2"]


@pytest.mark.parametrize("words", ["?!", " ", "\x00", "%ff", "a b c d e f g h i j k", "x" * 201, ""])
async def test_words_that_nothing_can_be_found_by_are_refused(line: Line, words: str) -> None:
    reader = await key(line, "calls:read")
    answer = await line.http.get("/v1/calls", params={"words": words}, headers=reader)
    assert answer.status_code in {422, 200}
    if words != "%ff":
        problem(answer, 422)


async def test_words_need_the_scope(line: Line) -> None:
    problem(await line.http.get("/v1/calls?words=x", headers=await key(line, "keys:read")), 403)


def test_the_index_is_made_from_the_command_line(environment: dict[str, str]) -> None:
    done = invoke(environment, "search", "index")
    assert done.exit_code == 0, done.output
    assert re.search(r"0 calls can be found by their words \(no agent", done.stdout)
