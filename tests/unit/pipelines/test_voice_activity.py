"""Voice activity as a stage: whoever began to speak also stops; and the voice model's runtime keeps to itself."""

import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import numpy as np
import soxr
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    VADParamsUpdateFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.worker import PipelineParams
from pipecat.tests.utils import SleepFrame, run_test

from pipelines import voice_activity
from pipelines.line import note_heard
from pipelines.scribe import Scribe
from pipelines.voice_activity import VoiceActivity, VoiceSettings
from simulators.clips import CLIP_RATE_HZ, caller_samples

ROOT = Path(__file__).resolve().parents[3]
CHANGES = (VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame)


def test_the_runtime_of_the_voice_model_leaves_no_telemetry_behind(tmp_path):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [sys.executable, "-c", "import server, onnxruntime"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=60)
    assert not [path for path in tmp_path.rglob("*onnxruntime*") if path.is_file()]


class Told:
    """What the stage tells the scribe."""

    def __init__(self) -> None:
        self.changes: list[str] = []

    def caller_started(self, at_ms: float) -> None:
        self.changes.append("started")

    def caller_stopped(self, at_ms: float) -> None:
        self.changes.append("stopped")


def speech(secs: float) -> list[Frame]:
    """A caller in the middle of his sentence, as frames of 20 ms."""
    samples = caller_samples("ask-opening-hours").astype(np.float64)
    loud = int(np.argmax(np.abs(samples) > 2000))
    pcm = soxr.resample(samples[loud:], CLIP_RATE_HZ, 8000).astype(np.int16)[: round(8000 * secs)].tobytes()
    frames: list[Frame] = []
    for at in range(0, len(pcm), 320):
        frame = InputAudioRawFrame(pcm[at : at + 320], 8000, 1)
        note_heard(frame, (at + 320) / 16)
        frames.append(frame)
    return frames


async def play(frames: list[Frame]) -> tuple[list[str], list[type]]:
    """Send frames through the stage; returns what the scribe was told, and what the pipeline was."""
    told = Told()
    stage = VoiceActivity(VoiceSettings(0.2, 0.3, 0.7, 0.6), cast(Scribe, told))
    params = PipelineParams(audio_in_sample_rate=8000)
    down, _up = await run_test(stage, frames_to_send=frames, pipeline_params=params)
    return told.changes, [type(frame) for frame in down if isinstance(frame, CHANGES)]


async def test_speech_ends_when_no_audio_comes_any_more(monkeypatch):
    monkeypatch.setattr(voice_activity, "_IDLE_SECS", 0.15)
    told, pushed = await play([*speech(1.0), SleepFrame(sleep=0.5)])
    assert told == ["started", "stopped"]
    assert pushed == [*CHANGES]


async def test_speech_ends_where_other_settings_begin(monkeypatch):
    monkeypatch.setattr(voice_activity, "_IDLE_SECS", 0.15)
    update = VADParamsUpdateFrame(params=VADParams(confidence=0.7, start_secs=0.1, stop_secs=0.3, min_volume=0.6))
    frames = [*speech(1.0), SleepFrame(sleep=0.12), update, SleepFrame(sleep=0.05)]
    told, pushed = await play([*frames, *speech(1.0), SleepFrame(sleep=0.5)])
    assert told == ["started", "stopped"] * 2
    assert pushed == [*CHANGES] * 2
