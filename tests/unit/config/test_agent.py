"""AgentConfig: defaults, the {variables} in its texts and the limits that belong together."""

import pytest
from pydantic import ValidationError

from config.agent import AgentConfig, Limits
from config.errors import UnknownVariable
from config.pipeline import PipelineDefinition


def test_a_bot_is_all_that_an_agent_needs() -> None:
    agent = AgentConfig(name="plain", bot="receptionist")
    assert agent.pipeline == PipelineDefinition.default()
    assert (agent.language, agent.greeting, agent.numbers) == ("en-US", "", ())
    assert (agent.limits.max_call_secs, agent.limits.warn_at_secs) == (600, 540)
    assert agent.recording.consent == "off"


def test_render_fills_in_variables_and_what_the_call_brings_goes_first() -> None:
    agent = AgentConfig(name="a", bot="b", variables={"business": "Blue Door", "day": "Monday"})
    assert agent.render("{business} on {day}", {"day": "Friday"}) == "Blue Door on Friday"


def test_render_leaves_other_braces_alone() -> None:
    agent = AgentConfig(name="a", bot="b", variables={"x": "1"})
    assert agent.render('{"x": {}} { x } {x} {{y}} }{') == '{"x": {}} { x } 1 {y} }{'


def test_a_value_is_never_filled_in_again() -> None:
    agent = AgentConfig(name="a", bot="b", variables={"x": "{y}", "y": "secret"})
    assert agent.render("{x}", {"x": "{y} {{y}}"}) == "{y} {{y}}"


def test_render_refuses_an_unknown_name() -> None:
    with pytest.raises(UnknownVariable, match=r"unknown variable \{nobody\}; known are: somebody"):
        AgentConfig(name="a", bot="b", variables={"somebody": "x"}).render("{nobody}")


@pytest.mark.parametrize(
    ("limits", "at_secs"),
    [
        (Limits(max_call_secs=30), None),
        (Limits(max_call_secs=60), None),
        (Limits(max_call_secs=90), 30),
        (Limits(max_call_secs=30, warn_before_secs=5), 25),
        (Limits(warn_before_secs=0), None),
    ],
)
def test_when_to_warn(limits: Limits, at_secs: float | None) -> None:
    assert limits.warn_at_secs == at_secs


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_call_secs": 30, "warn_before_secs": 30}, r"warn_before_secs \(30\) must be shorter than max_call_secs"),
        ({"silence_ask_secs": 20}, r"silence_ask_secs \(20\) must be shorter than silence_hangup_secs \(20\)"),
        ({"silence_hangup_secs": 5}, r"silence_ask_secs \(8\) must be shorter than silence_hangup_secs \(5\)"),
    ],
)
def test_limits_that_contradict_each_other(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Limits.model_validate(values)
