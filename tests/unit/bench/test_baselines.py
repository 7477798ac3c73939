"""What Trunkline is measured against: each of them is phoned once, as the bench starts it."""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from httpx import AsyncClient
from websockets.asyncio.client import ClientConnection, connect

from bench.baselines import bare_bridge, generated_bot
from bench.launch import Launch, serving
from bench.loudness import LOUD_PEAK, is_loud_ulaw
from bench.model import load_model
from bench.model import serve as serve_model
from bench.step import free_port
from simulators.clips import CLIP_RATE_HZ, caller_samples
from simulators.gemini_live import GeminiEmulator
from simulators.simulated_call import SimulatedCall
from simulators.telephone_audio import encode_ulaw
from simulators.twilio import TwilioSimulator

ROOT = Path(__file__).resolve().parents[3]
LOUD_FRAME = base64.b64encode(encode_ulaw(np.full(160, 3 * LOUD_PEAK, np.int16))).decode()
PIN = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


@dataclass
class Phoned:
    """A baseline that answers, with a call to it that is open."""

    call: SimulatedCall
    gemini: GeminiEmulator
    log_file: Path


@asynccontextmanager
async def phoned(launch: Launch, gemini: GeminiEmulator, folder: Path) -> AsyncGenerator[Phoned]:
    """Start it and ring; TLS, which its TwiML may ask for, ends before it."""
    async with AsyncExitStack() as closing:
        log_file = folder / "baseline.log"
        await closing.enter_async_context(serving(launch, sorted(os.sched_getaffinity(0)), log_file))
        twilio = await closing.enter_async_context(TwilioSimulator())
        here = f"http://127.0.0.1:{launch.port}"
        twilio.serve_at(here.replace("http", "https"), here)
        call = await twilio.dial(to="+15551230100", from_="+15557654321", voice_url=here + launch.voice_path)
        await call.connected()
        yield Phoned(call, gemini, log_file)


async def test_the_bare_bridge_greets_is_interrupted_and_answers(tmp_path: Path) -> None:
    """Not in real time: the model sends ahead, and says all it has before it is spoken into."""
    model = load_model(answer_delay_ms=20.0)
    far_end = await serve_model(model, tmp_path)
    base_url = f"https://127.0.0.1:{far_end.sockets[0].getsockname()[1]}"
    launch = bare_bridge.launch(free_port(), base_url, tmp_path / "ca.pem", tmp_path)
    async with serving(launch, sorted(os.sched_getaffinity(0)), tmp_path / "baseline.log"):
        here = f"127.0.0.1:{launch.port}"
        async with AsyncClient(trust_env=False) as client:
            twiml = (await client.post(f"http://{here}{launch.voice_path}", data={"CallSid": "CA1"})).text
        assert f'<Connect><Stream url="ws://{here}/media"/></Connect>' in twiml
        async with asyncio.timeout(10), connect(f"ws://{here}/media") as line:
            await line.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
            await line.send(json.dumps({"event": "start", "streamSid": "MZ1", "start": {"callSid": "CA1"}}))
            greeting = await hear(line, model.greeting.length_ms)
            for _ in range(7):
                await line.send(json.dumps({"event": "media", "media": {"payload": LOUD_FRAME}}))
            assert json.loads(await line.recv()) == {"event": "clear", "streamSid": "MZ1"}
            answer = await hear(line, model.answers[0].length_ms)
            await line.send(json.dumps({"event": "stop", "streamSid": "MZ1"}))
            await line.wait_closed()
    far_end.close()
    assert is_loud_ulaw(greeting[:160])
    assert is_loud_ulaw(answer[:160])
    assert (model.conversations, model.interruptions, len(model.lateness_ms), model.bad_messages) == (1, 1, 1, 0)


async def hear(line: ClientConnection, length_ms: float) -> bytes:
    """All of a reply that is to be so long; at a wrong rate it would be longer or shorter."""
    ulaw, wanted = b"", length_ms * 8
    while len(ulaw) < wanted - 8:
        message = json.loads(await line.recv())
        assert (message["event"], message["streamSid"]) == ("media", "MZ1")
        ulaw += base64.b64decode(message["media"]["payload"])
    assert len(ulaw) <= wanted + 8
    return ulaw


def test_the_generated_bot_is_held_to_the_versions_that_trunkline_runs_on() -> None:
    text = generated_bot.LOCK_FILE.read_text(encoding="utf-8")
    asked, ours = dict(PIN.findall(text)), PIN.findall((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    assert "pipecat-ai" in asked
    names = {name for name, _ in ours}
    assert not {pin for pin in PIN.findall(text) if pin[0] in names} - set(ours)
    assert text.count("--hash=sha256:") >= len(asked)
    assert "://" not in text


def test_no_name_outside_this_machine_is_looked_up_beside_the_guard() -> None:
    code = "import socket; socket.getaddrinfo('localhost', 1); socket.getaddrinfo('twilio.invalid', 443)"
    guard = Path(generated_bot.__file__).parent / "loopback_only"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(guard)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "loopback only: twilio.invalid was not looked up" in done.stderr
    assert "localhost was not" not in done.stderr


def test_a_step_that_fails_says_which_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "generated-bot").write_text("in the way")
    with pytest.raises(generated_bot.CannotGenerate, match=r"pipecat init .*generated-bot"):
        generated_bot.generate(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(generated_bot.CannotGenerate, match="pipecat is not installed"):
        generated_bot.generate(tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_the_generated_bot_greets_and_answers_unedited(tmp_path: Path) -> None:
    async with GeminiEmulator(ca_dir=tmp_path / "ca") as gemini:
        launch = generated_bot.launch(free_port(), gemini.base_url, gemini.ca_file, tmp_path / "work")
        async with phoned(launch, gemini, tmp_path) as phone:
            await phone.call.wait_heard(timeout_secs=30)
            await phone.call.wait_quiet(quiet_ms=1000)
            await phone.call.say(caller_samples("hello"), CLIP_RATE_HZ)
            await phone.call.wait_heard(timeout_secs=20)
            await phone.call.wait_quiet(quiet_ms=1000)
            await phone.call.hang_up()
            outcome = await phone.call.ended()
        [conversation] = gemini.conversations
    assert not outcome.errors
    assert [heard.clip for heard in conversation.heard] == ["hello"]
    assert len(conversation.said) == 2
    assert (launch.cwd / "bot.py").read_bytes() == (generated_bot.generate(tmp_path / "again") / "bot.py").read_bytes()
    assert "was not looked up" not in phone.log_file.read_text(encoding="utf-8")
