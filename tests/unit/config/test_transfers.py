"""`transfers:` and `digits:` of an agent's file: what is taken, and what is refused with its place and its cure."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from config.agent import AgentConfig
from config.agent_file import Checks, parse_agent
from config.overrides import Overrides
from config.routing import AskAnswer, Result

SALES = {"to": ["+15551230199"], "describe": "Sales."}


def read(**fields: Any) -> tuple[AgentConfig | None, list[str]]:
    text = yaml.safe_dump({"bot": "receptionist", **fields})
    agent, problems = parse_agent(Path("x.yaml"), text.encode(), Checks({"receptionist": None}))
    return agent, [str(problem) for problem in problems]


def test_one_address_several_and_their_own_ring_times() -> None:
    agent, problems = read(
        transfers={
            "sales": SALES | {"to": ["+15551230199", {"address": "sip:sales@example.com:5060", "ring_secs": 8}]},
            "owner": {"to": "+15551230198", "describe": "The owner."},
        }
    )
    assert problems == []
    assert agent is not None
    sales = agent.transfers["sales"]
    assert [(target.address, sales.ring_secs_of(target)) for target in sales.to] == [
        ("+15551230199", 20),
        ("sip:sales@example.com:5060", 8),
    ]
    assert agent.transfers["owner"].to[0].address == "+15551230198"


@pytest.mark.parametrize(
    ("transfer", "problem"),
    [
        ({"to": ["555 0199"]}, "transfers.sales.to[0].address: must be a phone number in E.164 form"),
        ({"to": ["+1 555 123 0199"]}, 'write "+15551230199"'),
        ({"to": ["sip:sales"]}, "transfers.sales.to[0].address: is no SIP address (got 'sip:sales')"),
        ({"to": []}, "transfers.sales.to: must not be empty"),
        ({"to": ["+15551230199", "+15551230199"]}, "transfers.sales.to: +15551230199 is listed twice"),
        ({"to": ["+15551230100"]}, "+15551230100 is the agent's own number: the transfer would come back to it"),
        ({"to": ["+19005550123"]}, "+19005550123 is a premium-rate, shared-cost or satellite number; name another one"),
        ({"ring_secs": 2}, "transfers.sales.ring_secs: must be >= 5"),
        ({"caller_id": "me"}, "transfers.sales.caller_id: must be a phone number"),
        ({"when_not_answered": "wait"}, "transfers.sales.when_not_answered: must be 'return', 'hang_up' or 'message'"),
        ({"say": "I am connecting you, {nobody}."}, "transfers.sales.say: unknown variable {nobody}"),
    ],
)
def test_what_cannot_be_dialled_is_refused_with_its_place(transfer: dict[str, Any], problem: str) -> None:
    _, problems = read(numbers=["+15551230100"], transfers={"sales": SALES | transfer})
    assert len(problems) == 1
    assert problem in problems[0]


def test_a_costly_number_may_be_rung_when_the_file_says_so() -> None:
    _, problems = read(outbound={"allow_premium": True}, transfers={"sales": SALES | {"to": ["+19005550123"]}})
    assert problems == []


@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_costly_number_is_no_last_resort_unless_the_file_says_so(is_allowed: bool) -> None:
    _, problems = read(outbound={"allow_premium": is_allowed}, on_failure=["say", {"transfer": "+19005550123"}])
    expected = "on_failure[1].transfer: +19005550123 is a premium-rate, shared-cost or satellite number; name another"
    assert [problem for problem in problems if expected not in problem] == []
    assert bool(problems) is not is_allowed


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ({"transfers": {"sales": SALES | {"to": ["{number}"]}}}, "transfers.sales.to[0].address"),
        ({"transfers": {"sales": SALES | {"to": [{"address": "+1555{number}"}]}}}, "transfers.sales.to[0].address"),
        ({"transfers": {"sales": SALES | {"to": ["sip:{number}@example.com"]}}}, "transfers.sales.to[0].address"),
        ({"transfers": {"sales": SALES | {"caller_id": "{number}"}}}, "transfers.sales.caller_id"),
        ({"on_failure": [{"transfer": "{number}"}]}, "on_failure[0].transfer"),
    ],
)
def test_whom_callers_are_put_through_to_is_never_filled_in(content: dict[str, Any], place: str) -> None:
    """Nobody looks these numbers up in the do-not-call list: they have to be the operator's own words."""
    _, [problem] = read(variables={"number": "+15551230199"}, **content)
    assert place in problem


def test_neither_a_webhook_nor_a_placed_call_names_whom_to_put_through() -> None:
    for part in ({"transfer": "+15551230199"}, {"transfers": {"sales": SALES}}, {"to": "+15551230199"}):
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            AskAnswer.model_validate({"agent": "desk"} | part)
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            Overrides.model_validate(part)
    with pytest.raises(ValidationError, match="transfer"):
        Result.model_validate({"transfer": "{number}"})


def test_a_message_needs_a_recording() -> None:
    _, [problem] = read(recording={"enabled": False}, transfers={"sales": SALES | {"when_not_answered": "message"}})
    assert "a message is kept in the recording, which is off; set recording.enabled: true" in problem


def test_a_name_that_a_model_cannot_say_is_refused() -> None:
    _, [problem] = read(transfers={"front desk": SALES})
    assert "'front desk' is not a usable name" in problem


def test_fields_that_callers_enter() -> None:
    agent, problems = read(digits={"sent_by": "tones", "fields": {"pin": {"count": 4, "secret": True}}})
    assert problems == []
    assert agent is not None
    assert agent.digits.sent_by == "tones"
    pin = agent.digits.fields["pin"]
    assert (pin.count, pin.secret, pin.until, pin.first_key_secs, pin.next_key_secs) == (4, True, "#", 10, 5)


def test_a_field_of_no_keys_is_refused() -> None:
    _, [problem] = read(digits={"fields": {"pin": {"count": 0}}})
    assert "digits.fields.pin.count: must be >= 1 (got 0)" in problem
