"""Every mistake in an agent file is one line: file, field, what is wrong and how to cure it."""

import os
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from config.agent_file import Checks, parse_agent, read_agent
from config.errors import AgentErrors
from config.yaml_mapping import MAX_FILE_BYTES

PATH = Path("config/agents/x.yaml")


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid")
    key: str
    ask: str
    type: Literal["number", "text", "yes_no"]


class SurveySettings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    questions: list[Question]


def check_dotted(name: str) -> str | None:
    return None if name == "speech.Known" else f"there is no class {name}"


CHECKS = Checks({"receptionist": None, "survey": SurveySettings}, check_dotted)


def lines(text: str | bytes, path: Path = PATH) -> list[str]:
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    agent, problems = parse_agent(path, content, CHECKS)
    assert (agent is None) == bool(problems)
    return [str(problem) for problem in problems]


def test_a_good_file() -> None:
    agent, problems = parse_agent(PATH, b"bot: receptionist\n", CHECKS)
    assert problems == []
    assert agent is not None
    assert (agent.name, agent.bot) == ("x", "receptionist")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "is empty; begin with 'bot: receptionist'"),
        ("- bot", "must be a mapping of names to values; begin with 'bot: receptionist'"),
        ("language: en-US", "bot: is missing; add it"),
        ("bot: 7", 'bot: must be text (got 7); put it in quotes: "7"'),
        ("bot:", "bot: must be text (got nothing); give it a value, or remove the line"),
        ("bot: receptionits", "bot: there is no bot 'receptionits'; did you mean 'receptionist'?"),
        (
            "bot: greeter",
            "bot: there is no bot 'greeter'; add bots/greeter.py, or choose one of receptionist, survey.",
        ),
        ("bot: survey\nbot: receptionist", "bot: is given twice (lines 1 and 2); keep one of them"),
        ("bot: receptionist\nname: x", "name: is taken from the file's name; remove this line"),
        ("bot: receptionist\ngreating: hi", "greating: unknown field; did you mean 'greeting'?"),
        ("bot: receptionist\nlimits: {max_call_secs: 3}", "limits.max_call_secs: must be >= 10 (got 3)"),
        ("bot: receptionist\nlimits: {max_call_secs: true}", "limits.max_call_secs: must be a number (got true)"),
        ("bot: receptionist\ndisclosure: [Hi]", "disclosure: must be a sentence, or false for none (got a list)"),
        ("bot: receptionist\ndisclosure: true", "disclosure: must be a sentence, or false for none (got true)"),
        ('bot: receptionist\ndisclosure: "off"', "disclosure: would be said aloud: 'off'"),
        (
            "bot: receptionist\nlimits: {max_cal_secs: 30}",
            "limits.max_cal_secs: unknown field; did you mean 'max_call_secs'?",
        ),
        ("bot: receptionist\nlimits: {max_call_secs: .inf}", "limits.max_call_secs: must be a number (got '.inf')"),
        ("bot: receptionist\nlimits: 600", "limits: must be a mapping of names to values (got 600)"),
        ("bot: receptionist\nphrases: {goodbye: ''}", "phrases.goodbye: must not be empty (got '')"),
        (
            "bot: receptionist\nnumbers: [+15551230100]",
            'numbers[0]: must be text (got 15551230100); put it in quotes, with the plus sign: "+15551230100"',
        ),
        ("bot: receptionist\nnumbers: [true]", 'numbers[0]: must be text (got true); put it in quotes: "true"'),
        (
            'bot: receptionist\nnumbers: ["+1 555-123-0100"]',
            "numbers[0]: must be a phone number in E.164 form (got '+1 555-123-0100'); write \"+15551230100\"",
        ),
        (
            'bot: receptionist\nnumbers: ["5551230100"]',
            "numbers[0]: must be a phone number in E.164 form (got '5551230100'); "
            'begin with + and the country code, as in "+15551230100"',
        ),
        (
            'bot: receptionist\nnumbers: "+15551230100"',
            "numbers: must be a list (got '+15551230100'); write it in brackets or with a dash per line",
        ),
        (
            'bot: receptionist\nnumbers: ["+15551230100", "+15551230100"]',
            "numbers[1]: +15551230100 is listed twice; keep one of them",
        ),
        (
            "bot: receptionist\nlanguage: English!",
            "language: must be a language code (got 'English!'); write it like en-US",
        ),
        (
            "bot: receptionist\nrecording: {consent: of}",
            "recording.consent: must be 'off', 'announce' or 'ask' (got 'of')",
        ),
        ("bot: receptionist\nrecording: {enabled: maybe}", "recording.enabled: must be true or false (got 'maybe')"),
        (
            "bot: receptionist\nwebhooks: [{url: example.com}]",
            "webhooks[0].url: must be a plain URL such as https://example.com/calls (got 'example.com')",
        ),
        ("bot: receptionist\nwebhook: https://example.com", "webhook: unknown field; did you mean 'webhooks'?"),
        (
            "bot: receptionist\nwebhooks: [{url: 'https://example.com', events: [call.over]}]",
            "webhooks[0].events[0]: must be 'call.started', 'call.ended' or 'call.analyzed' (got 'call.over')",
        ),
        (
            "bot: receptionist\nwebhooks: [{url: 'https://a:b@example.com/'}]",
            "webhooks[0].url: must be a plain URL",
        ),
        (
            "bot: receptionist\nwebhooks: [{url: 'https://example.com', secret: {secret: whsec_a}}]",
            "webhooks[0].secret.secret: must be the name of a secret (got 'whsec_a'); write CRM for",
        ),
        ("bot: receptionist\nbudget: {max_usd_per_day: -1}", "budget.max_usd_per_day: must be >= 0 (got -1)"),
        (
            "bot: receptionist\nanalysis: {fields: {a: {type: enum, description: A}}}",
            "analysis.fields.a: is an enum without values; write values: [one, another]",
        ),
        (
            "bot: receptionist\ngreeting: Hi {nam}",
            "greeting: unknown variable {nam}; add nam under variables:, or write {{nam}} for plain braces",
        ),
        (
            "bot: receptionist\nvariables: {name: A}\nphrases: {goodbye: 'Bye {nam}'}",
            "phrases.goodbye: unknown variable {nam}; did you mean 'name'? Or add nam under variables:",
        ),
        (
            "bot: receptionist\nvariables: {name: A}\ninstructions: Call them {{name}}",
            "instructions: {{name}} says {name} aloud; write {name} for the variable's value",
        ),
        ("bot: receptionist\nvariables: {age: 7}", 'variables.age: must be text (got 7); put it in quotes: "7"'),
        ("bot: receptionist\nvariables: {a-b: c}", "variables.a-b: 'a-b' is not a usable name; use letters, digits"),
        (
            "bot: receptionist\nanalysis: {fields: {a: {type: bool, description: A}}}",
            "analysis.fields.a.type: must be 'string', 'integer', 'number', 'boolean', 'enum', 'date' or 'list' (got",
        ),
        (
            "bot: receptionist\nanalysis: {fields: {a: {type: string, descripton: A, description: A}}}",
            "analysis.fields.a.descripton: unknown field; did you mean 'description'?",
        ),
        (
            "bot: receptionist\npipeline: [transport.input, gemini_liv, transport.output]",
            "pipeline[1]: there is no stage 'gemini_liv'; did you mean 'gemini_live'? Any other Pipecat service",
        ),
        (
            "bot: survey\npipeline: [transport.input, {gemini_live: {vad: {end_sensitivty: low}}}, transport.output]",
            "pipeline[1].gemini_live.vad.end_sensitivty: unknown field; did you mean 'end_sensitivity'?",
        ),
        (
            "bot: receptionist\npipeline: [transport.input, speech.Unknown, transport.output]",
            "pipeline[1]: there is no class speech.Unknown; name an importable module.Class, or one of the stages",
        ),
        (
            "bot: receptionist\npipeline: [transport.input, {speech.Known: {a: ['{b}']}}, transport.output]",
            "pipeline[1].speech.Known.a[0]: unknown variable {b}; add b under variables:",
        ),
        (
            "bot: receptionist\nsettings: {a: 1}",
            "settings: the bot 'receptionist' takes no settings; remove this section",
        ),
        ("bot: survey", "settings.questions: is missing; add it"),
        (
            "bot: survey\nsettings: {questions: [{key: a, ask: A, type: yesno}]}",
            "settings.questions[0].type: must be 'number', 'text' or 'yes_no' (got 'yesno')",
        ),
        (
            "bot: survey\nsettings: {questions: [{key: a, ask: A, type: text, tpye: text}]}",
            "settings.questions[0].tpye: unknown field; did you mean 'type'?",
        ),
    ],
)
def test_one_mistake_is_one_line(text: str, line: str) -> None:
    [found] = lines(text)
    assert found.startswith(f"config/agents/x.yaml: {line}")


