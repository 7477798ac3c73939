"""An answering machine at the far end: greets, sounds its tone, records; and Twilio's detection of it.

As https://www.twilio.com/docs/voice/answering-machine-detection has it: `Enable` tells of a machine once it has spoken
for longer than a person would, `DetectMessageEnd` once its greeting is over, by a tone or by silence.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from simulators.caller import Caller, CallOver
from simulators.telephone_audio import RATE_HZ, Pcm

if TYPE_CHECKING:
    from simulators.call_setup import CallSetup

MODES = frozenset({"", "Enable", "DetectMessageEnd"})
BOUNDS = {
    "MachineDetectionTimeout": (3, 59),
    "MachineDetectionSpeechThreshold": (1000, 6000),
    "MachineDetectionSpeechEndThreshold": (500, 5000),
    "MachineDetectionSilenceTimeout": (2000, 10_000),
}
"""Parameters of the detection, and what their whole numbers may be."""

_TONE_LEVEL = 9000
_FADE_SAMPLES = 80
_LONGEST_RECORDING_SECS = 300


@dataclass(frozen=True, slots=True)
class MachineVoice:
    """What a machine does once it has taken the call.

    Attributes:
        greeting: What it says, PCM16 at 8 kHz.
        pause_ms: Quiet between its greeting and its tone.
        beep_hz: Its tone; 0: it has none.
        beep_ms: How long that lasts.
        most_silence_ms: It hangs up when it hears nothing for so long.
    """

    greeting: Pcm
    pause_ms: int = 500
    beep_hz: int = 1000
    beep_ms: int = 400
    most_silence_ms: int = 10_000

    def sound(self) -> Pcm:
        """All that it says."""
        pause = np.zeros(self.pause_ms * RATE_HZ // 1000 if self.beep_hz else 0, np.int16)
        return np.concatenate((self.greeting, pause, self._tone()))

    def _tone(self) -> Pcm:
        count = self.beep_ms * RATE_HZ // 1000 if self.beep_hz else 0
        edge = np.minimum(1.0, np.minimum(np.arange(count), np.arange(count)[::-1]) / _FADE_SAMPLES)
        tone = _TONE_LEVEL * edge * np.sin(2 * np.pi * self.beep_hz * np.arange(count) / RATE_HZ)
        return tone.astype(np.int16)


@dataclass(slots=True)
class AnsweringMachine:
    """One machine in one call. `records_from_ms` is stream time, once it records."""

    voice: MachineVoice
    greeted: asyncio.Event = field(default_factory=asyncio.Event)
    records_from_ms: int | None = None
    _caller: Caller | None = None

    def take(self, caller: Caller, hang_up: Callable[[], Awaitable[None]]) -> Callable[[], object]:
        """Take the call on this line; `hang_up` ends it. Returns what stops the machine."""
        if self._caller is not None:
            return lambda: None  # the second stream of a call that came back
        self._caller = caller
        return asyncio.create_task(self._run(caller, hang_up), name="answering machine at the far end").cancel

    async def _run(self, caller: Caller, hang_up: Callable[[], Awaitable[None]]) -> None:
        with suppress(CallOver):
            await self._greet_and_record(caller)
            await hang_up()

    async def _greet_and_record(self, caller: Caller) -> None:
        await caller.started.wait()
        _, self.records_from_ms = await caller.say(self.voice.sound())
        self.greeted.set()
        most_ms = self.voice.most_silence_ms
        await caller.silence(most_ms / 1000)
        await caller.wait_quiet(quiet_ms=most_ms, timeout_secs=_LONGEST_RECORDING_SECS)

    def recording(self) -> Pcm:
        """What it recorded, PCM16 at 8 kHz; nothing before its tone."""
        if self._caller is None or self.records_from_ms is None:
            return np.zeros(0, np.int16)
        return self._caller.heard_audio()[self.records_from_ms * RATE_HZ // 1000 :]

    def greeted_over(self) -> Pcm:
        """What was said to it while it greeted, which nobody will ever hear."""
        if self._caller is None:
            return np.zeros(0, np.int16)
        until_ms = self.records_from_ms if self.records_from_ms is not None else round(self._caller.now_ms())
        return self._caller.heard_audio()[: until_ms * RATE_HZ // 1000]


async def detect(setup: "CallSetup", machine: AnsweringMachine | None) -> str:
    """Listen as Twilio does; returns what it tells as `AnsweredBy`."""
    policy, detection = setup.policy, setup.detection
    if machine is None:
        await asyncio.sleep(policy.detection_ms / 1000)
        return policy.answered_by
    if setup.machine_detection == "Enable":
        await asyncio.sleep(detection.speech_threshold_ms / 1000)
        return "machine_start"
    try:
        async with asyncio.timeout(detection.timeout_secs):
            await machine.greeted.wait()
            if machine.voice.beep_hz:
                return "machine_end_beep"
            await asyncio.sleep(detection.speech_end_threshold_ms / 1000)
            return "machine_end_silence"
    except TimeoutError:
        return "unknown"


def detection_problem(parameters: dict[str, str]) -> str | None:
    """Say what is wrong with the detection that was asked for; None when nothing is."""
    if parameters.get("MachineDetection", "") not in MODES:
        return "MachineDetection must be Enable or DetectMessageEnd"
    for name, (lowest, highest) in BOUNDS.items():
        value = parameters.get(name, "")
        if value and not (value.isascii() and value.isdigit() and lowest <= int(value) <= highest):
            return f"{name} must be a whole number from {lowest} to {highest}"
    return None
