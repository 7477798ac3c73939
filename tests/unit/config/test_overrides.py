"""What one placed call changes of its agent, and what whoever is called hears first."""

from typing import Any

import pytest

from config.agent import AgentConfig
from config.overrides import with_overrides
from config.phrases import DISCLOSURE, default_disclosure


def agent(**fields: Any) -> AgentConfig:
    return AgentConfig.model_validate({"name": "x", "bot": "b", **fields})


def test_without_overrides_it_is_the_agent_itself() -> None:
    mine = agent()
    assert with_overrides(mine, {}) is mine


def test_each_override_takes_the_place_of_one_field() -> None:
    mine = agent(greeting="Hi.", instructions="Be kind.", limits={"max_call_secs": 600, "silence_ask_secs": 5})
    other = with_overrides(mine, {"greeting": "Hello.", "voice": "Puck", "max_call_secs": 60, "disclosure": "A robot."})
    assert (other.greeting, other.instructions, other.disclosure) == ("Hello.", "Be kind.", "A robot.")
    assert (other.limits.max_call_secs, other.limits.silence_ask_secs) == (60, 5)
    stage, before = other.pipeline.find("gemini_live"), mine.pipeline.find("gemini_live")
    assert stage is not None
    assert before is not None
    assert stage.settings == {**before.settings, "voice": "Puck"}
    assert mine.greeting == "Hi."
    assert with_overrides(mine, {"greeting": ""}).greeting == ""


def test_in_another_language_it_says_that_languages_words_but_for_its_own() -> None:
    mine = agent(phrases={"goodbye": "So long!"}, recording={"announcement": "We record."})
    german = with_overrides(mine, {"language": "de-DE"})
    assert german.language == "de-DE"
    assert german.phrases.goodbye == "So long!"
    assert german.phrases.still_there == "Sind Sie noch da?"
    assert german.recording.announcement == "We record."
    assert german.disclosure == default_disclosure("de") != DISCLOSURE
    assert with_overrides(agent(language="de-AT"), {"language": "en-GB"}).phrases == agent().phrases


def test_an_agent_says_who_calls_in_its_language_unless_it_is_told_not_to() -> None:
    assert agent().disclosure == DISCLOSURE
    assert agent(language="fr-FR").disclosure == "Vous parlez à un assistant automatique."
    assert agent(language="fr-FR", disclosure="Bonjour.").disclosure == "Bonjour."
    assert agent(language="fr-FR", disclosure=False).disclosure is False
    for text in ("off", "No", ""):
        with pytest.raises(ValueError, match="disclosure"):
            agent(disclosure=text)
    with pytest.raises(ValueError, match="unknown variable"):
        agent(disclosure="{nobody} calls.")
