"""The ladder in an agent's file: how steps are written, and what is said of a step that cannot be."""

from pathlib import Path

import pytest

from config.agent import AgentConfig
from config.agent_file import Checks, parse_agent
from config.on_failure import (
    DEFAULT_LADDER,
    RUNGS,
    HangUpRung,
    MessageLimits,
    ModelRung,
    SayRung,
    TakeMessageRung,
    TransferRung,
)

CHECKS = Checks({"receptionist": None}, lambda name: "no such class" if name.startswith("odd.") else None)


def parse(ladder: str, *, more: str = "") -> tuple[AgentConfig | None, list[str]]:
    content = f"bot: receptionist\non_failure: {ladder}\n{more}\n".encode()
    agent, problems = parse_agent(Path("x.yaml"), content, CHECKS)
    return agent, [str(problem) for problem in problems]


def test_an_agent_that_says_nothing_of_it_apologises_and_hangs_up() -> None:
    agent = AgentConfig.model_validate({"name": "a", "bot": "receptionist"})
    assert agent.on_failure == DEFAULT_LADDER == (SayRung(say=None), HangUpRung(hang_up=True))


def test_every_step_can_be_written() -> None:
    agent, problems = parse(
        """
  - model: gemini-other-live
  - pipeline: [transport.input, silero_vad, user_turns, gemini_live, transport.output]
  - say
  - say: We are there from nine.
  - transfer: "+15551230199"
"""
    )
    assert not problems
    assert agent is not None
    model, pipeline, bare, own, transfer = agent.on_failure
    assert (model, bare, own) == (ModelRung(model="gemini-other-live"), SayRung(say=None), SayRung(say=own.say))
    assert own.say == "We are there from nine."
    assert transfer == TransferRung(transfer="+15551230199")
    assert [path for path, _ in agent.pipelines()] == [("pipeline",), ("on_failure", 1, "pipeline")]
    assert pipeline.pipeline.find("gemini_live") is not None
    assert AgentConfig.model_validate(agent.model_dump()) == agent


@pytest.mark.parametrize("ladder", ["[take_message]", "[{take_message: {}}]", "[{take_message: }]"])
def test_a_step_may_stand_alone(ladder: str) -> None:
    agent, _ = parse(ladder)
    assert agent is not None
    assert agent.on_failure == (TakeMessageRung(take_message=MessageLimits(max_secs=90, silence_secs=4)),)


STEPS = ", ".join(sorted(RUNGS))
NO_E164 = "must be a phone number in E.164 form (got '+1555')"
ONE_STEP = "must be one step; write '- say' or '- transfer: \"+15551230199\"', one step per dash"
E164 = 'begin with + and the country code, as in "+15551230100"'


@pytest.mark.parametrize(
    ("ladder", "expected"),
    [
        ("say", "on_failure: must be a list (got 'say'); write it in brackets or with a dash per line"),
        ("[]", "on_failure: must not be empty (got a list)"),
        ("[hello]", f"on_failure[0]: there is no step 'hello'; steps are {STEPS}."),
        ("[{transfr: '+15551230199'}]", "on_failure[0]: there is no step 'transfr'; did you mean 'transfer'?"),
        ("[transfer]", "on_failure[0]: transfer needs a value; write '- transfer: ...'"),
        (
            "[{transfer: '+1555'}]",
            f"on_failure[0].transfer: {NO_E164}; {E164}",
        ),
        (
            "[say, 3]",
            f"on_failure[1]: {ONE_STEP}",
        ),
        ("[{say: ''}]", "on_failure[0].say: must not be empty (got '')"),
        ("[{model: ''}]", "on_failure[0].model: must not be empty (got '')"),
        ("[{hang_up: false}]", "on_failure[0].hang_up: must be True (got false)"),
        (
            "[hang_up, say]",
            "on_failure: step 2 is never reached: the one before it ends the call; move it up or remove it",
        ),
        ("[{take_message: {max_secs: 3}}]", "on_failure[0].take_message.max_secs: must be >= 5 (got 3)"),
        (
            "[{take_message: {max_sec: 9}}]",
            "on_failure[0].take_message.max_sec: unknown field; did you mean 'max_secs'?",
        ),
        (
            "[{pipeline: [transport.input, odd.Thing, transport.output]}]",
            "on_failure[0].pipeline[1]: no such class; name an importable module.Class, or one of the stages",
        ),
        (
            "[{pipeline: [transport.input, {fine.Thing: {voice: '{who}'}}, transport.output]}]",
            "on_failure[0].pipeline[1].fine.Thing.voice: unknown variable {who}; "
            "add who under variables:, or write {{who}} for plain braces",
        ),
        (
            "[{say: 'Ask for {who}.'}]",
            "on_failure[0].say: unknown variable {who}; add who under variables:, or write {{who}} for plain braces",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_cure(ladder: str, expected: str) -> None:
    agent, problems = parse(ladder)
    assert agent is None
    assert problems == [f"x.yaml: {expected}"]


def test_variables_are_known_in_the_ladder() -> None:
    agent, problems = parse("[{say: 'Ask for {who}.'}]", more="variables: {who: the doctor}")
    assert (agent is not None, problems) == (True, [])
