"""Silero's model of voice, once for all calls of a process: what waits of all of them is judged in one run."""

import asyncio
import functools
from importlib import resources
from pathlib import Path
from typing import Any, cast

import numpy as np

from config.settings import lend_environment

# onnxruntime (1.32 at least) tells Microsoft about its process, and reads this when it is loaded: by the next line.
lend_environment({"ORT_DISABLE_TELEMETRY": "1"})

# ruff: noqa: E402
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

from pipelines.voice_ears import Ear, EarRow, TellMs
from pipelines.voice_loudness import Floats
from pipelines.voice_state import VoiceSettings
from pipelines.voice_windows import RunModel

GATHER_SECS = 0.03
"""How long audio waits for that of other calls: about a window, so that each call has one in every round."""


def load_run_model() -> RunModel:
    """The model that Pipecat ships, on one thread, as a function. Takes 60 ms and reads the disk."""
    options = cast(Any, onnxruntime.SessionOptions())  # pyright: ignore[reportUnknownMemberType]
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    path = Path(str(resources.files("pipecat.audio.vad.data") / "silero_vad.onnx"))
    session = cast(Any, onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]))
    rates = {rate_hz: np.array(rate_hz, np.int64) for rate_hz in (8000, 16000)}

    def run_model(windows: Floats, states: Floats, rate_hz: int) -> tuple[Floats, Floats]:
        given = {"input": windows, "state": states, "sr": rates[rate_hz]}
        confidences, next_states = cast(tuple[Floats, Floats], session.run(None, given))
        return confidences[:, 0], next_states

    return run_model


class VoiceModel:
    """The ears of all calls, and their one timer. Belongs to the event loop: no thread, no task, no lock."""

    def __init__(self, run_model: RunModel) -> None:
        """Take the model as a function, as `load_run_model` gives it."""
        self._rows = {rate_hz: EarRow(rate_hz, run_model) for rate_hz in (8000, 16000)}
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self, settings: VoiceSettings, sample_rate_hz: int, on_started: TellMs, on_stopped: TellMs) -> Ear:
        """A new call's ear; close it when the call is over.

        Args:
            settings: when it is speech.
            sample_rate_hz: 8000 or 16000.
            on_started: told when speech has begun, with the call time in ms at which `start_secs` of it had been heard.
            on_stopped: told when it has ended, with the call time at which `stop_secs` of silence had been heard.

        Raises:
            ValueError: the model does not know the rate.
        """
        row = self._rows.get(sample_rate_hz)
        if row is None:
            raise ValueError(f"the voice model hears 8000 or 16000 Hz, not {sample_rate_hz}")
        return Ear(row, settings, on_started, on_stopped, self._wake)

    def _wake(self) -> None:
        """Have the timer running, in the loop of today: tests have one each."""
        if self._loop is None or self._loop.is_closed():
            self._loop = loop = asyncio.get_running_loop()
            loop.call_later(GATHER_SECS, self._judge)

    def _judge(self) -> None:
        """Judge all that waits, turn by turn; what comes meanwhile is taken along."""
        is_more = False
        try:
            is_more = self.judge_waiting()
        finally:
            # Only now: those who are told of a change may let ears hear, and need no second timer for it.
            if is_more:
                asyncio.get_running_loop().call_soon(self._judge)
            else:
                self._loop = None

    def judge_waiting(self) -> bool:
        """Judge some of what waits: a turn of the loop's worth, so that no other work waits. Whether any is left."""
        rows = self._rows.values()
        for row in rows:
            if row.waiting:
                row.judge_round()
        return any(row.waiting for row in rows)


@functools.cache
def shared_voice_model() -> VoiceModel:
    """The process's one model. The first to ask loads it (60 ms): do so at start, not on the event loop."""
    return VoiceModel(load_run_model())
