"""Transfers that go round in a circle, and those that do not."""

from typing import Any

import pytest

from config.agent import AgentConfig
from pipelines.transfer_loops import loop_in

pytestmark = pytest.mark.unit

PERSON, CALLER, LINE = "+15551230199", "+15557654321", "+15551230100"


def agent(name: str, number: str, *to: str, **fields: Any) -> AgentConfig:
    transfers = {"there": {"to": list(to), "describe": "There."}} if to else {}
    return AgentConfig.model_validate({"name": name, "bot": "b", "numbers": [number], "transfers": transfers} | fields)


def loop(to: list[str], *others: AgentConfig) -> str | None:
    desk = agent("desk", LINE, *to)
    known = {number: one for one in (desk, *others) for number in one.numbers}
    return loop_in(desk.transfers["there"], desk, CALLER, LINE, known.get)


def test_a_person_and_an_agent_that_stays_put_are_no_circle() -> None:
    assert loop([PERSON]) is None
    assert loop(["sip:sales@example.com"]) is None
    assert loop([PERSON, "+15551230177"], agent("night", "+15551230177", PERSON)) is None


def test_the_caller_himself_is_a_circle() -> None:
    assert loop([PERSON, CALLER]) == "it is the number of the person on the line"


def test_an_agent_that_transfers_back_is_a_circle_by_however_many_others() -> None:
    first = agent("first", "+15551230177", "+15551230178")
    assert loop(["+15551230177"], first, agent("second", "+15551230178", LINE)) is not None
    assert loop(["+15551230177"], first, agent("second", "+15551230178", "+15551230177")) is None  # not back to us


def test_an_agent_that_transfers_back_when_its_model_fails_is_a_circle() -> None:
    fails = agent("fails", "+15551230177", on_failure=[{"transfer": LINE}])
    assert loop(["+15551230177"], fails) is not None


def test_another_number_of_the_same_agent_is_a_circle() -> None:
    desk = AgentConfig.model_validate({"name": "desk", "bot": "b", "numbers": [LINE]})
    transfer = agent("x", "+15551230111", "+15551230122").transfers["there"]
    assert loop_in(transfer, desk, CALLER, "+15551230122", lambda _number: None) is not None
