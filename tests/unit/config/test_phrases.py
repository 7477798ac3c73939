"""An agent's phrases: its own where the file gives them, else those of its language."""

from pathlib import Path

import pytest

from config.agent import AgentConfig
from config.agent_file import Checks, parse_agent
from config.agent_schema import agent_schema
from config.phrases import ANNOUNCEMENT, Phrases, default_announcement, default_phrases

LANGUAGES = ["en-US", "de-DE", "es-ES", "fr-FR"]


def agent(**fields: object) -> AgentConfig:
    return AgentConfig.model_validate({"name": "front-desk", "bot": "receptionist", **fields})


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_phrase_has_a_wording_of_its_own_in_every_language(language: str) -> None:
    phrases, others = default_phrases(language), [default_phrases(code) for code in LANGUAGES if code != language]
    for name, text in phrases:
        assert text.strip()
        assert text[-1] in ".!?"
        assert text not in [getattr(other, name) for other in others], name
    assert phrases.model_fields_set == set(Phrases.model_fields) or language == "en-US"


def test_a_german_agent_speaks_german_where_it_says_nothing_else() -> None:
    found = agent(language="de-AT", phrases={"goodbye": "Servus!"}, recording={"consent": "announce"})
    assert found.phrases.goodbye == "Servus!"
    assert found.phrases.filler == default_phrases("de").filler == "Einen Moment, bitte."
    assert found.recording.announcement == default_announcement("de") != ANNOUNCEMENT
    assert found.recording.consent == "announce"


@pytest.mark.parametrize("language", ["en-GB", "ja-JP", "gsw"])
def test_an_agent_of_any_other_language_has_the_english_ones(language: str) -> None:
    found = agent(language=language)
    assert found.phrases == Phrases()
    assert found.recording.announcement == ANNOUNCEMENT


def test_an_agent_without_a_language_is_english() -> None:
    assert agent().phrases == Phrases()


def test_an_announcement_that_is_written_stays() -> None:
    assert agent(language="fr-FR", recording={"announcement": "Enregistré."}).recording.announcement == "Enregistré."


def test_phrases_that_were_built_already_stay_as_they_are() -> None:
    assert agent(language="de-DE", phrases=Phrases(filler="Ha.")).phrases.filler == "Ha."


def test_a_copy_of_an_agent_keeps_its_words() -> None:
    found = agent(language="de-DE", phrases={"goodbye": "Servus!"})
    assert AgentConfig.model_validate(found.model_dump()) == found
    assert AgentConfig.model_validate(found) == found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("phrases: {goodby: x}", "phrases.goodby: unknown field; did you mean 'goodbye'?"),
        ("phrases: {goodbye: ''}", "phrases.goodbye: must not be empty (got '')"),
        ("phrases: [a]", "phrases: must be a mapping of names to values (got a list)"),
        ("phrases:", "phrases: must be a mapping of names to values (got nothing)"),
        ("recording: off", "recording: must be a mapping of names to values (got 'off')"),
        ("phrases: {busy: 'Rufen Sie {x} an.'}", "phrases.busy: unknown variable {x}; add x under variables:"),
    ],
)
@pytest.mark.parametrize("language", ["en-US", "de-DE"])
def test_what_is_wrong_is_said_of_what_was_written(language: str, line: str, expected: str) -> None:
    content = f"bot: receptionist\nlanguage: {language}\n{line}\n".encode()
    found, problems = parse_agent(Path("x.yaml"), content, Checks())
    assert found is None
    assert len(problems) == 1
    assert str(problems[0]).startswith(f"x.yaml: {expected}")


@pytest.mark.parametrize("language", ["7", "[de]", "D", "'-'"])
def test_a_language_that_cannot_be_is_the_only_thing_said(language: str) -> None:
    found, problems = parse_agent(Path("x.yaml"), f"bot: receptionist\nlanguage: {language}\n".encode(), Checks())
    assert found is None
    assert [problem.field for problem in problems] == ["language"]


def test_the_schema_shows_the_english_defaults_and_knows_every_phrase() -> None:
    properties = agent_schema()["$defs"]["Phrases"]["properties"]
    assert {name: entry["default"] for name, entry in properties.items()} == dict(Phrases())
    assert "required" not in agent_schema()["$defs"]["Phrases"]
