"""Calls back: one for each call, by the rules of any call."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from calling.callbacks import CallsBack, instructions_for
from calling.errors import NotNow
from calling.request import CallRequest
from config.agent import AgentConfig
from storage.errors import DatabaseAway
from transcripts.call import Call, Direction
from transcripts.outgoing import Outgoing

AT = datetime(2026, 3, 2, 15, tzinfo=UTC)
AGENT = AgentConfig.model_validate({"name": "desk", "bot": "receptionist", "instructions": "You are kind."})
CALL = Call("c1", "CA1", "desk", Direction.INBOUND, "+15557654321", "+15551230100", {"name": "Alex"}, AT)


class Refused(Exception):
    """What the tool of the model understands."""


@dataclass
class Dialler:
    """Takes every request, or none."""

    trouble: Exception | None = None
    placed: list[tuple[CallRequest, str]] = field(default_factory=list)
    called_off: list[str] = field(default_factory=list)

    async def place(
        self, request: CallRequest, *, requested_by: str = "", idempotency_key: str | None = None
    ) -> tuple[Outgoing, bool]:
        if self.trouble:
            raise self.trouble
        self.placed.append((request, requested_by))
        return cast(Outgoing, SimpleNamespace(call=SimpleNamespace(call_id=f"back-{len(self.placed)}"))), True

    async def call_off(self, call_id: str) -> None:
        self.called_off.append(call_id)


def calls_back(**options: Any) -> tuple[CallsBack, Dialler]:
    arranging, dialler = CallsBack(Refused), Dialler(**options)
    arranging.dialler = dialler
    return arranging, dialler


async def test_the_same_agent_calls_from_the_same_number_and_knows_why() -> None:
    arranging, dialler = calls_back()
    assert await arranging.arrange(CALL, AGENT, "+15557654321", AT, " the  {bill} ") == "back-1"
    [(request, asked_by)] = dialler.placed
    assert (request.agent, request.to, request.from_number, request.at) == ("desk", "+15557654321", "+15551230100", AT)
    assert (request.variables, asked_by) == ({"name": "Alex"}, "callback")
    assert request.overrides.instructions == instructions_for(AGENT, "the (bill)")
    assert "You are kind.\n\nYou call this person back" in request.overrides.instructions


async def test_whoever_was_called_is_called_again_from_the_number_that_he_knows() -> None:
    arranging, dialler = calls_back()
    placed = Call("c2", "CA2", "desk", Direction.OUTBOUND, "+15551230100", "+15557654321", {}, AT)
    await arranging.arrange(placed, AGENT, "+15557654321", AT, "x")
    assert dialler.placed[0][0].from_number == "+15551230100"


async def test_a_later_wish_takes_the_place_of_an_earlier_one_and_the_same_wish_is_one() -> None:
    arranging, dialler = calls_back()
    assert await arranging.arrange(CALL, AGENT, "+15557654321", AT, "x") == "back-1"
    assert await arranging.arrange(CALL, AGENT, "+15557654321", AT, "y") == "back-1"
    assert await arranging.arrange(CALL, AGENT, "+15557654321", AT + timedelta(hours=1), "x") == "back-2"
    assert dialler.called_off == ["back-1"]


async def test_what_is_refused_is_told_in_a_sentence_and_the_earlier_wish_stands() -> None:
    arranging, dialler = calls_back()
    await arranging.arrange(CALL, AGENT, "+15557654321", AT, "x")
    dialler.trouble = NotNow("to: it is not within 08:00-21:00 there.")
    with pytest.raises(Refused, match="not within 08:00-21:00"):
        await arranging.arrange(CALL, AGENT, "+15557654321", AT + timedelta(hours=9), "x")
    dialler.trouble = DatabaseAway("away")
    with pytest.raises(Refused, match="Nothing can be written down"):
        await arranging.arrange(CALL, AGENT, "+15557654321", AT + timedelta(hours=9), "x")
    assert dialler.called_off == []
    with pytest.raises(Refused):
        await CallsBack(Refused).arrange(CALL, AGENT, "+15557654321", AT, "x")
