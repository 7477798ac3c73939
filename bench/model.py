"""A stand-in Gemini Live made for load: the real wire protocol over TLS, for a few milliseconds of CPU per call-second.

It understands no words and calls no tools. It greets when it is told to begin, answers a fixed time after the last
loud input it received, and breaks off when somebody speaks into its answer. Everything it says was put together at its
start.

    python -m bench.model --port 8443 --folder DIR --answer-delay-ms 700

writes DIR/ca.pem (which clients have to trust) before it opens its port, and DIR/model.json when SIGTERM ends it.
Protocol: `simulators/gemini_wire.py`, and what google-genai sends.
"""

import argparse
import asyncio
import binascii
import contextlib
import gc
import json
import re
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import uvloop
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,  # pyright: ignore[reportUnknownVariableType]
)

from bench.loudness import is_loud_pcm
from bench.model_voice import ANSWERS, GREETING, Reply, load_reply
from bench.ticker import in_whole_ms
from simulators import gemini_wire as wire
from simulators.certificates import issue_certificates

ANSWER_DELAY_MS = 700.0
BARGE_IN_MS = 120.0
"""So much loud input within an answer breaks it off."""
_SPEECH_MS = 100.0
"""Less loud input than this is a click and is not answered."""
_PATH = b"GenerativeService.BidiGenerateContent"
_AUDIO = re.compile(rb'\s*\{\s*"realtime_?[iI]nput"\s*:\s*\{\s*"audio"\s*:\s*\{[^{}]*?"data"\s*:\s*"([^"]*)"')
_RATE = re.compile(rb'"audio/pcm;\s*rate=(\d+)')
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_HEARD = [wire.encode(wire.server_content(inputTranscription={"text": text})) for text in (" This is", " my sentence.")]
_GENERATED = wire.encode(wire.server_content(generationComplete=True))
_INTERRUPTED = wire.encode(wire.server_content(interrupted=True))
_NOT_RESUMABLE = wire.encode(wire.resumption_update(None))


@dataclass
class Model:
    """What all conversations share: the voice, the manner, and the counts that the run's report needs.

    Attributes:
        lateness_ms: of each answer, how much later than due its first sound was sent.
    """

    greeting: Reply
    answers: Sequence[Reply]
    answer_delay_secs: float = ANSWER_DELAY_MS / 1000
    conversations: int = 0
    interruptions: int = 0
    bad_messages: int = 0
    lateness_ms: list[float] = field(default_factory=list[float])

    def accept(self, request: WSUpgradeRequest) -> "Conversation | None":
        """A conversation for an upgrade to the Live path; None (which is a 404) for any other."""
        return Conversation(self) if _PATH in request.path else None

    def report(self) -> dict[str, Any]:
        """Counts, for JSON."""
        late = sorted(self.lateness_ms)
        return {
            "conversations": self.conversations,
            "answers": len(late),
            "interruptions": self.interruptions,
            "bad_messages": self.bad_messages,
            "late_p95_ms": round(late[int(len(late) * 0.95)], 2) if late else None,
        }


