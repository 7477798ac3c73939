"""The honest minimum: Twilio's media socket bridged to Gemini Live by hand, without a framework for voice.

FastAPI, uvicorn, websockets and `audioop`. It answers the webhook, greets, passes the caller on as he is heard, plays
the model as it comes and clears what is queued when the model says that it was interrupted. What it leaves out is what
it is compared for: no voice activity, no transcript, no recording, no signature check, no limits, no reconnection.

    python -m bench.baselines.bare_bridge --port 8765 --gemini-base-url https://127.0.0.1:8443 --ca-file ca.pem

The wire formats: https://www.twilio.com/docs/voice/media-streams/websocket-messages, https://ai.google.dev/api/live.
"""

import argparse
import asyncio
import audioop  # part of Python until 3.12, which is the newest that Trunkline supports
import base64
import json
import os
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket
from websockets.asyncio.client import ClientConnection, connect

from bench.launch import Launch

VOICE_PATH = "/voice"
_ROOT = Path(__file__).resolve().parents[2]
_GOOGLE = "https://generativelanguage.googleapis.com"
_LIVE_PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
_MODEL_RATE_HZ, _PHONE_RATE_HZ, _SAMPLE_BYTES = 24_000, 8_000, 2
_PHONE_MIME = f"audio/pcm;rate={_PHONE_RATE_HZ}"
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")
_SETUP = {
    "setup": {
        "model": "models/gemini-3.8-live",
        "generationConfig": {
            "responseModalities": ["AUDIO"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Aoede"}}},
        },
        "systemInstruction": {"parts": [{"text": "You answer the phone. Be helpful and brief."}]},
    }
}
_GREET = {
    "clientContent": {
        "turns": [
            {"role": "user", "parts": [{"text": "The call has begun. Greet the caller and introduce yourself."}]}
        ],
        "turnComplete": True,
    }
}


def build_app(gemini_base_url: str, ca_file: Path | None, api_key: str) -> FastAPI:
    """The bridge as an ASGI application: POST VOICE_PATH answers TwiML, /media is the socket that it names.

    Args:
        gemini_base_url: https; the Live socket is looked for under it, over TLS.
        ca_file: PEM of the authority to trust instead of the system's; None trusts the system's.
        api_key: sent as x-goog-api-key.
    """
    app = FastAPI()
    live_url = "wss" + gemini_base_url.removeprefix("https").rstrip("/") + _LIVE_PATH
    tls = ssl.create_default_context(cafile=ca_file)

    @app.post(VOICE_PATH)
    async def voice(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        scheme = "wss" if request.url.scheme == "https" else "ws"
        stream = f'<Stream url="{scheme}://{request.url.netloc}/media"/>'
        return Response(f"<Response><Connect>{stream}</Connect></Response>", media_type="application/xml")

    @app.websocket("/media")
    async def media(twilio: WebSocket) -> None:  # pyright: ignore[reportUnusedFunction]
        await twilio.accept()
        stream_sid = await _await_start(twilio)
        async with connect(live_url, ssl=tls, additional_headers={"x-goog-api-key": api_key}) as gemini:
            await gemini.send(json.dumps(_SETUP))
            await gemini.recv()  # setupComplete
            await gemini.send(json.dumps(_GREET))
            await _until_one_ends(_hear(twilio, gemini), _speak(gemini, twilio, stream_sid))

    return app


async def _await_start(twilio: WebSocket) -> str:
    """Return the stream's SID, which is in the second message."""
    while True:
        message = json.loads(await twilio.receive_text())
        if message["event"] == "start":
            return message["streamSid"]


async def _hear(twilio: WebSocket, gemini: ClientConnection) -> None:
    """Caller to model: mu-law 8 kHz to PCM16 8 kHz, frame by frame, until the call ends."""
    async for text in twilio.iter_text():
        message = json.loads(text)
        if message["event"] == "stop":
            return
        if message["event"] == "media":
            pcm = audioop.ulaw2lin(base64.b64decode(message["media"]["payload"]), _SAMPLE_BYTES)
            audio = {"data": base64.b64encode(pcm).decode(), "mimeType": _PHONE_MIME}
            await gemini.send(json.dumps({"realtimeInput": {"audio": audio}}))


async def _speak(gemini: ClientConnection, twilio: WebSocket, stream_sid: str) -> None:
    """Model to caller: PCM16 24 kHz to mu-law 8 kHz, at once: Twilio queues it and plays it in real time."""
    filter_state = None
    async for raw in gemini:
        content = cast(dict[str, Any], json.loads(raw).get("serverContent") or {})
        if content.get("interrupted"):
            await twilio.send_json({"event": "clear", "streamSid": stream_sid})
        for part in content.get("modelTurn", {}).get("parts", []):
            if "inlineData" not in part:
                continue
            pcm = base64.b64decode(part["inlineData"]["data"])
            pcm, filter_state = audioop.ratecv(pcm, _SAMPLE_BYTES, 1, _MODEL_RATE_HZ, _PHONE_RATE_HZ, filter_state)
            payload = base64.b64encode(audioop.lin2ulaw(pcm, _SAMPLE_BYTES)).decode()
            await twilio.send_json({"event": "media", "streamSid": stream_sid, "media": {"payload": payload}})
    await twilio.close()


async def _until_one_ends(*halves: Any) -> None:
    """Run both directions until one of them is over, and raise what it raised."""
    tasks = [asyncio.create_task(half) for half in halves]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.wait(tasks)
    for task in done:
        task.result()


def launch(port: int, gemini_base_url: str, ca_file: Path, work_dir: Path) -> Launch:  # noqa: ARG001
    """How to start it on `port` of the loopback; nothing is written to `work_dir`."""
    arguments = ["--port", str(port), "--gemini-base-url", gemini_base_url, "--ca-file", str(ca_file)]
    return Launch(
        name="bare bridge",
        argv=[sys.executable, "-m", "bench.baselines.bare_bridge", *arguments],
        cwd=_ROOT,
        env={name: os.environ[name] for name in _KEPT if name in os.environ},
        voice_path=VOICE_PATH,
        port=port,
        keeps_rows=False,
    )


def main(arguments: Sequence[str]) -> None:
    """Serve on the loopback until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m bench.baselines.bare_bridge", description="A bare bridge.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--gemini-base-url", default=os.environ.get("TRUNKLINE_GEMINI_BASE_URL", _GOOGLE))
    parser.add_argument("--ca-file", type=Path, default=None, help="default: SSL_CERT_FILE, or the system's")
    options = parser.parse_args(arguments)
    app = build_app(options.gemini_base_url, options.ca_file, os.environ.get("GOOGLE_API_KEY", ""))
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1:])
