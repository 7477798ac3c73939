"""SIGTERM while people are on the telephone: nobody is cut off, nobody new is taken, every row tells how it ended."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from config.phrases import Phrases
from config.settings import Settings
from server import RunningServer
from simulators.simulated_call import SimulatedCall
from tests.calls.server_process import CALLER, FRONT_DESK, Server, Street, open_street
from tests.databases import database_of
from transcripts.call import Speaker

GOODBYE = "Thank you for calling. Goodbye!"
DRAIN_GOODBYE = Phrases().drain_goodbye


def heard_goodbyes(call: SimulatedCall, said: list[str]) -> int:
    """How often the drain's goodbye came: as sound in the call, or from Twilio's own voice after it."""
    assert call.outcome is not None
    return said.count(DRAIN_GOODBYE) + sum(DRAIN_GOODBYE in detail for _, verb, detail in call.outcome.verbs)


async def not_ready(server: Server) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while (answer := await server.get("/readyz")).status_code == 200:  # noqa: ASYNC110 - it is asked over HTTP
            await asyncio.sleep(0.02)
    assert answer.status_code == 503
    return answer.json()["problems"]


async def stays(street: Street, call: SimulatedCall) -> None:
    """A caller who has more to say, and is still there when the time is up."""
    await street.say(call, "wait-book")
    await call.wait_heard(timeout_secs=20)
    await call.ended(timeout_secs=60)


async def leaves(street: Street, call: SimulatedCall) -> None:
    """A caller whose conversation comes to its own end in time."""
    await street.say(call, "goodbye")
    await call.ended(timeout_secs=60)


async def is_busy(street: Street, server: Server) -> None:
    """A caller who comes too late."""
    call = await street.dial(server)
    outcome = await call.ended()
    assert [verb for _, verb, _ in outcome.verbs] == ["Say", "Hangup"]
    assert (await street.ended_row(call)).end_reason == "refused_busy"


@pytest.mark.parametrize("count", [5, pytest.param(20, marks=pytest.mark.soak)])
async def test_a_server_that_is_told_to_stop_cuts_nobody_off(count: int, tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        # Five calls a process: one event loop of a small machine has no more in it while it is measured.
        servers = await asyncio.gather(*(street.serve(drain_secs=1.0 + count) for _ in range(count // 5)))
        calls = await street.talk_to(*servers * 5)
        leaving, staying = calls[: count // 3], calls[count // 3 :]
        for server in servers:
            server.signal(signal.SIGTERM)
        for server in servers:
            assert set(await not_ready(server)) == {"draining"}
            assert (await server.get("/livez")).status_code == 200
        await asyncio.gather(
            *(is_busy(street, server) for server in servers),
            *(leaves(street, call) for call in leaving),
            *(stays(street, call) for call in staying),
        )
        assert [await server.ended() for server in servers] == [0] * len(servers)
        for call in calls:
            row, said = await street.row(call), await street.said(call, Speaker.AGENT)
            assert row.end_reason == ("bot_ended" if call in leaving else "drained")
            assert row.recording_status == "complete"
            assert said[0] == "Hello! How can I help?"
            assert (GOODBYE in said) == (call in leaving)
            assert heard_goodbyes(call, said) == (0 if call in leaving else 1)
            assert call.outcome is not None
            assert call.outcome.ended_by == "server"
            assert not call.outcome.errors
            assert not [turn for turn in await street.turns(call) if turn.interrupted]


async def test_a_call_that_rings_when_the_signal_comes_is_still_taken(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        server = await street.serve(drain_secs=6)
        call_sid = "CA" + "7" * 32
        form = {"CallSid": call_sid, "From": CALLER, "To": FRONT_DESK, "CallStatus": "ringing"}
        answer = await street.twilio.request(f"{server.base_url}/twilio/voice", form)
        assert "<Stream" in answer.body
        server.signal(signal.SIGTERM)
        await not_ready(server)
        call = await street.dial(server, call_sid=call_sid)  # the webhook once more, then the stream
        await call.connected()
        await street.model_is_ready(call)
        await leaves(street, call)
        assert (await street.row(call)).end_reason == "bot_ended"
        assert await server.ended() == 0


async def test_a_second_signal_ends_all_at_once_and_every_row_says_so(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        server = await street.serve(drain_secs=60)
        calls = await street.talk_to(server, server)
        server.signal(signal.SIGINT)
        await not_ready(server)
        server.signal(signal.SIGINT)
        began_secs = asyncio.get_running_loop().time()
        assert await server.ended() == 0
        assert asyncio.get_running_loop().time() - began_secs < 8
        for call in calls:
            outcome = await call.ended()
            # The port answers for a moment more, so that Twilio says goodbye in our place.
            assert [(verb, detail) for _, verb, detail in outcome.verbs][1:] == [("Say", DRAIN_GOODBYE), ("Hangup", "")]
            row = await street.row(call)
            assert (row.end_reason, row.recording_status) == ("drained", "complete")
            assert await street.said(call, Speaker.AGENT) == ["Hello! How can I help?"]
        assert "Traceback" not in await asyncio.to_thread(server.log_file.read_text)
        instances = tmp_path / "data" / "instances"
        assert await asyncio.to_thread(lambda: list(instances.iterdir())) == []


async def test_nobody_is_waited_for_when_nobody_calls(tmp_path: Path) -> None:
    url = await asyncio.to_thread(database_of, tmp_path)
    settings = Settings.load(env_file=None, port=0, data_dir=tmp_path, database_url=url, prepare_sentences=False)
    server = await RunningServer(settings, drain_secs=60).__aenter__()
    async with asyncio.timeout(3):
        await server.__aexit__(None, None, None)