class Conversation(WSListener):
    """One connection of the Live API, from its setup to its end."""

    def __init__(self, model: Model) -> None:
        """Wait for the connection."""
        self._model = model
        self._loop = asyncio.get_running_loop()
        self._transport: WSTransport | None = None
        self._is_set_up = self._has_handles = self._tells_heard = self._tells_said = False
        self._takes_history = self._is_asked = False
        self._rate_hz = wire.DEFAULT_INPUT_RATE_HZ
        self._input_bytes = 0
        self._said_ms = 0.0
        self._said_letters = 0
        self._turns = 0
        self._loud_ms = 0.0
        self._loud_at = 0.0
        self._answering: asyncio.TimerHandle | None = None
        self._messages: Sequence[tuple[float, bytes]] = ()
        self._sent = 0
        self._reply: Reply | None = None
        self._began_at = 0.0
        self._speaking: asyncio.TimerHandle | None = None

    # ---- picows ----

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is done."""
        self._transport = transport
        self._model.conversations += 1

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One frame of the client."""
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif not frame.fin or frame.msg_type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            transport.send_close(WSCloseCode.UNSUPPORTED_DATA)
            transport.disconnect()
        else:
            self._take(frame.get_payload_as_bytes())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Nobody listens any more."""
        self._transport = None
        for timer in (self._answering, self._speaking):
            if timer is not None:
                timer.cancel()

    # ---- what comes ----

    def _take(self, payload: bytes) -> None:
        audio = _AUDIO.match(payload)
        if audio is not None and self._is_set_up:
            self._hear(audio[1], payload)
            return
        try:
            kind, body = wire.parse_message(payload)
        except wire.BadMessage as error:
            self._model.bad_messages += 1
            self._close(WSCloseCode.INVALID_TEXT, str(error))
            return
        if not self._is_set_up:
            self._set_up(body) if kind == "setup" else self._close(WSCloseCode.INVALID_TEXT, "setup must come first")
        elif kind == "clientContent":
            self._take_content(body)
        elif kind == "realtimeInput" and body.get("text") is not None:
            self._is_asked = self._is_asked or bool(str(body["text"]).strip())
            self._answer_text()

    def _set_up(self, setup: wire.Json) -> None:
        self._is_set_up = True
        self._has_handles = setup.get("sessionResumption") is not None
        self._tells_heard = setup.get("inputAudioTranscription") is not None
        self._tells_said = setup.get("outputAudioTranscription") is not None
        history = cast(wire.Json, setup.get("historyConfig") or {})
        self._takes_history = bool(history.get("initialHistoryInClientContent"))
        self._send(wire.encode(wire.setup_complete(uuid.uuid4().hex)))
        self._offer_handle()

    def _take_content(self, body: wire.Json) -> None:
        self._is_asked = True
        if not body.get("turnComplete"):
            return
        if self._takes_history:
            self._takes_history = False  # the first content is history, and a nudge follows it
            return
        self._answer_text()

    def _answer_text(self) -> None:
        if self._is_asked:
            self._is_asked = False
            self._break_off()
            self._begin()

    def _hear(self, data: bytes, payload: bytes) -> None:
        pcm = binascii.a2b_base64(data.translate(_TO_STANDARD))
        self._input_bytes += len(pcm)
        if not is_loud_pcm(pcm):
            return
        rate = _RATE.search(payload)
        self._rate_hz = int(rate[1]) if rate else wire.DEFAULT_INPUT_RATE_HZ
        self._loud_at = time.monotonic()
        self._loud_ms += len(pcm) * 500 / self._rate_hz
        if self._reply is not None and self._loud_ms >= BARGE_IN_MS:
            self._model.interruptions += 1
            self._break_off()
        if self._answering is None:
            self._answering = self._loop.call_later(self._model.answer_delay_secs, self._answer_speech)

    # ---- what it says ----

    def _answer_speech(self) -> None:
        due_at = self._loud_at + self._model.answer_delay_secs
        now = time.monotonic()  # uvloop's own clock stands still within an iteration
        if now < due_at:
            self._answering = self._loop.call_later(in_whole_ms(due_at - now), self._answer_speech)
            return
        self._answering = None
        is_speech, self._loud_ms = self._loud_ms >= _SPEECH_MS, 0.0
        if not is_speech:
            return
        self._break_off()
        if self._tells_heard:
            for message in _HEARD:
                self._send(message)
        self._begin()
        self._model.lateness_ms.append((now - due_at) * 1000)

    def _begin(self) -> None:
        model = self._model
        self._reply = model.greeting if self._turns == 0 else model.answers[(self._turns - 1) % len(model.answers)]
        self._turns += 1
        self._messages = self._reply.with_words if self._tells_said else self._reply.sound_only
        self._sent = 0
        self._began_at = time.monotonic()
        if self._has_handles:
            self._send(_NOT_RESUMABLE)
        self._speak()

    def _speak(self) -> None:
        """Send what is due of the reply; at its end, wait until the client must have played it."""
        now_ms = (time.monotonic() - self._began_at) * 1000
        messages, count = self._messages, len(self._messages)
        while self._sent < count and messages[self._sent][0] <= now_ms:
            self._send(messages[self._sent][1])
            self._sent += 1
        if self._sent < count:
            due_secs = (messages[self._sent][0] - now_ms) / 1000
            self._speaking = self._loop.call_later(in_whole_ms(due_secs), self._speak)
        elif self._reply is not None:
            self._send(_GENERATED)
            self._speaking = self._loop.call_later((self._reply.length_ms - now_ms) / 1000, self._complete)

    def _break_off(self) -> None:
        if self._reply is None:
            return
        if self._speaking is not None:
            self._speaking.cancel()
        self._send(_INTERRUPTED)
        self._complete()

    def _complete(self) -> None:
        if self._reply is None:
            return
        self._said_ms += self._reply.length_ms
        self._said_letters += self._reply.letters
        self._reply = self._speaking = None
        usage = wire.usage_metadata(
            heard_secs=self._input_bytes / 2 / self._rate_hz,
            said_secs=self._said_ms / 1000,
            text_in=0,
            text_out=self._said_letters,
        )
        self._send(wire.encode({**wire.server_content(turnComplete=True), "usageMetadata": usage}))
        self._offer_handle()

    def _offer_handle(self) -> None:
        if self._has_handles:
            self._send(wire.encode(wire.resumption_update(uuid.uuid4().hex)))

    def _send(self, message: bytes) -> None:
        if self._transport is not None:
            self._transport.send(WSMsgType.BINARY, message)

    def _close(self, code: WSCloseCode, reason: str) -> None:
        if self._transport is not None:
            self._transport.send_close(code, reason[:120].encode())
            self._transport.disconnect()


def load_model(answer_delay_ms: float = ANSWER_DELAY_MS) -> Model:
    """Prepare the voice (blocks for a second).

    Args:
        answer_delay_ms: from the last loud input received to the first sound of the answer.
    """
    return Model(load_reply(GREETING), [load_reply(clip_id) for clip_id in ANSWERS], answer_delay_ms / 1000)


async def serve(model: Model, folder: Path, port: int = 0) -> asyncio.Server:
    """Listen on 127.0.0.1 over TLS, by a throw-away authority that is written to `folder`/ca.pem first."""
    certificates = await asyncio.to_thread(issue_certificates, folder, "127.0.0.1", "localhost")
    return await ws_create_server(model.accept, "127.0.0.1", port, ssl=certificates.server, enable_auto_pong=True)


async def _serve_until_told(options: argparse.Namespace) -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    model = load_model(options.answer_delay_ms)
    gc.freeze()
    server = await serve(model, options.folder, options.port)
    await told.wait()
    server.close()
    (options.folder / "model.json").write_text(json.dumps(model.report()), encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m bench.model", description="A stand-in Gemini Live, made for load.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--answer-delay-ms", type=float, default=ANSWER_DELAY_MS)
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve_until_told(parser.parse_args(arguments)))


if __name__ == "__main__":
    main(sys.argv[1:])
