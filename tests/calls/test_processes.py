"""Several processes as one server: calls spread, limits, commands and news across them, deaths, restarts, the end."""

import asyncio
import base64
import json
import os
import re
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect

from simulators.simulated_call import SimulatedCall
from tests.calls.server_process import FRONT_DESK, ROOT, Server, Street, open_street
from tests.calls.test_drain import is_busy, leaves, not_ready, stays
from tests.unit.api.test_playground_calls import browser
from tests.unit.api.wire import AGENT, BOT, CALLER, NUMBER, STREAM_SID, parameters, start_message, tags
from transcripts.call import Speaker

_SILENCE = json.dumps(
    {
        "event": "media",
        "sequenceNumber": "2",
        "streamSid": STREAM_SID,
        "media": {
            "track": "inbound",
            "chunk": "1",
            "timestamp": "20",
            "payload": base64.b64encode(b"\xff" * 160).decode(),
        },
    }
)
_SILENCE_EVERY_SECS = 2.0
_NAMED = re.compile(r"this process has its name process=(\d) instance=(\S+)")


async def names_of(server: Server) -> dict[str, str]:
    """The instance name of each process, by its number; of two with one number the younger."""
    return dict(_NAMED.findall(await asyncio.to_thread(server.log_file.read_text)))


def pid_of(instance: str) -> int:
    return int(instance.split("-")[-2])


@asynccontextmanager
async def pinned(server: Server, instance: str) -> AsyncGenerator[httpx.AsyncClient]:
    """A connection that leads to one process: the first request on it names the process as a stream would."""
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(base_url=server.base_url, trust_env=False, limits=limits, timeout=20) as http:
        assert (await http.get(f"/twilio/stream/{instance}")).status_code == 404
        yield http


async def post(street: Street, http: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    """A signed webhook."""
    validator: Any = RequestValidator(street.twilio.auth_token)
    url = f"{str(http.base_url).rstrip('/')}{path}"
    return await http.post(path, data=form, headers={"X-Twilio-Signature": validator.compute_signature(url, form)})


async def ring(street: Street, http: httpx.AsyncClient, call_sid: str, to: str = NUMBER) -> httpx.Response:
    return await post(street, http, "/twilio/voice", CallSid=call_sid, To=to, From=CALLER)


def stream_url(answer: httpx.Response) -> str:
    found = re.search(r'<Stream url="([^"]+)"', answer.text)
    assert found, answer.text
    return found[1]


def signature_of(street: Street, url: str) -> dict[str, str]:
    validator: Any = RequestValidator(street.twilio.auth_token)
    return {"X-Twilio-Signature": validator.compute_signature(url, {})}


async def open_stream(street: Street, answer: httpx.Response, call_sid: str) -> ClientConnection:
    """Open the stream that the answer asks for, with its start."""
    url = stream_url(answer)
    stream = await connect(url, additional_headers=signature_of(street, url), compression=None, proxy=None)
    await stream.send(start_message(parameters(answer), call_sid))
    return stream


@asynccontextmanager
async def listening(stream: ClientConnection) -> AsyncGenerator[None]:
    """Send silence and give back the marks that come, as Twilio does: a line that does neither is taken for dead."""

    async def listen() -> None:
        async for message in stream:
            if json.loads(message)["event"] == "mark":
                await stream.send(message)

    async def be_silent() -> None:
        while True:
            await stream.send(_SILENCE)
            await asyncio.sleep(_SILENCE_EVERY_SECS)

    tasks = [
        asyncio.create_task(listen(), name="marks are given back"),
        asyncio.create_task(be_silent(), name="a line carries sound"),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def quiet(tmp_path: Path) -> dict[str, Any]:
    """Settings of a server whose one agent only listens: calls that cost next to nothing."""
    for folder, name, text in [("quiet-agents", "front-desk.yaml", AGENT), ("quiet-bots", "quiet.py", BOT)]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    with (tmp_path / "quiet-agents" / "front-desk.yaml").open("a") as file:
        # However long a test takes on a busy machine, nobody hangs up because nobody speaks.
        file.write("limits: {silence_ask_secs: 300, silence_hangup_secs: 400}\n")
    return {"agents_dir": tmp_path / "quiet-agents", "bots_dir": tmp_path / "quiet-bots"}


async def metric(server: Server, name: str) -> float:
    text = (await server.get("/metrics")).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))


