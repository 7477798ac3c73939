"""The levers around the pipelines: who watches their frames, and who takes away what calls leave behind."""

from typing import Any

from api import signals
from bench.levers.patching import nothing, replace
from pipelines import pipeline_run, run
from pipelines.housekeeping import Housekeeping

_SWITCHED_OFF = ("enable_rtvi", "enable_turn_tracking")


def watch_every_frame() -> None:
    """Pipecat's defaults: turn tracking, RTVI, and a description of every push for their observers."""
    made: list[Any] = []

    def make_worker(*arguments: Any, **settings: Any) -> Any:
        worker = make(*arguments, **{name: value for name, value in settings.items() if name not in _SWITCHED_OFF})
        made[:] = [worker._observer]
        return worker

    make = replace(pipeline_run, "PipelineWorker", make_worker)
    # Asked right after a worker is made, for what is to stand in its observer's place: that observer.
    replace(pipeline_run, "_QuietObserver", made.pop)


def collect_as_python_does() -> None:
    """Python's thresholds, full collections in the middle of calls, and all that a call made until one comes."""
    replace(signals, "settle", nothing)
    replace(run, "take_apart", nothing)
    replace(Housekeeping, "call_ended", nothing)
