"""An outgoing call that an answering machine may take: who speaks when, and the message.

Twilio listens beside the call and tells, seconds later, who took it; the agent speaks at once, as to a person. What is
to be done is in `machine_course`; here it is done.
"""

import asyncio
import io
import wave
from array import array
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from loguru import logger
from pipecat.frames.frames import InputTextRawFrame

from config.agent import AgentConfig
from config.machine import Machine
from pipelines.machine_course import Heard, MachineCourse, Move
from pipelines.scribe import Scribe
from pipelines.sentences import Sentences, Spoken
from pipelines.stages import Assembly
from pipelines.tone import ToneEar
from telephony.machine_detection import AnsweredBy
from telephony.next_step import NextStep
from transcripts.call import Call, Direction, EndReason

_TICK_SECS = 0.05
_MESSAGE_READY_SECS = 4.0
"""A machine that hears nothing for much longer stops to record."""
_UNHEARD = "The person on the phone did not hear what you said last. Answer again now what you were told last."


@dataclass(frozen=True)
class MachineMeans:
    """What is needed to deal with a machine.

    Attributes:
        assembly: Gives the pipeline that the call is in now.
        leave: Ends the call for a reason; Twilio then takes the step.
    """

    call: Call
    agent: AgentConfig
    machine: Machine
    scribe: Scribe
    sentences: Sentences
    assembly: Callable[[], Assembly]
    leave: Callable[[EndReason, NextStep], None]


class AnsweringMachine:
    """Watches for one call's answering machine, and deals with it."""

    def __init__(self, means: MachineMeans) -> None:
        """Take what is needed."""
        self._means = means
        self._course = MachineCourse(means.machine)
        self._told: asyncio.Queue[AnsweredBy] = asyncio.Queue()
        self._known: set[AnsweredBy] = set()
        self._message: asyncio.Task[Spoken | None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._ear: ToneEar | None = None
        self._is_broken = False
        if means.call.answered_by is not None:
            self.told(AnsweredBy(means.call.answered_by))

    @property
    def has_machine(self) -> bool:
        """Whether a machine is being dealt with: nobody else shall say or end anything."""
        return self._course.has_machine and not self._is_broken

    def told(self, answered_by: AnsweredBy) -> None:
        """Twilio says who took the call; the same word twice counts once."""
        if answered_by not in self._known:
            self._known.add(answered_by)
            self._told.put_nowait(answered_by)

    async def watch(self) -> None:
        """Deal with what comes, until cancelled; after a fault of ours the call goes on as if nobody looked."""
        try:
            while True:
                if self._leaving is not None and self._leaving.done():
                    self._leaving.result()
                move: Move | None
                try:
                    async with asyncio.timeout(_TICK_SECS):
                        answered_by = await self._told.get()
                except TimeoutError:
                    move = self._course.look(self._heard())
                else:
                    move = self._course.told(answered_by, self._heard())
                    self._means.scribe.event(_event_of(answered_by), answered_by=answered_by.value)
                if move is not None:
                    await self._make(move)
        except Exception:
            self._is_broken = True
            logger.exception("an answering machine could not be dealt with by a fault of the server")
        finally:
            await self._stop(self._leaving)
            await self._stop(self._message)
            self._listen_for_tone(is_on=False)

    def _heard(self) -> Heard:
        scribe = self._means.scribe
        return Heard(
            scribe.now_ms,
            speaking_since_ms=scribe.caller_began_ms if scribe.caller.is_speaking else None,
            last_voice_ms=scribe.last_caller_ms,
            tone_over_ms=self._ear.over_ms if self._ear is not None else None,
        )

    async def _make(self, move: Move) -> None:
        scribe, assembly = self._means.scribe, self._means.assembly()
        match move:
            case Move.HOLD_BACK:
                self._prepare_message()
                if assembly.model is not None:  # another pipeline answers what it was told, and nobody can ask it again
                    scribe.event("agent.held_back")
                    await assembly.announcer.hold_back()
            case Move.GO_ON:
                if await assembly.announcer.let_on() and assembly.llm is not None:
                    scribe.await_words()
                    await assembly.llm.queue_frame(InputTextRawFrame(text=_UNHEARD))
            case Move.FALL_SILENT:
                self._prepare_message()
                self._listen_for_tone(is_on=True)
                await self._fall_silent(assembly)
            case Move.LEAVE_MESSAGE:
                self._prepare_message()
                self._listen_for_tone(is_on=False)
                await self._stop(self._leaving)
                await self._fall_silent(assembly)
                self._leaving = asyncio.create_task(
                    self._leave_message(assembly), name=f"message {self._means.call.call_id}"
                )
            case Move.HANG_UP:
                self._means.leave(EndReason.MACHINE_HUNG_UP, NextStep("hang_up"))

    async def _fall_silent(self, assembly: Assembly) -> None:
        if assembly.model is not None:
            assembly.model.hush()  # its tools as well: what it hears is no person
        await assembly.announcer.break_off()

    async def _leave_message(self, assembly: Assembly) -> None:
        means, scribe = self._means, self._means.scribe
        spoken: Spoken | None = None
        if self._message is not None:
            await asyncio.wait({self._message}, timeout=_MESSAGE_READY_SECS)
            spoken = self._message.result() if self._message.done() else None
        by = "twilio" if spoken is None else "file" if means.machine.message_file else "voice"
        scribe.event("message.leaving", by=by, after=self._course.after)
        if spoken is None:
            # Twilio's own voice says it once the stream is closed, and hangs up then.
            text = means.agent.render(means.machine.message or "", means.call.variables)
            step = NextStep("apology", text=text) if text else NextStep("hang_up")
            means.leave(EndReason.MESSAGE_LEFT if text else EndReason.MACHINE_HUNG_UP, step)
            return
        await assembly.announcer.play_out(spoken)
        scribe.event("message.left")
        means.leave(EndReason.MESSAGE_LEFT, NextStep("hang_up"))

    def _prepare_message(self) -> None:
        """Have the message as sound by when the machine has greeted."""
        if self._message is None and self._means.machine.do == "leave_message":
            self._message = asyncio.create_task(self._make_message(), name=f"message for {self._means.call.call_id}")

    async def _make_message(self) -> Spoken | None:
        means = self._means
        if (path := means.machine.message_file) is not None:
            try:
                return await asyncio.to_thread(read_message, path)
            except (OSError, EOFError, wave.Error) as error:
                logger.bind(agent=means.agent.name, problem=str(error)).error("the recorded message cannot be read")
                return None
        text = means.agent.render(means.machine.message or "", means.call.variables)
        return await means.sentences.read_now(means.agent, text, means.assembly().gemini, means.call.call_id)

    def _listen_for_tone(self, *, is_on: bool) -> None:
        line = self._means.scribe.line
        if is_on and self._ear is None:
            self._ear = ToneEar(line.caller_hz)
            line.listeners.append(self._ear)
        elif not is_on and self._ear is not None:
            if self._ear in line.listeners:
                line.listeners.remove(self._ear)
            self._ear = None

    @staticmethod
    async def _stop(task: "asyncio.Task[None] | asyncio.Task[Spoken | None] | None") -> None:
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task})


