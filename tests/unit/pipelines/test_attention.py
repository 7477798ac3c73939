"""Another language in mid-call: which codes are understood, what of the agent changes, and what a new one is told."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from config.agent import AgentConfig
from config.agent_file import Checks, parse_agent
from config.phrases import default_phrases
from pipelines.attention import Attention
from pipelines.attention_tools import speak_language_for
from pipelines.gemini_setup import LiveSetup
from pipelines.sentences import wanted_readings
from pipelines.spoken_language import in_language


def agent(languages: str = "[de-DE, pt-BR]") -> AgentConfig:
    text = f"bot: x\nphrases: {{filler: One sec.}}\nlistening: {{languages: {languages}, idle: {{prompts: [Hm]}}}}"
    found, problems = parse_agent(Path("x.yaml"), text.encode(), Checks())
    assert problems == []
    assert found is not None
    return found


def attention_of(call: Any) -> tuple[Attention, Any]:
    own = agent()
    spoken: list[AgentConfig] = []
    assembly = SimpleNamespace(
        agent=own,
        phrases=own.phrases,
        say_in="",
        announcer=SimpleNamespace(speak_as=spoken.append),
        model=None,
        is_realtime=True,
        processors=[],
        spoken=spoken,
    )
    found = cast(Any, assembly)
    return Attention(own, call.scribe, call.conductor, assembly=lambda: found, ladder=lambda: None), found


@pytest.mark.parametrize("code", ["de-DE", "de-de", "DE", "de-AT", " de "])
async def test_a_language_is_known_by_its_code_or_by_its_first_part(make_call: Any, code: str) -> None:
    call = make_call()
    attention, assembly = attention_of(call)
    assert await attention.speak_language(code) is None
    assert attention.agent.language == "de-DE"
    assert assembly.spoken[-1].phrases == default_phrases("de")
    assert [event.data for event in call.kinds("language.switched")] == [{"language": "de-DE"}]


async def test_a_language_that_is_not_listed_is_refused_with_those_that_are(make_call: Any) -> None:
    call = make_call()
    attention, _ = attention_of(call)
    assert await attention.speak_language("ja-JP") == "speak one of en-US, de-DE, pt-BR"
    assert call.kinds("language.switched") == []


async def test_in_a_language_that_we_have_no_words_in_the_model_puts_ours_into_it(make_call: Any) -> None:
    attention, assembly = attention_of(make_call())
    await attention.speak_language("pt-BR")
    assert assembly.say_in == "pt-BR"
    await attention.speak_language("en-US")
    assert assembly.say_in == ""
    assert assembly.agent.phrases.filler == "One sec.", "its own again"


def test_sentences_are_read_aloud_beforehand_in_every_language() -> None:
    readings = wanted_readings([agent("[de-DE]")])
    assert {reading.language for reading in readings} == {"en-US", "de-DE"}
    german = {reading.text for reading in readings if reading.language == "de-DE"}
    assert default_phrases("de").apology in german
    assert {reading.language for reading in wanted_readings([in_language(agent("[]"), "en-US")])} == {"en-US"}


def test_later_connections_begin_in_the_language_of_the_call() -> None:
    stage = agent().pipeline.find("gemini_live")
    assert stage is not None
    setup = LiveSetup(cast(Any, stage.typed_settings()), "en-US", "Be kind.", languages=("de-DE",))
    later = setup.speaking("de-DE")
    config = later.config(handle=None, has_history=False)
    assert later.language == "de-DE"
    assert "The caller speaks de-DE now" in later.instructions
    assert config.input_audio_transcription is not None
    assert config.input_audio_transcription.language_codes == ["de-DE", "en-US"], "he may go back"
    first = setup.config(handle=None, has_history=False).input_audio_transcription
    assert first is not None
    assert first.language_codes == ["en-US", "de-DE"]


def test_the_model_is_shown_which_languages_there_are() -> None:
    assert "en-US, de-DE, pt-BR" in (speak_language_for(agent()).__doc__ or "")
