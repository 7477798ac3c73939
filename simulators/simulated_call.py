"""One call at the stand-in Twilio: its life, and what the person on the telephone may do in it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from simulators import twiml_player
from simulators.answering_machine import AnsweringMachine, detect
from simulators.call_setup import ENDED_STATUSES, CallOutcome, CallSetup, EndedBy, Network
from simulators.caller import Caller, CallOver, Clip
from simulators.conference import JoinConference
from simulators.dialling import Dial, Dialling, DialTarget
from simulators.far_person import FarPerson
from simulators.faults import Strike
from simulators.key_tones import KeysHeard
from simulators.line_faults import is_line_fault, line_fault
from simulators.media_socket import Line, new_sid
from simulators.noise import NoiseBed
from simulators.playout import Clear, Heard, MarkReturn
from simulators.status_callbacks import StatusCallbacks
from simulators.stream_leg import StreamLeg
from simulators.telephone_audio import Pcm
from simulators.twilio_form import voice_form
from simulators.twilio_webhook import AddressBook, CallError, WebhookAnswer
from simulators.twiml_player import Finished, Goto, TwimlError, parse_twiml
from simulators.twiml_source import TwimlSource

APPLICATION_ERROR = "We are sorry, an application error has occurred. Goodbye."
_CALLBACK_PATIENCE_SECS = 5.0


@dataclass(frozen=True, slots=True)
class _Over:
    status: str
    ended_by: EndedBy


_Step = Goto | str
"""TwiML to fetch, or TwiML itself."""


class SimulatedCall:
    """A call. `TwilioSimulator.dial` and `POST Calls.json` make them; `run` is its life."""

    def __init__(
        self,
        network: Network,
        book: AddressBook,
        setup: CallSetup,
        *,
        sid: str | None = None,
        noise: NoiseBed | None = None,
        line: Line | None = None,
        strikes: Iterable[Strike] = (),
    ) -> None:
        """Prepare a call.

        Args:
            network: What it shares with the simulator's other calls.
            book: Where public URLs are dialled.
            setup: How it comes about.
            sid: Its SID; random when left out.
            noise: Background sound of the caller.
            line: The wire of its media stream; perfect when left out.
            strikes: The faults that hit it.
        """
        self.sid = sid or new_sid("CA")
        self.setup = setup
        self.status = "queued" if setup.direction == "outbound-api" else "ringing"
        self.answered_by: str | None = None
        self.machine = AnsweringMachine(setup.policy.machine) if setup.policy.machine else None
        self.created_at = datetime.now(UTC)
        self.answered_at: datetime | None = None
        self.ended_at: datetime | None = None
        self.verbs: list[tuple[int, str, str]] = []
        self.errors: list[CallError] = []
        self.callers: list[Caller] = []
        self.recordings: list[dict[str, object]] = []
        self.outcome: CallOutcome | None = None
        self._network = network
        self._book = book
        self._noise = noise
        self.line = line or Line()
        self._clock_zero = time.monotonic()
        self._answered_ms: int | None = None
        self._fallback_used = False
        self._controls: asyncio.Queue[_Over | _Step] = asyncio.Queue()
        self._far_person = FarPerson(setup.policy)
        self._dialling: Dialling | None = None
        self.legs: dict[str, tuple[str, str]] = {}
        """What `<Dial>` has dialled: the SIDs of those calls, with address and status."""
        self.keys_heard = KeysHeard()
        """Keys that the server pressed by `<Play digits>`."""
        faults = {strike.name: strike for strike in strikes}
        for name in filter(is_line_fault, faults):
            self.line = line_fault(name, **faults[name].settings)
        self._callbacks = StatusCallbacks(
            setup.status_events, self._post_status, is_disorderly="out-of-order-status" in faults
        )
        self._source = TwimlSource(network, book, faults.get("duplicate-webhook"))
        self._has_caller = asyncio.Event()
        self._over = asyncio.Event()
        self._crash: BaseException | None = None
        self._limit: asyncio.TimerHandle | None = None

    @property
    def twiml_log(self) -> list[WebhookAnswer]:
        """The server's answers to webhooks that ask for TwiML."""
        return self._source.log

    @property
    def callback_log(self) -> list[WebhookAnswer]:
        """The server's answers to status callbacks of the call, its streams and machine detection."""
        return self._callbacks.log

    # ---- what the person on the telephone does ----

    @property
    def caller(self) -> Caller:
        """The caller's end of the latest media stream.

        Raises:
            CallOver: There has been no stream.
        """
        if not self.callers:
            raise CallOver("the call has no media stream")
        return self.callers[-1]

    async def connected(self, *, timeout_secs: float = 10.0) -> None:
        """Wait until the media stream has started.

        Raises:
            CallOver: The call ended without one; the message tells the errors.
            TimeoutError: Neither happened in time.
        """
        async with asyncio.timeout(timeout_secs):
            await self._has_caller.wait()
            if self.callers:
                await self.caller.started.wait()
        if not self.callers:
            raise CallOver(f"the call ended without a media stream: {self.status}, {self.errors}")

    async def say(self, clip: Clip, rate_hz: int = 8000) -> tuple[int, int]:
        """Speak; see `Caller.say`. Returns (start_ms, end_ms) on the stream when it has been said."""
        return await self.caller.say(clip, rate_hz)

    async def press(self, digits: str) -> None:
        """Press keys: to the media stream while there is one, else to a `<Gather>`."""
        if self.callers and not self.caller.over.is_set():
            await self.caller.press(digits)
        else:
            self._far_person.press(digits)

    def speak_words(self, words: str, *, confidence: float = 0.9) -> None:
        """Say something to a `<Gather>` that takes speech, which recognizes it so."""
        self._far_person.speak(words, confidence)

    async def silence(self, secs: float) -> None:
        """Say nothing for a while; see `Caller.silence`."""
        await self.caller.silence(secs)

    async def wait_heard(self, *, min_ms: int = 100, timeout_secs: float = 10.0) -> int:
        """Wait until the agent is audible; see `Caller.wait_heard`. Returns when that began, in ms of the stream."""
        return await self.caller.wait_heard(min_ms=min_ms, timeout_secs=timeout_secs)

    async def wait_quiet(self, *, quiet_ms: int = 600, timeout_secs: float = 20.0) -> int:
        """Wait until the agent is silent; see `Caller.wait_quiet`. Returns when it fell silent, in ms of the stream."""
        return await self.caller.wait_quiet(quiet_ms=quiet_ms, timeout_secs=timeout_secs)

    async def hang_up(self) -> None:
        """Put the receiver down, mid-word if need be. Returns when Twilio has finished with the call."""
        self._controls.put_nowait(_Over("completed" if self.answered_at else "canceled", "caller"))
        await self._over.wait()

    async def ended(self, *, timeout_secs: float = 30.0) -> CallOutcome:
        """Wait until the call is over and its last status callback was delivered.

        Raises:
            TimeoutError: Still going on.
        """
        async with asyncio.timeout(timeout_secs):
            await self._over.wait()
        if self.outcome is None:
            raise RuntimeError(f"the simulator failed in call {self.sid}") from self._crash
        return self.outcome

    # ---- what was said and heard, on the latest stream, in ms since its start ----

    @property
    def heard(self) -> list[Heard]:
        """Stretches of server audio as they were played."""
        return self.caller.playout.heard

    @property
    def clears(self) -> list[Clear]:
        """Every `clear` the server sent."""
        return self.caller.playout.clears

    @property
    def marks(self) -> list[MarkReturn]:
        """Every mark given back."""
        return self.caller.playout.marks

    @property
    def reply_delays_ms(self) -> list[float | None]:
        """For each `say`, the delay of the answer at the wire; see `Caller.reply_delays_ms`."""
        return self.caller.reply_delays_ms

    def heard_audio(self) -> Pcm:
        """All the caller heard, PCM16 at 8 kHz."""
        return self.caller.heard_audio()

    def spoken_audio(self) -> Pcm:
        """All the caller sent, PCM16 at 8 kHz."""
        return self.caller.spoken_audio()

    def heard_segments(self, *, min_gap_ms: int = 300) -> list[tuple[int, int]]:
        """(start_ms, end_ms) of each audible stretch."""
        return self.caller.heard_segments(min_gap_ms=min_gap_ms)

    # ---- what REST does ----

    @property
    def is_over(self) -> bool:
        """Whether the call has ended, or REST has ended it."""
        return self.status in ENDED_STATUSES

    def redirect(self, step: Goto | str) -> None:
        """Leave what goes on and carry out other TwiML: a URL to ask, or the TwiML itself."""
        self._controls.put_nowait(step)

    def end(self, status: Literal["completed", "canceled"]) -> None:
        """End the call from the server's side."""
        self.status = status
        self._controls.put_nowait(_Over(status, "server"))

    # ---- its life ----

    async def run(self) -> None:
        """Live the call from dialling to its last status callback."""
        posting = asyncio.create_task(self._callbacks.run(), name=f"status callbacks {self.sid}")
        try:
            over = await self._live()
            self.status = over.status
            if over.ended_by == "caller":
                await self._end_dialling()
            self._finish(over)
            self._callbacks.finish()
            await asyncio.wait({posting}, timeout=_CALLBACK_PATIENCE_SECS)
        except BaseException as crash:
            self._crash = crash
            self.outcome = None
            raise
        finally:
            posting.cancel()
            self._source.close()
            if self._limit is not None:
                self._limit.cancel()
            self._over.set()
            self._has_caller.set()

    async def _live(self) -> _Over:
        step: _Step | None = self.setup.twiml or Goto(self.setup.voice_url, self.setup.voice_method)
        is_ringing_out = self.setup.direction == "outbound-api"
        while True:
            acting = asyncio.create_task(
                self._ring(step) if is_ringing_out else self._act(step), name=f"call {self.sid}"
            )
            listening = asyncio.create_task(self._controls.get(), name=f"control of {self.sid}")
            try:
                await asyncio.wait({acting, listening}, return_when=asyncio.FIRST_COMPLETED)
                if acting.done():
                    return acting.result()
                control = listening.result()
            finally:
                acting.cancel()
                listening.cancel()
                await asyncio.wait({acting, listening})
            if not acting.cancelled():
                acting.result()  # a failure while the call was being interrupted must not be lost
            if isinstance(control, _Over):
                return control
            step, is_ringing_out = control, is_ringing_out and self.answered_at is None

    async def _ring(self, step: _Step) -> _Over:
        """An outgoing call until somebody answers, and the TwiML that follows."""
        policy = self.setup.policy
        self._tell("initiated")
        await asyncio.sleep(policy.after_ms / 2000)
        self.status = "ringing"
        self._tell("ringing")
        if policy.after_ms > self.setup.ring_secs * 1000:
            await asyncio.sleep(self.setup.ring_secs)
            return _Over("no-answer", "caller")
        await asyncio.sleep(policy.after_ms / 2000)
        if policy.outcome != "answer":
            return _Over(policy.outcome, "caller")
        await self.answer()
        if not self.setup.machine_detection:
            return await self._act(step)
        if not self.setup.async_amd:
            await asyncio.sleep(policy.detection_ms / 1000)
            self.answered_by = policy.answered_by
            return await self._act(step)
        async with asyncio.TaskGroup() as tasks:
            detecting = tasks.create_task(self._detect_machine(), name=f"machine detection {self.sid}")
            over = await self._act(step)
            detecting.cancel()
        return over

    async def _detect_machine(self) -> None:
        self.answered_by = await detect(self.setup, self.machine)
        found = {"MachineDetectionDuration": str(self._now_ms() - (self._answered_ms or 0))}
        for _ in range(self.setup.policy.told_times if self.setup.async_amd_callback else 0):
            place = self._book.find(self.setup.async_amd_callback)
            self.callback_log.append(await self._network.webhooks.request(place, self._form(found)))

    async def _act(self, step: _Step) -> _Over:
        """Carry out TwiML after TwiML until the call is over; on an error turn to the fallback URL, once."""
        while True:
            try:
                verbs = parse_twiml(
                    step if isinstance(step, str) else await self._source.fetch(step, self._form(step.parameters))
                )
                done = await twiml_player.play(verbs, self)
            except TwimlError as problem:
                self.errors.append(CallError(problem.code, str(problem), self._source.document_url))
                if not self.setup.fallback_url or self._fallback_used:
                    return await self._fail()
                self._fallback_used = True
                trouble = {"ErrorCode": str(problem.code), "ErrorUrl": self._source.document_url}
                step = Goto(self.setup.fallback_url, self.setup.fallback_method, trouble)
                continue
            if isinstance(done, Finished):
                return _Over(done.status, "server")
            step = done

    async def _fail(self) -> _Over:
        await self.answer()
        self.note_verb("Say", APPLICATION_ERROR)
        await self.say_text(APPLICATION_ERROR)
        return _Over("failed", "error")

    # ---- twiml_player.Telephone ----

    def note_verb(self, verb: str, detail: str) -> None:
        """Log a verb with the time since dialling."""
        self.verbs.append((self._now_ms(), verb, detail))

    async def answer(self) -> None:
        """Take the call off the hook, once."""
        if self.answered_at is not None:
            return
        self.answered_at = datetime.now(UTC)
        self._answered_ms = self._now_ms()
        self.status = "in-progress"
        self._tell("answered")
        self._limit = asyncio.get_running_loop().call_later(
            self.setup.time_limit_secs, self._controls.put_nowait, _Over("completed", "server")
        )

    async def say_text(self, text: str) -> None:
        """Let Twilio's own voice say this: it takes its time, and no audio is made."""
        await asyncio.sleep(len(text.split()) * self._network.say_word_ms / 1000)

    async def play(self, url: str, digits: str) -> None:
        """Press keys (0.25 s each, `w` a pause of 0.5 s), or play a file, which is not fetched and takes no time."""
        for key in digits:
            await asyncio.sleep(0.5 if key == "w" else 0.25)
            if key != "w":
                self.keys_heard.add(key)

    async def pause(self, secs: float) -> None:
        """Wait in real time."""
        await asyncio.sleep(secs)

    async def connect_stream(self, verb: twiml_player.ConnectStream) -> dict[str, str]:
        """Open the media stream and hold it until the server closes it."""
        leg = StreamLeg(self._network, self._book, self.sid, self.line, self._noise, self.errors)
        return await leg.hold(verb, self._took_stream, lambda event: self._tell_stream(verb, leg.stream_sid, event))

    def _took_stream(self, caller: Caller, until_closed: ExitStack) -> None:
        self.callers.append(caller)
        self._has_caller.set()
        if self.machine is not None:
            until_closed.callback(self.machine.take(caller, self.hang_up))

    async def dial(self, verb: Dial) -> dict[str, str]:
        """Ring the telephones named, each with the outcome it was given."""
        self._dialling = Dialling(verb, self.setup.dial_outcome_of, self._tell_target, self.sid, self.legs)
        result = await self._dialling.run()
        self._dialling = None  # not when it is interrupted: its action is asked then, too
        return result

    async def _tell_target(self, target: DialTarget, told: Mapping[str, str]) -> None:
        place = self._book.find(target.status_callback, self._source.document_url)
        form = self._form(told)
        self.callback_log.append(await self._network.webhooks.request(place, form, method=target.status_method))

    async def _end_dialling(self) -> None:
        """Twilio asks a `<Dial>`'s action also when the caller has hung up; what it answers is not carried out."""
        dialling, self._dialling = self._dialling, None
        if dialling is not None and dialling.verb.action:
            action = Goto(dialling.verb.action, dialling.verb.method)
            with suppress(TwimlError):
                await self._source.fetch(action, self._form(dialling.interrupted()))

    async def join_conference(self, verb: JoinConference) -> dict[str, str]:
        """Be in the room of that name until it closes."""
        told = verb.status_callback and self._book.find(verb.status_callback, self._source.document_url).public_url
        return await self._network.rooms.attend(self.sid, replace(verb, status_callback=told))

    async def gather(self, verb: twiml_player.Gather, play_prompts: Callable[[], Awaitable[None]]) -> dict[str, str]:
        """Play the prompts and listen to keys and words."""
        return await self._far_person.gather(verb, play_prompts)

    # ---- what Twilio tells the server ----

    def _form(self, extra: Mapping[str, str]) -> dict[str, str]:
        return voice_form(self._network.account_sid, self.sid, self.status, self.setup, self.answered_by) | dict(extra)

    def _tell(self, event: str, extra: Mapping[str, str] | None = None) -> None:
        """Queue a status callback, if the server asked for it."""
        if self.setup.status_callback:
            self._callbacks.tell(event, self._form(extra or {}))

    async def _post_status(self, form: Mapping[str, str]) -> WebhookAnswer:
        place = self._book.find(self.setup.status_callback)
        return await self._network.webhooks.request(place, form, method=self.setup.status_callback_method)

    async def _tell_stream(self, verb: twiml_player.ConnectStream, stream_sid: str, event: str) -> None:
        if verb.status_callback:
            place = self._book.find(verb.status_callback, self._source.document_url)
            told = {"StreamSid": stream_sid, "StreamName": verb.name, "StreamEvent": event}
            self.callback_log.append(await self._network.webhooks.request(place, self._form(told)))

    def _finish(self, over: _Over) -> None:
        self.status = over.status
        self.ended_at = datetime.now(UTC)
        duration_ms = 0 if self._answered_ms is None else self._now_ms() - self._answered_ms
        secs = -(-duration_ms // 1000)
        self._tell("completed", {"CallDuration": str(secs), "Duration": str(-(-secs // 60))})
        self.outcome = CallOutcome(over.status, over.ended_by, self.verbs, self.errors, duration_ms)

    def _now_ms(self) -> int:
        return round((time.monotonic() - self._clock_zero) * 1000)