@pytest.mark.soak
@pytest.mark.parametrize("processes", [2, 4])
async def test_a_hundred_calls_are_spread_and_counted_as_one_server(
    processes: int, quiet: dict[str, Any], tmp_path: Path
) -> None:
    async with open_street(tmp_path) as street, AsyncExitStack() as closing:
        server = await street.serve(processes=processes, max_loop_lag_ms=10_000, **quiet)
        sids = [f"CA{number:032x}" for number in range(100)]
        # A proxy's own connections: which process answers a webhook has nothing to do with who takes the call.
        limits = httpx.Limits(max_connections=3)
        async with httpx.AsyncClient(base_url=server.base_url, trust_env=False, limits=limits, timeout=20) as http:
            placed = Counter[str]()
            for sid in sids:
                answer = await ring(street, http, sid)
                placed[stream_url(answer).rsplit("/", 1)[1]] += 1
                stream = await open_stream(street, answer, sid)
                closing.push_async_callback(stream.close)
                await closing.enter_async_context(listening(stream))
            assert tags(await ring(street, http, "CA" + "e" * 32)) == ["Say", "Hangup"], "the hundred are all there are"
        assert len(placed) == processes
        assert max(placed.values()) <= 1.5 * min(placed.values())
        async with asyncio.timeout(20):
            while await metric(server, "trunkline_calls_active") < 100:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        rows = [await street.store.find_call(sid) for sid in sids]
        assert Counter(row.owner for row in rows if row) == placed, "each stream came to the process that it names"
        assert await metric(server, "trunkline_refused_total") == 1


