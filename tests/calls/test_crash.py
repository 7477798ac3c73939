"""kill -9 in the middle of calls: what was said is kept, every row tells the truth, recordings can be played."""

import asyncio
import signal
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from simulators.simulated_call import SimulatedCall
from tests.calls.server_process import Street, open_street
from tests.databases import shared_postgres
from transcripts.call import Speaker

RATE_HZ = 8000
HELLO, REPLY = "Hello? Is anybody there?", "Hello! How can I help?"


async def is_speaking(street: Street, call: SimulatedCall) -> None:
    """The caller is in the middle of a long story when the server dies."""
    await street.say(call, "long-story")


async def is_listening(street: Street, call: SimulatedCall) -> None:
    """The agent is in the middle of a long answer then."""
    await street.say(call, "ask-opening-hours")


def last_sound_ms(pcm: np.ndarray) -> float:
    """When something louder than a line's noise was last recorded on this channel."""
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > 500)
    return float(loud[-1]) * 1000 / RATE_HZ if len(loud) else 0.0


@pytest.mark.parametrize(
    ("count", "kind"),
    [
        (4, "sqlite"),
        pytest.param(20, "sqlite", marks=pytest.mark.soak),
        pytest.param(20, "postgresql", marks=pytest.mark.soak),
    ],
)
async def test_a_killed_server_leaves_the_truth_behind(count: int, kind: str, tmp_path: Path) -> None:
    url = await asyncio.to_thread(lambda: shared_postgres().create_database()) if kind == "postgresql" else None
    settings = {} if url is None else {"database_url": url}
    async with open_street(tmp_path, url) as street:
        other, *doomed = await asyncio.gather(*(street.serve(**settings) for _ in range(1 + -(-count // 5))))
        safe, *calls = await street.talk_to(other, *[doomed[number % len(doomed)] for number in range(count)])
        speaking, listening = calls[: count // 2], calls[count // 2 :]
        talking = [asyncio.create_task(is_speaking(street, call), name="speaks") for call in speaking]
        asking = [asyncio.create_task(is_listening(street, call), name="asks") for call in listening]
        await asyncio.gather(*asking, *(call.wait_heard(timeout_secs=20) for call in listening))
        await asyncio.sleep(2.5)
        known = {call.sid: await street.turns(call) for call in calls}
        for server in doomed:
            server.signal(signal.SIGKILL)
        killed_at = datetime.now(UTC)
        assert {await server.ended() for server in doomed} == {-signal.SIGKILL}
        await asyncio.gather(*talking, *(call.ended() for call in calls), return_exceptions=True)
        again = await street.serve(**settings)
        for call in calls:
            row = await street.ended_row(call, 5)
            assert (row.end_reason, row.recording_status) == ("server_crashed", "recording")
            turns = await street.turns(call)
            assert turns[: len(known[call.sid])] == known[call.sid]
            assert [turn.text for turn in turns][:2] == [HELLO, REPLY]
            if call in listening:
                assert [turn.text for turn in turns][2:] == ["Hi, what are your opening hours on Monday?"]
            assert [event.kind for event in await street.events(call)][-1] == "server_crashed"
            assert row.live_at is not None
            assert row.ended_at is not None
            assert row.live_at < row.ended_at <= killed_at
            killed_ms = (killed_at - row.live_at).total_seconds() * 1000
            recording = await street.recording(call)
            pcm = await asyncio.to_thread(recording.read_pcm)
            assert killed_ms - 2000 <= recording.duration_ms <= killed_ms + 500
            caller_ms, agent_ms = last_sound_ms(pcm[:, 0]), last_sound_ms(pcm[:, 1])
            assert (caller_ms if call in speaking else agent_ms) >= killed_ms - 2000
            assert min(caller_ms, agent_ms) > 1000
        row = await street.row(safe)
        assert row.status == "live"
        assert row.owner is not None
        assert (await again.get("/readyz")).status_code == 200
        await street.say(safe, "goodbye")
        await safe.ended()
        assert (await street.ended_row(safe)).end_reason == "bot_ended"
        assert await street.said(safe, Speaker.AGENT) == [REPLY, "Thank you for calling. Goodbye!"]


async def test_calls_of_a_killed_server_are_closed_by_one_that_lives(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        doomed, _other = await asyncio.gather(street.serve(), street.serve())
        call = await street.talk(doomed)
        doomed.signal(signal.SIGKILL)
        assert await doomed.ended() == -signal.SIGKILL
        assert (await street.ended_row(call, 20)).end_reason == "server_crashed"
