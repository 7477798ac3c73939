"""A person on the telephone: speaks, presses keys and listens, over one media stream, in real time.

Times are milliseconds since the stream's `start` message, the same for what is said and what is heard. Frame n covers
[20n, 20n + 20) ms and leaves when it is over, by an absolute clock: a late frame is followed by as many as are due, so
ten minutes of call are ten minutes of audio.
"""

import asyncio
import base64
import binascii
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from websockets.exceptions import ConnectionClosed

from simulators.media_socket import MediaSocket
from simulators.noise import NoiseBed
from simulators.playout import PlayoutBuffer
from simulators.telephone_audio import (
    FRAME_BYTES,
    FRAME_MS,
    SILENCE,
    Pcm,
    decode_ulaw,
    encode_ulaw,
    find_audible,
    is_audible,
    read_clip,
    resample_to_telephone,
)

Clip = Pcm | npt.NDArray[np.floating[Any]] | str | Path | bytes
"""Something to say: samples, the path of an audio file, or the bytes of one."""

_QUIET_FRAME = SILENCE * FRAME_BYTES
_KEY_GAP_SECS = 0.1
_LEAVE_SECS = 2.0
_REPLY_GAP_MS = 400
"""Audio arriving after a longer gap, or after a `clear`, is the beginning of an answer."""


class CallOver(Exception):
    """The call, or its media stream, has ended, so nothing can be said or heard on it any more."""


class StreamEnd(Enum):
    """Who ended the media stream."""

    SERVER_CLOSED = auto()
    MALFORMED_MESSAGE = auto()


@dataclass(frozen=True, slots=True)
class Spoken:
    """Something the caller said. `last_loud_sent_ms` is when its last audible frame left, None for a silent one."""

    start_ms: int
    end_ms: int
    last_loud_sent_ms: float | None


@dataclass(slots=True)
class _Utterance:
    frames: deque[Pcm]
    done: asyncio.Future[tuple[int, int]]
    start_ms: int | None = None
    end_ms: int = 0
    last_loud_sent_ms: float | None = None