async def test_a_stream_on_a_connection_that_another_process_has(quiet: dict[str, Any], tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        server = await street.serve(processes=2, drain_secs=0.5, **quiet)
        one, other = (await names_of(server)).values()
        call_sid = "CA" + "7" * 32
        async with pinned(server, one) as http:
            answer = await ring(street, http, call_sid)
        placed = stream_url(answer).rsplit("/", 1)[1]
        wrong = other if placed == one else one
        port = int(server.base_url.rsplit(":", 1)[1])
        # As a proxy does that keeps its connections: the upgrade is the second request on one.
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(f"GET /twilio/stream/{wrong} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = b""
            while not head.endswith(b"}"):
                head += await asyncio.to_thread(sock.recv, 4096)
            assert head.startswith(b"HTTP/1.1 404")
            url = stream_url(answer)
            headers = signature_of(street, url)
            options: dict[str, Any] = {"additional_headers": headers, "compression": None, "proxy": None}
            async with connect(url, sock=sock, **options) as stream, listening(stream):
                await stream.send(start_message(parameters(answer), call_sid))
                async with asyncio.timeout(5):
                    while (row := await street.store.find_call(call_sid)) is None or row.status != "live":  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                assert row.owner == wrong
                await asyncio.sleep(0.2)
                assert await metric(server, "trunkline_calls_ringing") == 0, "its slot was given up elsewhere"
                assert await metric(server, "trunkline_calls_active") == 1
                # And what Twilio tells of it at the other process reaches it there.
                async with pinned(server, placed) as http:
                    await post(street, http, "/twilio/status", CallSid=call_sid, CallStatus="completed")
                async with asyncio.timeout(5):
                    while (row := await street.store.find_call(call_sid)) is None or row.status != "ended":  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                assert row.end_reason == "caller_hung_up"
                # Processes without a supervisor let their calls end and end; the port is free at once.
                async with pinned(server, placed) as http:
                    answer = await ring(street, http, "CA" + "5" * 32)
                last = await open_stream(street, answer, "CA" + "5" * 32)
                async with last, listening(last):
                    await is_live(street, "CA" + "5" * 32)
                    server.signal(signal.SIGKILL)
                    await server.ended()
                    with socket.socket() as successor:
                        successor.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        successor.bind(("127.0.0.1", port))
                        successor.listen()
                    await asyncio.gather(*(ended_soon(pid_of(name), 20) for name in (one, other)))
                row = await street.store.find_call("CA" + "5" * 32)
                assert row is not None
                assert row.end_reason == "drained"


async def is_live(street: Street, call_sid: str) -> None:
    async with asyncio.timeout(5):
        while (row := await street.store.find_call(call_sid)) is None or row.status != "live":  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def follow(http: httpx.AsyncClient, call_id: str, **headers: str) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
    """Each event of a call with its id, and ("end", {}) at the end."""
    async with http.stream("GET", f"/playground/events/{call_id}", headers=headers) as answer:
        assert answer.status_code == 200
        number = ""
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                number = line.removeprefix("id: ")
            elif line.startswith('data: {"kind"'):
                yield number, json.loads(line.removeprefix("data: "))
            elif line == "event: end":
                yield "end", {}


async def offer(http: httpx.AsyncClient, peer: RTCPeerConnection) -> str:
    body = {"agent": "front-desk", "sdp": peer.localDescription.sdp, "type": "offer"}
    answer = (await http.post("/playground/offer", json=body)).raise_for_status().json()
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
    return str(answer["call_id"])


async def test_events_hanging_up_and_limits_at_the_other_process(quiet: dict[str, Any], tmp_path: Path) -> None:
    async with open_street(tmp_path) as street, AsyncExitStack() as closing:
        server = await street.serve(processes=2, max_calls=2, **quiet)
        one, other = (await names_of(server)).values()
        here = await closing.enter_async_context(pinned(server, one))
        there = await closing.enter_async_context(pinned(server, other))
        peer = await closing.enter_async_context(browser())
        call_id = await offer(here, peer)
        told = follow(there, call_id)
        number, event = await anext(told)
        assert (number, event["kind"]) == ("0", "call.live")
        row = await street.store.get_call(call_id)
        assert row is not None
        assert row.owner == one
        # The limit is one for all: this call and one more, wherever it is asked for.
        async with pinned(server, other) as http:
            assert stream_url(await ring(street, http, "CA" + "1" * 32)).endswith(other)
        for instance in (one, other):
            async with pinned(server, instance) as http:
                assert tags(await ring(street, http, f"CA{instance[-2:]}" + "2" * 30)) == ["Say", "Hangup"]
                assert (await http.get("/readyz")).status_code == 200, "full is ready"
        async with pinned(server, other) as http:
            assert (await http.get(f"/playground/calls/{call_id}")).json()["is_over"] is False
            began = time.monotonic()
            assert (await http.post(f"/playground/calls/{call_id}/hang-up")).status_code == 204
            kinds = [(number, event.get("kind")) async for number, event in told]
            took_secs = time.monotonic() - began
            assert kinds == [("1", "call.ended"), ("end", None)]
            # Hanging up itself takes a moment; slow looking would take a second for each of the two.
            assert took_secs < 1.0
            kept = (await http.get(f"/playground/calls/{call_id}")).json()
            assert (kept["end_reason"], kept["is_over"]) == ("caller_hung_up", True)
            assert [number async for number, _ in follow(http, call_id, **{"Last-Event-ID": "0"})] == ["1", "end"]
            assert stream_url(await ring(street, http, "CA" + "3" * 32)), "there is room again"


async def talk_on_both(street: Street, server: Server) -> dict[str, SimulatedCall]:
    """A call at each process, by the process's name."""
    calls = await street.talk_to(server, server)
    found = {str((await street.row(call)).owner): call for call in calls}
    assert len(found) == 2
    return found


async def ended_soon(pid: int, within_secs: float) -> None:
    async with asyncio.timeout(within_secs):
        while await asyncio.to_thread(is_running, pid):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


async def test_a_killed_process_is_replaced_and_the_others_calls_go_on(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        server = await street.serve(processes=2)
        (doomed, lost), (kept_by, kept) = (await talk_on_both(street, server)).items()
        ended_before = await metric(server, "trunkline_first_word_seconds_count")
        saying = asyncio.create_task(street.say(kept, "ask-opening-hours"), name="the other caller talks on")
        killed_secs = time.monotonic()
        os.kill(pid_of(doomed), signal.SIGKILL)
        row = await street.ended_row(lost, 5)
        assert row.end_reason == "server_crashed"
        assert time.monotonic() - killed_secs < 3, "nobody waits for the next sweep"
        outcome = await lost.ended()
        assert [verb for _, verb, _ in outcome.verbs][1:] == ["Say", "Hangup"], f"its caller is told: {outcome}"
        await saying
        await kept.wait_heard(timeout_secs=20)
        await kept.wait_quiet(quiet_ms=800)
        async with asyncio.timeout(30):
            while len(set((await names_of(server)).values()) - {doomed, kept_by}) < 1:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        answer = await street.twilio.request(
            f"{server.base_url}/twilio/voice", {"CallSid": "CA" + "8" * 32, "To": FRONT_DESK, "From": CALLER}
        )
        named = re.findall(r"/twilio/stream/([\w-]+)", answer.body)
        assert len(named) == 1
        assert named[0] not in (doomed, kept_by), "the new one takes calls"
        assert await metric(server, "trunkline_processes_restarted_total") == 1
        assert await metric(server, "trunkline_first_word_seconds_count") >= ended_before, "a total does not go down"
        await leaves(street, kept)
        assert (await street.ended_row(kept)).end_reason == "bot_ended"
        assert not [turn for turn in await street.turns(kept) if turn.interrupted]
        assert "nine to five" in " ".join(await street.said(kept, Speaker.AGENT))
        assert kept.outcome is not None
        assert not kept.outcome.errors
        recording = await street.recording(kept)
        assert recording.duration_ms > 0


@pytest.mark.soak
async def test_all_drain_in_order_when_the_server_is_told_to_stop(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        server = await street.serve(processes=2, drain_secs=7)
        leaving, staying = (await talk_on_both(street, server)).values()
        server.signal(signal.SIGTERM)
        assert set(await not_ready(server)) == {"draining"}
        await asyncio.gather(leaves(street, leaving), stays(street, staying), is_busy(street, server))
        assert await server.ended() == 0
        assert (await street.row(leaving)).end_reason == "bot_ended"
        assert (await street.row(staying)).end_reason == "drained"
        assert "Traceback" not in await asyncio.to_thread(server.log_file.read_text)
        assert await asyncio.to_thread(lambda: list((tmp_path / "data" / "instances").iterdir())) == []


@pytest.mark.soak
async def test_one_after_the_other_is_replaced_on_sighup(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        server = await street.serve(processes=2, drain_secs=30)
        old = set((await names_of(server)).values())
        call = await street.talk(server)
        server.signal(signal.SIGHUP)
        async with asyncio.timeout(40):
            while "every process was replaced" not in await asyncio.to_thread(server.log_file.read_text):
                assert (await server.get("/readyz")).status_code == 200
                await asyncio.sleep(0.1)
        again = await street.talk(server)
        assert (await street.row(again)).owner not in old
        await asyncio.gather(leaves(street, call), leaves(street, again))
        assert [(await street.ended_row(c)).end_reason for c in (call, again)] == ["bot_ended"] * 2
        await asyncio.gather(*(ended_soon(pid_of(name), 10) for name in old))
        assert (await server.get("/readyz")).status_code == 200
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"AGENTS_DIR": "nowhere"}, 2, "nowhere: cannot be read"),
        ({"DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/x", "DATABASE_WAIT_SECS": "0.5"}, 3, "did not answer"),
    ],
)
async def test_what_keeps_the_server_from_starting_is_told_once(
    change: dict[str, str], code: int, said: str, quiet: dict[str, Any], tmp_path: Path
) -> None:
    given = {"PORT": "0", "PROCESSES": "2", "DATA_DIR": str(tmp_path / "data")}
    given |= {name.upper(): str(value) for name, value in quiet.items()} | change
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "cli.py"),
        "serve",
        cwd=tmp_path,
        env=kept | {f"TRUNKLINE_{name}": value for name, value in given.items()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, errors = await process.communicate()
    text = errors.decode()
    assert process.returncode == code, text
    assert out == b""
    assert len([line for line in text.splitlines() if said in line and "WARNING" not in line]) == 1, text
    assert "Traceback" not in text
    assert "hunter2" not in text


async def test_one_process_needs_no_supervisor(quiet: dict[str, Any], tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        server = await street.serve(processes=1, **quiet)
        pid = server.process.pid
        children = await asyncio.to_thread(Path(f"/proc/{pid}/task/{pid}/children").read_text)
        assert children.split() == []
        async with httpx.AsyncClient(base_url=server.base_url, trust_env=False) as http:
            assert stream_url(await ring(street, http, "CA" + "1" * 32)).split("-")[-2] == str(pid)
