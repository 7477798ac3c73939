"""The list of stages: what each may hold and in which order they stand."""

import pytest
from pydantic import ValidationError

from config.pipeline import STAGES, GeminiLive, PipelineDefinition, SileroVad, Stage


def messages(stages: object) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        PipelineDefinition.model_validate(stages)
    return [error["msg"] for error in caught.value.errors()]


def test_the_default_is_every_named_stage_in_the_order_of_the_table() -> None:
    assert [stage.name for stage in PipelineDefinition.default().stages] == list(STAGES)


def test_a_named_stage_has_complete_settings() -> None:
    pipeline = PipelineDefinition.model_validate(
        ["transport.input", {"silero_vad": {"stop_secs": 0.5}}, "user_turns", "gemini_live", "transport.output"]
    )
    vad = pipeline.find("silero_vad")
    model = pipeline.find("gemini_live")
    assert vad is not None
    assert model is not None
    assert vad.settings == {"stop_secs": 0.5, "start_secs": 0.2, "confidence": 0.7, "min_volume": 0.6}
    assert vad.typed_settings() == SileroVad(stop_secs=0.5)
    assert model.typed_settings() == GeminiLive()
    assert pipeline.find("recorder") is None


def test_a_dotted_stage_keeps_its_arguments_as_written() -> None:
    stage = Stage.model_validate({"speech.services.Listener": {"rate_hz": 8000, "nested": {"a": [1]}}})
    assert (stage.name, stage.is_named) == ("speech.services.Listener", False)
    assert stage.settings == {"rate_hz": 8000, "nested": {"a": [1]}}
    with pytest.raises(KeyError):
        stage.typed_settings()


def test_what_was_dumped_can_be_read_again() -> None:
    pipeline = PipelineDefinition.model_validate(["transport.input", {"a.B": {"c": 1}}, "transport.output"])
    assert PipelineDefinition.model_validate(pipeline.model_dump()) == pipeline
    assert PipelineDefinition.model_validate_json(pipeline.model_dump_json()) == pipeline


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "has no transport.input"),
        (["transport.output"], "has no transport.input"),
        (["transport.input"], "has no transport.output"),
        (["transport.output", "transport.input"], "must begin with transport.input"),
        (["silero_vad", "transport.input", "transport.output"], "must begin with transport.input"),
        (["transport.input", "transport.input", "transport.output"], "names transport.input 2 times"),
        (["transport.input", "transport.output", "transport.output"], "names transport.output 2 times"),
        (["transport.input", "gemini_live", "gemini_live", "transport.output"], "names gemini_live 2 times"),
        (["transport.input", "recorder", "transport.output"], "has recorder on the wrong side of transport.output"),
        (["transport.input", "transcript", "transport.output"], "has transcript on the wrong side of transport.output"),
        (["transport.input", "transport.output", "gemini_live"], "has gemini_live on the wrong side"),
        (["transport.input", "gemini", "transport.output"], "there is no stage 'gemini'"),
        (["transport.input", "a..b", "transport.output"], "there is no stage 'a..b'"),
        (["transport.input", {"a.B": [1]}, "transport.output"], "settings of a.B must be a mapping"),
        (["transport.input", {"a.B": {}, "c.D": {}}, "transport.output"], "must be one stage"),
        (["transport.input", {}, "transport.output"], "must be one stage"),
        (["transport.input", "gemini_live", "transport.output"], "has gemini_live without user_turns"),
        (["transport.input", {"silero_vad": 3}, "transport.output"], "must be a mapping of names to values (got 3)"),
        (["transport.input", {"silero_vad": {"stop_secs": -1}}, "transport.output"], "must be >= 0.05 (got -1)"),
    ],
)
def test_refused(stages: object, message: str) -> None:
    [found] = messages(stages)
    assert found.startswith(message)