class Caller:
    """The caller's end of one media stream. `run` holds the conversation; the other methods act in it meanwhile."""

    def __init__(
        self,
        socket: MediaSocket,
        *,
        noise: NoiseBed | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the line.

        Args:
            socket: Open, with nothing sent yet.
            noise: Background sound under the voice; None is digital silence.
            clock: Seconds, monotonic.
        """
        self.socket = socket
        self.playout = PlayoutBuffer()
        self.started = asyncio.Event()
        self.over = asyncio.Event()
        self.protocol_error: str | None = None
        self.spoken: list[Spoken] = []
        self._noise = noise
        self._clock = clock
        self._started_at = 0.0
        self._frozen_at_ms: float | None = None
        self._sent = bytearray()
        self._to_say: deque[_Utterance] = deque()
        self._ear_at_ms = 0
        self._loud_frames_ms: list[int] = []
        self._onsets_ms: list[float] = []
        self._last_loud_arrival_ms: float | None = None
        self._ticked = asyncio.Event()

    async def run(self) -> StreamEnd:
        """Start the stream and keep it until the server closes it or breaks the protocol.

        Cancel it to end the stream from Twilio's side: `stop` is sent and the socket closed.
        """
        try:
            await self.socket.send_connected()
            await self.socket.send_start()
            self._started_at = self._clock()
            self.started.set()
            async with asyncio.TaskGroup() as tasks:
                speaking = tasks.create_task(self._speak(), name=f"caller speaks {self.socket.call_sid}")
                await self._listen()
                speaking.cancel()
            return StreamEnd.MALFORMED_MESSAGE if self.protocol_error else StreamEnd.SERVER_CLOSED
        except ConnectionClosed:
            return StreamEnd.SERVER_CLOSED
        finally:
            self._freeze()
            await self._leave()

    def now_ms(self) -> float:
        """Time of the stream; stands still once the stream is over."""
        return (self._clock() - self._started_at) * 1000 if self._frozen_at_ms is None else self._frozen_at_ms

    async def say(self, clip: Clip, rate_hz: int = 8000) -> tuple[int, int]:
        """Speak, after anything being spoken already.

        Args:
            clip: Mono samples of `rate_hz`, or an audio file (its own rate counts).
            rate_hz: Rate of the samples.

        Cancelling it stops the voice mid-word.

        Returns:
            (start_ms, end_ms) on the stream, once the last frame has left; cut short when the stream ends meanwhile.

        Raises:
            CallOver: The stream had ended before the first frame.
            soundfile.LibsndfileError: The file is absent or of no known format.
        """
        pcm = await self._load(clip, rate_hz)
        self._require_open()
        whole = np.pad(pcm, (0, -pcm.size % FRAME_BYTES)).reshape(-1, FRAME_BYTES)
        utterance = _Utterance(deque(whole), asyncio.get_running_loop().create_future())
        self._to_say.append(utterance)
        try:
            return await utterance.done
        except asyncio.CancelledError:
            utterance.frames.clear()
            raise

    async def silence(self, secs: float) -> None:
        """Say nothing for a while; the line stays open and its frames keep flowing.

        Raises:
            CallOver: The stream ended meanwhile.
        """
        until_ms = self.now_ms() + secs * 1000
        while self.now_ms() < until_ms:
            await self._next_tick()

    async def press(self, digits: str) -> None:
        """Press keys one after another: `0-9`, `*`, `#`, `A-D`.

        Raises:
            CallOver: The stream had ended.
        """
        for index, digit in enumerate(digits):
            await asyncio.sleep(_KEY_GAP_SECS if index else 0)
            self._require_open()
            await self.socket.send_dtmf(digit)

    async def wait_heard(self, *, min_ms: int = 100, timeout_secs: float = 10.0) -> int:
        """Wait until the agent has been audible for `min_ms`, counted from now.

        Returns:
            When the first audible frame since now began, in ms of the stream.

        Raises:
            TimeoutError: Nothing in time.
            CallOver: The stream ended first.
        """
        first = len(self._loud_frames_ms)
        async with asyncio.timeout(timeout_secs):
            while (len(self._loud_frames_ms) - first) * FRAME_MS < max(min_ms, FRAME_MS):
                await self._next_tick()
        return self._loud_frames_ms[first]

    async def wait_quiet(self, *, quiet_ms: int = 600, timeout_secs: float = 20.0) -> int:
        """Wait until the agent has not been audible for `quiet_ms` (at once, if that is so already).

        Returns:
            When the agent's last audible frame ended; 0 if there was none.

        Raises:
            TimeoutError: Still speaking. A stream that ends counts as quiet.
        """
        async with asyncio.timeout(timeout_secs):
            while not self.over.is_set() and self._ear_at_ms - self._last_loud_end_ms() < quiet_ms:
                await self._ticked.wait()
        return self._last_loud_end_ms()

    def heard_audio(self) -> Pcm:
        """All the caller heard since `start`, PCM16 at 8 kHz, silence where nothing played."""
        return self.playout.heard_audio()

    def heard_segments(self, *, min_gap_ms: int = 300) -> list[tuple[int, int]]:
        """(start_ms, end_ms) of each stretch of audible agent speech."""
        return find_audible(self.heard_audio(), min_gap_ms=min_gap_ms)

    def spoken_audio(self) -> Pcm:
        """All the caller sent since `start`, PCM16 at 8 kHz, noise bed included."""
        return decode_ulaw(self._sent)

    @property
    def reply_delays_ms(self) -> list[float | None]:
        """For each `say`: from its last audible frame leaving to the first audible audio arriving from the server.

        Measured at the wire, not at the play-out. None where no audio arrived before the caller spoke again. Audio
        still arriving of something the agent was saying before does not count: an answer begins after a gap or a
        `clear`.
        """
        delays: list[float | None] = []
        next_starts_ms = [*(spoken.start_ms for spoken in self.spoken[1:]), float("inf")]
        for spoken, until_ms in zip(self.spoken, next_starts_ms, strict=False):
            sent_ms = float("inf") if spoken.last_loud_sent_ms is None else spoken.last_loud_sent_ms
            delays.append(next((at_ms - sent_ms for at_ms in self._onsets_ms if sent_ms < at_ms < until_ms), None))
        return delays

    def _note_arrival(self, now_ms: float) -> None:
        last_ms, self._last_loud_arrival_ms = self._last_loud_arrival_ms, now_ms
        if last_ms is None or now_ms - last_ms > _REPLY_GAP_MS:
            self._onsets_ms.append(now_ms)

    async def _speak(self) -> None:
        """Send a frame every 20 ms until the socket closes."""
        sent_frames = 0
        while True:
            due_secs = self._started_at + (sent_frames + 1) * FRAME_MS / 1000 - self._clock()
            await asyncio.sleep(max(due_secs, 0.0))
            try:
                await self._send_frame(sent_frames * FRAME_MS)
                sent_frames += 1
                due = self.playout.advance(self.now_ms())
                self._listen_until(sent_frames * FRAME_MS)
                await self._return_marks(due)
            except ConnectionClosed:
                return
            ticked, self._ticked = self._ticked, asyncio.Event()
            ticked.set()

    async def _send_frame(self, timestamp_ms: int) -> None:
        utterance = self._to_say[0] if self._to_say else None
        voice = utterance.frames.popleft() if utterance and utterance.frames else None
        if voice is None and self._noise is None:
            frame = _QUIET_FRAME
        else:
            mixed = np.zeros(FRAME_BYTES, np.int32) if voice is None else voice.astype(np.int32)
            if self._noise is not None:
                mixed = mixed + self._noise.next_frame()
            frame = encode_ulaw(np.clip(mixed, -32768, 32767).astype(np.int16))
        sent_ms = self.now_ms()
        await self.socket.send_media(frame, timestamp_ms)
        self._sent.extend(frame)
        if utterance is None:
            return
        if utterance.start_ms is None:
            utterance.start_ms = timestamp_ms
        if voice is not None:
            utterance.end_ms = timestamp_ms + FRAME_MS
            if is_audible(encode_ulaw(voice)):
                utterance.last_loud_sent_ms = sent_ms
        if not utterance.frames:
            self._to_say.popleft()
            self._finish(utterance)

    def _finish(self, utterance: _Utterance) -> None:
        start_ms = utterance.start_ms or 0
        end_ms = max(utterance.end_ms, start_ms)
        self.spoken.append(Spoken(start_ms, end_ms, utterance.last_loud_sent_ms))
        if not utterance.done.done():
            utterance.done.set_result((start_ms, end_ms))

    def _listen_until(self, until_ms: int) -> None:
        """Notice which of the played 20 ms frames before `until_ms` are audible."""
        timeline = self.playout.timeline
        while self._ear_at_ms + FRAME_MS <= until_ms:
            start = self._ear_at_ms // FRAME_MS * FRAME_BYTES
            if is_audible(timeline[start : start + FRAME_BYTES]):
                self._loud_frames_ms.append(self._ear_at_ms)
            self._ear_at_ms += FRAME_MS

    def _last_loud_end_ms(self) -> int:
        return self._loud_frames_ms[-1] + FRAME_MS if self._loud_frames_ms else 0

    async def _listen(self) -> None:
        async for raw in self.socket.messages():
            try:
                due = self._take(raw)
            except _Malformed as problem:
                self.protocol_error = str(problem)
                return
            try:
                await self._return_marks(due)
            except ConnectionClosed:
                return

    def _take(self, raw: str | bytes) -> list[str]:
        """Act on one message from the server. Returns the marks to give back now."""
        message = _parse(raw)
        if message.get("streamSid") != self.socket.stream_sid:
            raise _Malformed("streamSid is missing or not this stream's")
        now_ms = self.now_ms()
        match message.get("event"):
            case "media":
                ulaw = _decode_payload(_read_text(message, "media", "payload"))
                if is_audible(ulaw):
                    self._note_arrival(now_ms)
                return self.playout.receive_media(ulaw, now_ms)
            case "mark":
                return self.playout.receive_mark(_read_text(message, "mark", "name"), now_ms)
            case "clear":
                self._last_loud_arrival_ms = None
                return self.playout.clear(now_ms)
            case other:
                raise _Malformed(f"unknown event {other!r}")

    async def _return_marks(self, names: list[str]) -> None:
        for name in names:
            await self.socket.send_mark(name)

    def _freeze(self) -> None:
        """Stop the clock: what is queued now is never heard."""
        self._frozen_at_ms = self.now_ms() if self.started.is_set() else 0.0
        self.playout.advance(self._frozen_at_ms)
        while self._to_say:
            utterance = self._to_say.popleft()
            if utterance.start_ms is not None:
                self._finish(utterance)
            elif not utterance.done.done():
                utterance.done.set_exception(CallOver("the stream ended before this could be said"))
        self.over.set()
        self.started.set()  # nobody should wait for what cannot come
        self._ticked.set()

    async def _leave(self) -> None:
        """Say `stop` if the server is still there, and close; a server that does not read is left without."""
        try:
            async with asyncio.timeout(_LEAVE_SECS):
                if self.socket.close_code is None:
                    await self.socket.send_stop()
                await self.socket.close()
        except ConnectionClosed:
            return
        except TimeoutError:
            self.socket.abort()

    async def _next_tick(self) -> None:
        self._require_open()
        await self._ticked.wait()

    def _require_open(self) -> None:
        if self.over.is_set():
            raise CallOver("the media stream has ended")

    async def _load(self, clip: Clip, rate_hz: int) -> Pcm:
        if isinstance(clip, (str, Path)):
            return await asyncio.to_thread(read_clip, Path(clip))
        if isinstance(clip, bytes):
            return await asyncio.to_thread(read_clip, clip)
        return await asyncio.to_thread(resample_to_telephone, clip, rate_hz)


class _Malformed(Exception):
    """A message from the server that Twilio does not understand (error 31924)."""


def _parse(raw: str | bytes) -> dict[str, Any]:
    if isinstance(raw, bytes):
        raise _Malformed("binary frame")
    try:
        message = json.loads(raw)
    except ValueError as problem:
        raise _Malformed("not JSON") from problem
    if not isinstance(message, dict):
        raise _Malformed("not a JSON object")
    return cast(dict[str, Any], message)


def _read_text(message: dict[str, Any], key: str, name: str) -> str:
    inner = message.get(key)
    value = cast(dict[str, Any], inner).get(name) if isinstance(inner, dict) else None
    if not isinstance(value, str):
        raise _Malformed(f"{key}.{name} is missing")
    return value


def _decode_payload(payload: str) -> bytes:
    try:
        return base64.b64decode(payload, validate=True)
    except binascii.Error as problem:
        raise _Malformed("media.payload is not base64") from problem
