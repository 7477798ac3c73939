"""What becomes of a tool that the model calls wrongly, or that raises."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from loguru import logger

from config.agent import Limits
from pipelines import tool_watch
from pipelines.tool_watch import NO_RULES, watch


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch):
    """Call a tool as a model does; returns what it was answered, and the events of the call."""
    events: list[tuple[str, dict[str, Any]]] = []
    scribe = SimpleNamespace(
        now_ms=0.0,
        discretion=SimpleNamespace(hides_tools=False),
        agent=SimpleNamespace(note_error=lambda _error: None),
        event=lambda kind, **data: events.append((kind, data)),
        await_words=lambda: None,
        tool_started=lambda _filler: None,
        tool_ended=lambda: None,
    )
    call = SimpleNamespace(variables={}, direction=SimpleNamespace(value="inbound"))
    phrases = SimpleNamespace(tool_failed="Sorry.")
    agent = SimpleNamespace(variables={}, phrases=phrases, render=lambda text, _variables: text)
    monkeypatch.setattr(tool_watch, "resources", lambda _params: SimpleNamespace(scribe=scribe, call=call, agent=agent))

    async def call_it(tool: Any, **arguments: Any) -> tuple[Any, list[tuple[str, dict[str, Any]]]]:
        answers: list[Any] = []

        async def keep(result: Any) -> None:
            answers.append(result)

        await watch(tool, NO_RULES, Limits())(SimpleNamespace(result_callback=keep), **arguments)
        [answer] = answers
        return answer, events

    return call_it


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What is logged, as a server would write it."""
    lines: list[str] = []
    sink = logger.add(lines.append, backtrace=False, diagnose=False)
    yield lines
    logger.remove(sink)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "missing a required argument: 'day'"),
        ({"day": "monday", "mood": "sunny"}, "got an unexpected keyword argument 'mood'"),
    ],
)
async def test_a_model_that_gets_the_arguments_wrong_is_told_which(called, log, arguments, reason):
    async def opening_hours(params: Any, day: str) -> None:
        raise AssertionError("it must not run")

    answer, events = await called(opening_hours, **arguments)
    assert answer == {"refused": "bad_arguments", "reason": reason}
    assert [kind for kind, _ in events] == ["tool.called", "tool.refused"]
    assert log == []


async def test_the_log_tells_where_a_tool_raised_and_not_what_it_said(called, log):
    async def book(params: Any, name: str) -> None:
        raise KeyError(name)

    person = " ".join(["Ada", "Lovelace"])
    answer, events = await called(book, name=person)
    assert answer["say"] == 'Apologise, in these words: "Sorry."'
    assert events[-1] == ("tool.failed", {"name": "book", "error": "KeyError: 'Ada Lovelace'"})
    [line] = log
    assert "in book" in line
    assert "KeyError" in line
    assert person not in line