def test_all_mistakes_of_a_file_are_named_at_once() -> None:
    found = lines("bot: receptionist\nlanguage: '?'\nlimits: {max_call_secs: 3}\ngreating: hi\n")
    assert [line.split(": ")[1] for line in found] == ["language", "limits.max_call_secs", "greating"]


@pytest.mark.parametrize("name", ["Front Desk", "-x", "ä", "x.y", "a" * 64])
def test_a_file_name_that_cannot_be_an_agent(name: str) -> None:
    [found] = lines("bot: receptionist", Path(f"agents/{name}.yaml"))
    assert "is not a usable agent name; the file's name is the agent's name: lower-case letters" in found


def test_a_file_that_is_not_utf8() -> None:
    assert lines(b"bot: \xff") == ["config/agents/x.yaml: is not UTF-8 text (byte 5); save it as UTF-8"]


def test_a_file_that_is_too_large() -> None:
    [found] = lines("#" * (MAX_FILE_BYTES + 1))
    assert found == "config/agents/x.yaml: is larger than 256 KiB; move long texts into the bot"


def test_a_long_value_is_shortened() -> None:
    [found] = lines(f"bot: receptionist\nlanguage: {'x' * 10_000}")
    assert len(found) < 250


def test_a_folder_and_a_pipe_are_no_agents(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    os.mkfifo(tmp_path / "b.yaml")
    for name in ("a", "b", "absent"):
        agent, [problem] = read_agent(tmp_path / f"{name}.yaml", CHECKS)
        assert agent is None
        assert problem.message == "is not a regular file"


FIELDS = st.sampled_from(
    "bot numbers language greeting instructions variables pipeline limits phrases recording analysis webhooks settings "
    "name max_call_secs fields type ask silero_vad gemini_live vad transport.input a.B questions".split()
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | FIELDS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS | st.text(), inner, max_size=4),
    max_leaves=12,
)


