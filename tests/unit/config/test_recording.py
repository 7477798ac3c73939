"""The `recording:` section: who can be asked, how, and what is said of a section that cannot be."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from config.agent import AgentConfig
from config.agent_file import Checks, GuestSettings, parse_agent
from config.phrases import QUESTION, default_question

LANGUAGES = ["en-US", "de-DE", "es-ES", "fr-FR"]
BOTS: dict[str, type[BaseModel] | None] = {"receptionist": None, "own": GuestSettings}


def problems(text: str, *, bot: str = "receptionist") -> list[str]:
    content = f"bot: {bot}\n{text}\n".encode()
    _agent, found = parse_agent(Path("x.yaml"), content, Checks(BOTS))
    return [str(one) for one in found]


@pytest.mark.parametrize("language", LANGUAGES)
def test_everybody_is_asked_in_his_own_language(language: str) -> None:
    fields = {"name": "a", "bot": "b", "language": language, "recording": {"consent": "ask"}}
    question = AgentConfig.model_validate(fields).recording.question
    assert question == default_question(language)
    assert question not in [default_question(other) for other in LANGUAGES if other != language]
    assert "1" in question
    assert "2" in question


def test_an_agent_of_any_other_language_asks_in_english() -> None:
    fields = {"name": "a", "bot": "b", "language": "ja-JP", "recording": {"consent": "ask"}}
    assert AgentConfig.model_validate(fields).recording.question == QUESTION


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("{consent: ask, question: ''}", "recording.question: must not be empty (got '')"),
        ("{consent: ask, question: 'May {x} record?'}", "recording.question: unknown variable {x}; add x under"),
        ("{consent: ask, yes_key: '12'}", "recording.yes_key: must be one key of a telephone (got '12')"),
        ("{consent: ask, yes_key: '2'}", "recording: yes_key and no_key are both '2'; give them two different keys"),
        ("{consent: ask, no_key: '9'}", "recording: question names the keys 1 and 2; yes_key is '1', no_key '9'"),
        ("{consent: maybe}", "recording.consent: must be 'off', 'announce' or 'ask' (got 'maybe')"),
        ("{without_consent: {transcript: some}}", "recording.without_consent.transcript: must be 'keep' or 'drop'"),
        ("{without_consent: {audio: keep}}", "recording.without_consent.audio: unknown field"),
        ("{longest_pause_secs: 1}", "recording.longest_pause_secs: must be >= 5 (got 1)"),
    ],
)
def test_what_is_wrong_with_a_section_is_said(section: str, expected: str) -> None:
    [found] = problems(f"recording: {section}")
    assert found.startswith(f"x.yaml: {expected}"), found


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ("[transport.input, silero_vad, user_turns, transport.output, recorder]", "no stage that could ask"),
        ("[transport.input, user_turns, gemini_live, transport.output, recorder]", "no silero_vad"),
        ("[transport.input, silero_vad, a.Ears, a.Mind, a.Voice, transport.output, recorder]", "no user_turns"),
        ("[transport.input, silero_vad, user_turns, gemini_live, transport.output]", "no recorder"),
    ],
)
def test_a_pipeline_that_cannot_ask_is_told_so(stages: str, expected: str) -> None:
    [found] = problems(f"recording: {{consent: ask}}\npipeline: {stages}")
    assert found.startswith(f"x.yaml: recording.consent: is ask, and the pipeline has {expected}; add '- ")
    assert problems(f"recording: {{consent: ask, enabled: false}}\npipeline: {stages}") == []
    assert problems(f"recording: {{consent: announce}}\npipeline: {stages}") == []


def test_a_guest_asks_nobody() -> None:
    [found] = problems("recording: {consent: ask}", bot="own")
    assert found.startswith("x.yaml: recording.consent: is ask, and the bot 'own' runs its own pipeline")
    assert problems("recording: {consent: announce}", bot="own") == []
    assert problems("settings: {a: 1}", bot="own") == [
        "x.yaml: settings: the bot 'own' takes no settings; remove this section"
    ]