def machine_of(
    call: Call,
    agent: AgentConfig,
    scribe: Scribe,
    sentences: Sentences,
    assembly: Callable[[], Assembly],
    leave: Callable[[EndReason, NextStep], None],
) -> AnsweringMachine | None:
    """Return who watches for a call's answering machine; None for a call that we did not place, or do not watch.

    Takes what `MachineMeans` describes.
    """
    machine = agent.outbound.machine
    if machine is None or call.direction is not Direction.OUTBOUND:
        return None
    return AnsweringMachine(MachineMeans(call, agent, machine, scribe, sentences, assembly, leave))


@asynccontextmanager
async def watching(machine: AnsweringMachine | None) -> AsyncGenerator[None]:
    """Watch for the length of the block; without anybody who would, do nothing."""
    doing = None if machine is None else asyncio.create_task(machine.watch(), name="answering machine")
    try:
        yield
    finally:
        if doing is not None:
            doing.cancel()
            await asyncio.wait({doing})


def read_message(path: Path) -> Spoken:
    """Read a WAV (16 bit PCM) as one voice. Blocks; raises OSError, EOFError or wave.Error."""
    with wave.open(io.BytesIO(path.read_bytes()), "rb") as file:
        channels, rate_hz = file.getnchannels(), file.getframerate()
        if file.getsampwidth() != 2 or channels not in (1, 2):
            raise wave.Error("it is not 16 bit any more, with one or two channels")
        samples = array("h", file.readframes(file.getnframes()))
    if channels == 2:
        samples = array("h", ((left + right) // 2 for left, right in zip(samples[::2], samples[1::2], strict=True)))
    return Spoken(f"[{path.name}]", samples.tobytes(), rate_hz)


def _event_of(answered_by: AnsweredBy) -> str:
    if answered_by.is_machine or answered_by is AnsweredBy.FAX:
        return "machine.detected"
    return "human.detected" if answered_by is AnsweredBy.HUMAN else "machine.unclear"