def as_flow(value: object) -> str:
    """YAML text of a value, with plain scalars, so that the text itself decides what they are."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_flow(key)}: {as_flow(below)}" for key, below in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(as_flow(below) for below in value) + "]"
    return "null" if value is None else str(value)


def complain(content: bytes) -> None:
    """Any content is an agent or problems of one line each, never another exception."""
    _, problems = parse_agent(PATH, content, CHECKS)
    said = str(AgentErrors(problems)).encode("utf-8")
    assert len(said.splitlines()) == len(problems)
    assert all(str(problem).startswith("config/agents/x.yaml: ") for problem in problems)


@settings(deadline=None, max_examples=150)
@given(content=st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_an_agent_or_problems(content: bytes) -> None:
    complain(content)
    complain(b"bot: receptionist\ngreeting: " + content)
    complain(b'bot: receptionist\ngreeting: "' + content + b'"')


@settings(deadline=None, max_examples=200)
@given(values=st.dictionaries(FIELDS, VALUES, max_size=6), bot=st.sampled_from(["receptionist", "survey"]))
def test_any_values_are_an_agent_or_problems(values: dict[str, object], bot: str) -> None:
    complain(as_flow({**values, "bot": bot}).encode("utf-8", "surrogatepass"))
    complain(f"bot: {bot}\nlimits: {as_flow(values)}".encode("utf-8", "surrogatepass"))
    stages = ["transport.input", {"gemini_live": values}, {"a.B": values}, "transport.output"]
    complain(f"bot: {bot}\nsettings: {as_flow(values)}\npipeline: {as_flow(stages)}".encode("utf-8", "surrogatepass"))


YAML_PIECES = st.sampled_from(
    ["bot: receptionist\n", "limits:\n", "  ", "- ", "? ", ": ", "[", "]", "{", "}", "&a ", "*a", "!!int ", "!x "]
    + ["|\n", ">-\n", '"', "'", '"\\u', '"\\UFFFF', "%YAML 9\n", "%TAG ! x\n", "---\n", "...\n", "#", "\t", "\n"]
    + ["<<", "~", "1e9", "\ufeff", "{{x}}"]
)


@settings(deadline=None, max_examples=300)
@given(pieces=st.lists(YAML_PIECES, max_size=20))
def test_any_punctuation_is_an_agent_or_problems(pieces: list[str]) -> None:
    complain("".join(pieces).encode())
