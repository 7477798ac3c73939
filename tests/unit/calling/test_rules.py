"""Whether a call may be placed: numbers, lists, costs, hours, variables."""

from datetime import UTC, datetime
from typing import Any

import pytest

from calling.errors import BadValue, Forbidden, NotNow
from calling.rules import Wish, check
from calling.zones import is_fictional, is_within, zones_of
from config.agent import AgentConfig
from config.outbound import Outbound
from config.telephone_number import is_costly

PERSON, OURS = "+15551230177", "+15551230100"
BERLIN, NEW_YORK, MOBILE_AU = "+493012345678", "+12125552368", "+61412345678"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def agent(**outbound: Any) -> AgentConfig:
    return AgentConfig.model_validate(
        {"name": "x", "bot": "b", "numbers": [OURS], "outbound": {"enabled": True, **outbound}}
    )


def wish(to: str = PERSON, *, moment: datetime = NOON, from_number: str | None = None, **variables: str) -> Wish:
    return Wish(to, from_number, variables, moment)


def at(hour: int, minute: int = 0) -> datetime:
    return NOON.replace(hour=hour, minute=minute)


def test_the_agents_own_number_is_shown_unless_another_of_ours_is_asked_for() -> None:
    assert check(agent(), wish(), {OURS}) == OURS
    assert check(agent(**{"from": "+15551230101"}), wish(), {OURS}) == "+15551230101"
    assert check(agent(), wish(from_number="+15551230102"), {OURS, "+15551230102"}) == "+15551230102"
    with pytest.raises(BadValue, match="none of ours"):
        check(agent(), wish(from_number="+15551230102"), {OURS})
    without = agent().model_copy(update={"numbers": ()})
    with pytest.raises(BadValue, match="no number of its own"):
        check(without, wish(), {OURS})


@pytest.mark.parametrize("number", ["", "911", "15551230177", "+1 555 123 0177", "+1555", "+1555123017799999", "x"])
def test_what_is_no_number_is_refused(number: str) -> None:
    with pytest.raises(BadValue, match="E.164"):
        check(agent(), wish(number), {OURS})


def test_an_agent_calls_nobody_unless_its_file_says_so() -> None:
    assert not Outbound().enabled
    with pytest.raises(Forbidden, match="enabled: true"):
        check(agent(enabled=False), wish(), {OURS})


def test_lists_go_by_how_a_number_begins_and_a_block_wins() -> None:
    check(agent(allow=["+1"]), wish(), {OURS})
    with pytest.raises(Forbidden, match="outbound.allow"):
        check(agent(allow=["+49"]), wish(), {OURS})
    with pytest.raises(Forbidden, match="outbound.block"):
        check(agent(allow=["+1"], block=["+155512"]), wish(), {OURS})


@pytest.mark.parametrize(
    "number", ["+19005551234", "+449098790000", "+448712345678", "+33892123456", "+881612345678", "+979123456789"]
)
def test_what_costs_more_than_a_call_has_to_be_allowed(number: str) -> None:
    assert is_costly(number)
    with pytest.raises(Forbidden, match="allow_premium"):
        check(agent(hours="any"), wish(number), {OURS})
    check(agent(hours="any", allow_premium=True), wish(number), {OURS})


@pytest.mark.parametrize("number", [PERSON, BERLIN, NEW_YORK, MOBILE_AU, "+18005551234"])
def test_an_ordinary_number_costs_what_a_call_costs(number: str) -> None:
    assert not is_costly(number)


@pytest.mark.parametrize(
    ("number", "open_at", "shut_at"),
    [
        (BERLIN, at(7), at(6, 59)),  # 08:00 and 07:59 there, in winter
        (BERLIN, at(19, 59), at(20)),
        (NEW_YORK, at(13), at(12, 59)),
        # A mobile phone of Australia: 08:00 in Perth is 11:00 in Sydney, 21:00 in Sydney is 18:00 in Perth.
        (MOBILE_AU, at(2), at(11)),
    ],
)
def test_people_are_left_alone_at_night_wherever_they_may_be(number: str, open_at: datetime, shut_at: datetime) -> None:
    check(agent(), wish(number, moment=open_at), {OURS})
    with pytest.raises(NotNow, match="08:00-21:00"):
        check(agent(), wish(number, moment=shut_at), {OURS})
    check(agent(hours="any"), wish(number, moment=shut_at), {OURS})


def test_nobody_can_be_woken_at_a_fictional_number_but_hours_of_the_file_hold_there_too() -> None:
    assert is_fictional(PERSON)
    assert is_fictional("+12125550123")
    assert not is_fictional(NEW_YORK)
    assert not is_fictional("+4955501234567")
    check(agent(), wish(moment=at(3)), {OURS})
    check(agent(hours="09:00-17:00"), wish(moment=at(9)), {OURS})
    with pytest.raises(NotNow, match="09:00-17:00"):
        check(agent(hours="09:00-17:00"), wish(moment=at(17)), {OURS})


def test_a_number_whose_zone_nobody_knows_is_not_called() -> None:
    assert zones_of("+80012345678") is None
    with pytest.raises(NotNow, match="time zone"):
        check(agent(), wish("+80012345678"), {OURS})
    check(agent(hours="any"), wish("+80012345678"), {OURS})


def test_hours_may_go_on_past_midnight() -> None:
    window = Outbound(hours="20:00-02:00").window
    assert window is not None
    assert [is_within(at(hour), window, (UTC,)) for hour in (19, 20, 23, 1, 2)] == [False, True, True, True, False]
    assert Outbound(hours="08:00-24:00").window is not None


@pytest.mark.parametrize("hours", ["8-21", "08:00-08:00", "24:00-08:00", "08:00-24:30", "always", ""])
def test_hours_that_are_none_are_refused(hours: str) -> None:
    with pytest.raises(ValueError, match="hours|begins"):
        Outbound(hours=hours)


def test_a_placeholder_without_a_value_is_named() -> None:
    asks = agent().model_copy(
        update={"greeting": "Dear {name}, {{not}} {this}.", "variables": {"name": "", "this": "x"}}
    )
    with pytest.raises(BadValue, match="variables: name has no value"):
        check(asks, wish(), {OURS})
    check(asks, wish(name="Ann"), {OURS})
