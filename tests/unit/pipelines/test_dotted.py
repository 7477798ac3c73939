"""A dotted stage is a class of Pipecat's frame processors, or the file is refused and no call is built of it."""

from pathlib import Path

import pytest

from config.agent_file import Checks, parse_agent
from pipelines.stages import CannotBuildPipeline, check_dotted, find_class

IS_NONE = {
    "os.system": "os.system is not a Pipecat FrameProcessor",
    "subprocess.Popen": "subprocess.Popen is not a Pipecat FrameProcessor",
    "builtins.dict": "builtins.dict is not a Pipecat FrameProcessor",
    "os.environ": "os.environ is not a Pipecat FrameProcessor",
    "pipecat.pipeline.runner.PipelineRunner": "is not a Pipecat FrameProcessor",
    "pipecat.processors.filters.identity_filter.Nothing": "there is no class",
    "no_such_package.Stage": "there is no class no_such_package.Stage: No module named",
}
FINE = "pipecat.processors.filters.identity_filter.IdentityFilter"


@pytest.mark.parametrize("dotted", IS_NONE)
def test_anything_else_is_refused_when_the_file_is_read_and_when_a_call_is_built(dotted: str) -> None:
    for stage in (dotted, f"{{{dotted}: {{a: 1}}}}"):
        text = f"bot: desk\npipeline: [transport.input, {stage}, transport.output]\n"
        _, faults = parse_agent(Path("x.yaml"), text.encode(), Checks({"desk": None}, check_dotted))
        [told] = [str(fault) for fault in faults]
        assert "pipeline[1]" in told
        assert IS_NONE[dotted] in told
    with pytest.raises(CannotBuildPipeline, match=IS_NONE[dotted].split(" ")[0]):
        find_class(dotted)


def test_below_the_ladder_too() -> None:
    text = "bot: desk\non_failure: [{pipeline: [transport.input, os.system, transport.output]}]\n"
    _, faults = parse_agent(Path("x.yaml"), text.encode(), Checks({"desk": None}, check_dotted))
    [told] = [str(fault) for fault in faults]
    assert "on_failure[0].pipeline[1]" in told
    assert "os.system is not a Pipecat FrameProcessor" in told


def test_a_frame_processor_is_taken() -> None:
    text = f"bot: desk\npipeline: [transport.input, {FINE}, transport.output]\n"
    agent, faults = parse_agent(Path("x.yaml"), text.encode(), Checks({"desk": None}, check_dotted))
    assert faults == []
    assert agent is not None
    assert find_class(FINE).__name__ == "IdentityFilter"
