"""What goes wrong on one Live connection: a line that drops, changes, repeats and delays what the model sends."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol, cast

from simulators import gemini_wire as wire
from simulators.faults import Armoury, Strike
from simulators.mind import Call, Reply
from simulators.speech import SPEECH_RATE_HZ

UNKNOWN_TOOL = "look_into_crystal_ball"
_BYTES_PER_MS = SPEECH_RATE_HZ * 2 / 1000
_SLOWNESS = 2.0
_CLOSES = {
    "close-1000-mid-turn": (1000, "The operation was cancelled."),
    "close-1007-mid-turn": (1007, "Request contains an invalid argument."),
    "close-1008-mid-turn": (1008, "Operation is not implemented, or supported, or enabled."),
    "close-1011-mid-turn": (1011, "Internal error encountered."),
}
DEADLINE = "Deadline expired before operation could complete."


class Line(Protocol):
    """The connection as the conversation sees it. `send` and `close` do nothing once it is closed."""

    async def send(self, message: wire.Json) -> None: ...

    async def send_raw(self, frame: bytes) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...

    async def play_dead(self) -> None: ...

    def messages(self) -> AsyncIterator[str | bytes]: ...

    @property
    def close_code(self) -> int | None: ...

    @property
    def is_closed_by_us(self) -> bool: ...


class FaultyLine:
    """A conversation's connection, struck by the faults of an armoury. Without any armed it passes everything on.

    Args:
        line: what it sends on.
        armoury: where faults come from.
        speed: how many times faster than real time replies are played.
        start: runs something beside the conversation, until that ends.
    """

    def __init__(
        self, line: Line, armoury: Armoury, speed: float, start: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        self.is_reading_aloud = False
        self._line = line
        self._armoury = armoury
        self._speed = speed
        self._start = start
        self._lasting: dict[str, Strike] = {}
        self._turn: dict[str, Strike] = {}
        self._is_mute = False
        # The text being spoken: its length, how much of it was sent, and when its next audio may follow.
        self._length_ms = 0.0
        self._sent_ms = 0.0
        self._next_at = 0.0

    @property
    def is_mute(self) -> bool:
        """Will nothing be sent any more?"""
        return self._is_mute

    # --- occasions ---------------------------------------------------------------------------------------------

    async def begin_connection(self) -> None:
        """The setup came and is about to be answered."""
        for strike in self._armoury.take("connection"):
            match strike.name:
                case "no-setup-complete":
                    self._is_mute = True
                case "delayed-setup":
                    await asyncio.sleep(strike.settings["secs"])
                case _:
                    notice_secs = min(strike.settings["notice_secs"], strike.settings["limit_secs"])
                    self._start(self._expire(strike.settings["limit_secs"] - notice_secs, notice_secs))

    def refusal_of_handle(self) -> int | None:
        """The code to close with when a setup presents a handle; None when it may be resumed."""
        strikes = self._armoury.take("resume")
        return round(strikes[0].settings["code"]) if strikes else None

    def begin_turn(self) -> None:
        """The model is about to reply."""
        self._turn = {}
        self.strike_turn()

    def strike_turn(self) -> None:
        """Takes the faults that are armed for a turn, also in the middle of one."""
        if self.is_reading_aloud:
            return
        for strike in self._armoury.take("turn"):
            match strike.name:
                case "silence-after-turn":
                    self._is_mute = True
                case "half-open":
                    self._is_mute = True
                    self._start(self._line.play_dead())
                case "goaway":
                    self._start(self._expire(0, strike.settings["time_left_secs"]))
                case name:
                    self._turn[name] = strike

    def spoil(self, reply: Callable[[], Reply]) -> Callable[[], Reply] | None:
        """The reply as the faults leave it; None: it is swallowed."""
        if self.is_reading_aloud:
            return reply
        for strike in self._armoury.take("reply"):
            if strike.name == "empty-turn":
                return None
            whole = reply
            return lambda: _after_unknown_tool(whole())
        return reply

    def cancels_call(self) -> bool:
        """Is the tool call that is being made taken back?"""
        return not self.is_reading_aloud and bool(self._armoury.take("call"))

    def begin_speech(self, length_ms: float) -> None:
        """A text of this length is about to be spoken."""
        self._length_ms, self._sent_ms, self._next_at = length_ms, 0.0, 0.0

    # --- sending -----------------------------------------------------------------------------------------------

    async def go_away(self, time_left_secs: float, code: int = 1011, reason: str = DEADLINE) -> None:
        """Announces the end, waits for it, and closes."""
        await self.send(wire.go_away(time_left_secs))
        await asyncio.sleep(time_left_secs)
        await self._line.close(code, reason)

    async def send(self, message: wire.Json) -> None:
        """Sends a message as the faults leave it."""
        if self._is_mute:
            return
        if not self.is_reading_aloud:
            self._lasting |= {strike.name: strike for strike in self._armoury.take("conversation", but=self._lasting)}
        audio = _audio_of(message) if self._turn else b""
        if audio:
            message = await self._send_before_audio(message, audio)
            self._sent_ms += len(audio) / _BYTES_PER_MS
        await self._pass_on(message)
        if "duplicate-turn-complete" in self._turn and _completes_turn(message):
            await self._pass_on(message)
        if audio and self._sent_ms >= self._length_ms / 2:
            for name, (code, reason) in _CLOSES.items():
                if self._turn.pop(name, None):
                    await self._line.close(code, reason)

    async def _send_before_audio(self, message: wire.Json, audio: bytes) -> wire.Json:
        """What comes before a piece of audio; returns the message that carries it."""
        if self._turn.pop("unknown-message", None):
            await self._pass_on({"moodUpdate": {"mood": "SUNNY"}})
        if storm := self._turn.pop("interrupted-storm", None):
            for _ in range(round(storm.settings["count"])):
                await self._pass_on(wire.server_content(interrupted=True))
        if "empty-audio" in self._turn:
            if not self._sent_ms:
                await self._pass_on(wire.server_content(modelTurn={"role": "model", "parts": []}))
                await self._pass_on(wire.server_content(generationComplete=True))
                await self._pass_on(wire.server_content(turnComplete=True))
            await self._pass_on(wire.audio_part(b""))
        half_ms = self._length_ms / 2
        if self._sent_ms + len(audio) / _BYTES_PER_MS >= half_ms and self._turn.pop("invalid-json", None):
            await self._line.send_raw(b'{"serverContent": {"modelTurn": {"parts": [{"inlineData": {"mimeTy')
        if "slow-audio" in self._turn:
            now = asyncio.get_running_loop().time()
            self._next_at = max(self._next_at, now) + _SLOWNESS * len(audio) / _BYTES_PER_MS / 1000 / self._speed
            await asyncio.sleep(self._next_at - now)
        is_last = self._sent_ms + len(audio) / _BYTES_PER_MS >= self._length_ms - 1
        if is_last and self._turn.pop("truncated-chunk", None):
            return wire.audio_part(audio[: len(audio) // 2 | 1])
        return message

    async def _pass_on(self, message: wire.Json) -> None:
        if "usage-missing" in self._lasting:
            message = {key: value for key, value in message.items() if key != "usageMetadata"}
        if "unknown-fields" in self._lasting:
            message = cast(wire.Json, _with_unknown_fields(message))
        if message:
            await self._line.send(message)

    async def _expire(self, after_secs: float, notice_secs: float) -> None:
        await asyncio.sleep(after_secs)
        await self.go_away(notice_secs)


def _after_unknown_tool(reply: Reply) -> Reply:
    yield Call(UNKNOWN_TOOL, {"question": "What comes next?"})
    yield from reply


def _audio_of(message: wire.Json) -> bytes:
    """The sound a message carries; empty when it carries none."""
    content = cast(wire.Json, message.get("serverContent", {}))
    parts = cast(list[wire.Json], cast(wire.Json, content.get("modelTurn", {})).get("parts", []))
    return b"".join(base64.b64decode(part["inlineData"]["data"]) for part in parts if "inlineData" in part)


def _completes_turn(message: wire.Json) -> bool:
    return "turnComplete" in cast(wire.Json, message.get("serverContent", {}))


def _with_unknown_fields(value: Any) -> Any:
    """The value with a field that nobody knows in each of its objects; what is the application's own stays."""
    if isinstance(value, list):
        return [_with_unknown_fields(item) for item in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    fields = {
        key: item if key == "args" else _with_unknown_fields(item) for key, item in cast(wire.Json, value).items()
    }
    return fields | {"shinyNewField": {"level": 3, "names": ["a", "b"]}}
