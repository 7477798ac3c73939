"""`listening:` presets become the values of stages, a stage's own values stay, and what cannot be had is one error."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile  # pyright: ignore[reportMissingTypeStubs]

from config.agent import AgentConfig
from config.agent_file import Checks, parse_agent
from config.listening import INTERRUPTIONS, phrases_in
from config.phrases import default_phrases

BARE = "pipeline: [transport.input, user_turns, gemini_live, transport.output]\n"


def parse(text: str) -> AgentConfig:
    agent, problems = parse_agent(Path("x.yaml"), f"bot: receptionist\n{text}".encode(), Checks({"receptionist": None}))
    assert problems == []
    assert agent is not None
    return agent


def problems_of(text: str) -> list[str]:
    _, problems = parse_agent(Path("x.yaml"), f"bot: receptionist\n{text}".encode(), Checks({"receptionist": None}))
    return [str(problem) for problem in problems]


def stages(text: str) -> tuple[float, dict[str, object]]:
    """`stop_secs`, and Google's detection as far as something is said of it."""
    pipeline = parse(text).pipeline
    silero, live = pipeline.find("silero_vad"), pipeline.find("gemini_live")
    assert silero is not None
    assert live is not None
    return silero.settings["stop_secs"], {name: value for name, value in live.settings["vad"].items() if value}


@pytest.mark.parametrize(
    ("listening", "stop_secs", "vad"),
    [
        ("{}", 0.3, {}),
        ("{interruptions: hard, patience: normal}", 0.3, {}),
        ("{interruptions: easy}", 0.3, {"start_sensitivity": "high", "prefix_padding_ms": 20}),
        ("{patience: quick}", 0.2, {"silence_duration_ms": 300, "end_sensitivity": "high"}),
        ("{patience: patient}", 1.5, {"silence_duration_ms": 1500, "end_sensitivity": "low"}),
        ("{patience: 700}", 0.7, {"silence_duration_ms": 700}),
    ],
)
def test_a_preset_is_these_values(listening: str, stop_secs: float, vad: dict[str, object]) -> None:
    assert stages(f"listening: {listening}") == (stop_secs, vad)


def test_what_a_stage_says_itself_goes_first() -> None:
    own = "pipeline: [transport.input, silero_vad: {stop_secs: 0.4}, user_turns, gemini_live: {vad: {end_sensitivity: high}}, transport.output]"  # noqa: E501
    found = stages(f"listening: {{patience: patient, interruptions: easy}}\n{own}")
    vad = {"silence_duration_ms": 1500, "end_sensitivity": "high", "start_sensitivity": "high", "prefix_padding_ms": 20}
    assert found == (0.4, vad)


def test_the_pipelines_of_the_ladder_are_as_patient() -> None:
    ladder = "on_failure: [pipeline: [transport.input, silero_vad, user_turns, gemini_live, transport.output]]"
    [_, (_, second)] = parse(f"listening: {{patience: patient}}\n{ladder}").pipelines()
    silero = second.find("silero_vad")
    assert silero is not None
    assert silero.settings["stop_secs"] == 1.5


def test_an_override_stands_beside_its_preset() -> None:
    listening = parse("listening: {interruptions: hard, min_interruption_ms: 300}").listening
    assert (listening.interrupting.min_ms, listening.interrupting.min_words) == (300, 3)
    assert listening.has_gate
    assert not parse("listening: {interruptions: never}").listening.interrupting.may_interrupt
    assert not any(preset.min_ms for name, preset in INTERRUPTIONS.items() if name != "hard")
    assert not parse("").listening.has_gate


def test_phrases_of_another_language_are_ours_but_for_its_own() -> None:
    agent = parse('listening: {languages: [de-DE], phrases: {de-DE: {still_there: "Noch da?"}}}')
    german = phrases_in("de-DE", agent.listening)
    assert german.still_there == "Noch da?"
    assert german.goodbye == default_phrases("de").goodbye


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("listening: {patience: slow}", "listening.patience: must be one of quick, normal, patient"),
        ("listening: {patience: 50}", "listening.patience: must be one of quick, normal, patient"),
        ("listening: {patience: true}", "listening.patience: must be one of quick, normal, patient"),
        ("listening: {interruptions: rarely}", "listening.interruptions: must be"),
        ("listening: {ambient: {sound: beach}}", "listening.ambient.sound: there is no sound 'beach'"),
        ("listening: {ambient: {sound: beach.wav}}", "listening.ambient.sound: there is no file"),
        ("listening: {ambient: {sound: office, volume_db: 0}}", "listening.ambient.volume_db: must be <= -12"),
        ("listening: {idle: {prompts: [a, b, c]}}", "listening.idle: hang_up_secs (20) must be longer than 24"),
        ("listening: {languages: [de-DE, de-DE]}", "listening.languages[1]: de-DE is listed twice"),
        ("listening: {languages: [german!]}", "listening.languages[0]: must be a language code"),
        ("listening: {phrases: {fr-FR: {goodbye: Adieu}}}", "listening.phrases.fr-FR: fr-FR is no language that"),
        ("listening: {languages: [fr-FR], phrases: {fr-FR: {bye: x}}}", "listening.phrases.fr-FR: there is no phrase"),
        ("listening: {idle: {prompts: ['{who}?']}}", "listening.idle.prompts[0]: unknown variable {who}"),
        (f"{BARE}listening: {{interruptions: hard}}", "listening.interruptions: needs the stage silero_vad"),
        (f"{BARE}listening: {{protect_greeting: true}}", "listening.protect_greeting: needs the stage silero_vad"),
        ("listening: [hard]", "listening: must be a mapping"),
    ],
)
def test_what_cannot_be_is_one_error_with_its_place(text: str, place: str) -> None:
    [problem] = problems_of(text)
    assert problem.startswith(f"x.yaml: {place}")


@pytest.mark.parametrize(
    ("secs", "wrong"), [(3.0, ""), (0.5, "is only 0.5 s long; it is repeated"), (0, "cannot be played")]
)
def test_a_sound_beside_the_agents_file_must_be_one(tmp_path: Path, secs: float, wrong: str) -> None:
    content = io.BytesIO(b"no sound")
    if secs:
        silence = np.zeros(round(8000 * secs))
        soundfile.write(content, silence, 8000, format="WAV")  # pyright: ignore[reportUnknownMemberType]
    (tmp_path / "room.wav").write_bytes(content.getvalue())
    text = b"bot: receptionist\nlistening: {ambient: {sound: room.wav}}"
    agent, problems = parse_agent(tmp_path / "x.yaml", text, Checks({"receptionist": None}))
    if wrong:
        [problem] = problems
        assert wrong in str(problem)
        assert "listening.ambient.sound" in str(problem)
    else:
        assert agent is not None
        assert agent.listening.ambient.sound == str(tmp_path / "room.wav")
