"""What Twilio's side can do wrong, and what becomes of its callers when one of our processes dies."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from config.agents_folder import load_agents
from doctor.twilio_checks import fallback_documents
from simulators.call_setup import DialOutcome
from simulators.simulated_call import SimulatedCall
from simulators.static_twiml import StaticTwiml
from tests.calls.conftest import CALLER
from tests.calls.server_process import FRONT_DESK, open_street

PERSON = "+15551230177"
SORRY = "I am sorry, the line broke. One moment, I am putting you through."
LADDER: dict[str, Any] = {"on_failure": [{"say": SORRY}, {"transfer": PERSON}]}
AFTER_FAILURE = [("Say", SORRY), ("Dial", PERSON)]
TAKEN = DialOutcome(status="completed", ring_ms=10, talk_ms=100)


def after_stream(call: SimulatedCall) -> list[tuple[str, str]]:
    """The verbs after the first one, which connected the stream, without the last hang-up."""
    assert call.outcome is not None
    (_, first, _), *others = call.outcome.verbs
    assert first == "Connect"
    return [(verb, detail) for _, verb, detail in others if verb != "Hangup"]


def silence_secs(call: SimulatedCall, since_ms: float) -> float:
    """How long the caller heard nothing from this moment of the call until Twilio's voice spoke."""
    assert call.outcome is not None
    return (next(at_ms for at_ms, verb, _ in call.outcome.verbs if verb == "Say") - since_ms) / 1000


def connected_ms(call: SimulatedCall) -> float:
    return next(at_ms for at_ms, verb, _ in call.verbs if verb == "Connect")


async def test_a_media_socket_that_breaks_leads_to_an_apology_and_a_transfer(make_house) -> None:
    house = await make_house(agents={"front-desk": LADDER})
    house.twilio.dial_outcome = TAKEN
    house.twilio.arm("socket-drop", after_secs=2.0)
    call = await house.dial()
    await call.ended()
    assert after_stream(call) == AFTER_FAILURE
    assert silence_secs(call, connected_ms(call) + 2000) < 3
    row = await house.ended_row(call)
    assert row.end_reason == "connection_lost"
    assert not house.server.services.live.count


@pytest.mark.parametrize("rest_fault", [None, "rest-429", "rest-500"])
async def test_a_caller_behind_a_dead_path_is_rescued_by_rest(make_house, rest_fault: str | None) -> None:
    house = await make_house(agents={"front-desk": LADDER})
    house.twilio.dial_outcome = TAKEN
    house.twilio.arm("no-frames", after_secs=1.0)
    call = await house.dial()
    if rest_fault is not None:
        house.twilio.arm(rest_fault)
    await call.ended(timeout_secs=40)
    assert after_stream(call) == AFTER_FAILURE
    row = await house.ended_row(call)
    assert row.end_reason == "connection_lost"
    assert silence_secs(call, connected_ms(call) + 1000) < 6
    await house.server.services.log_writer.flush(5)
    (rescued,) = await house.events(call, "rescue.redirected")
    assert rescued.data == {"attempts": 1 if rest_fault is None else 2, "step": "transfer"}


async def test_a_webhook_that_comes_three_times_is_one_call_with_one_model(make_house) -> None:
    house = await make_house(agents={"front-desk": {"greeting": ""}})
    house.twilio.arm("duplicate-webhook", later_secs=1.0)
    call = await house.dial_quietly()
    await asyncio.sleep(1.5)
    assert len(call.twiml_log) >= 2
    await house.say(call, "goodbye")
    outcome = await call.ended()
    assert outcome.ended_by == "server", outcome.errors
    assert [turn.text for turn in await house.turns(call)] == [
        "That's all, thank you. Goodbye!",
        "Thank you for calling. Goodbye!",
    ]
    assert len(await house.store.list_calls(10)) == 1
    assert (await house.ended_row(call)).end_reason == "bot_ended"
    assert house.server.services.live.count == 0


async def test_status_callbacks_in_any_order_and_number_change_nothing(make_house) -> None:
    house = await make_house(agents={"front-desk": {"greeting": ""}})
    house.twilio.arm("out-of-order-status")
    call = await house.dial_quietly(status_events=("initiated", "ringing", "answered", "completed"))
    await house.say(call, "goodbye")
    await call.ended()
    row = await house.ended_row(call)
    assert row.end_reason == "bot_ended"
    assert len(call.callback_log) >= 4
    assert {answer.status for answer in call.callback_log} == {204}
    again = await house.row(call)
    assert (again.end_reason, again.ended_at) == (row.end_reason, row.ended_at)


@dataclass
class Balancer:
    """A load balancer: new connections go to the first server of `targets` that listens."""

    targets: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    base_url: str = ""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for host, port in self.targets:
            try:
                far_reader, far_writer = await asyncio.open_connection(host, port)
            except OSError:
                continue
            break
        else:
            writer.close()
            return
        ways = [
            asyncio.create_task(_pump(reader, far_writer), name="balancer in"),
            asyncio.create_task(_pump(far_reader, writer), name="balancer out"),
        ]
        self._tasks.update(ways)
        await asyncio.wait(ways)
        self._tasks.difference_update(ways)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        return
    finally:
        writer.close()


@asynccontextmanager
async def balancing() -> AsyncGenerator[Balancer]:
    balancer = Balancer()
    server = await asyncio.start_server(balancer.serve, "127.0.0.1", 0)
    async with server:
        balancer.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield balancer
        server.close()
        await balancer.close()


def change_front_desk(folder: Path) -> None:
    file = folder / "agents" / "front-desk.yaml"
    file.write_text(file.read_text() + f'on_failure:\n- say: "{SORRY}"\n- transfer: "{PERSON}"\n')


async def test_when_a_process_is_killed_its_callers_are_put_through_by_another(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street, balancing() as balancer:
        await asyncio.to_thread(change_front_desk, tmp_path)
        street.twilio.dial_outcome = TAKEN
        doomed, other = await asyncio.gather(*(street.serve(public_base_url=balancer.base_url) for _ in range(2)))
        for server in (doomed, other):
            host, port = server.base_url.removeprefix("http://").split(":")
            balancer.targets.append((host, int(port)))
        call = await street.twilio.dial(to=FRONT_DESK, from_=CALLER, voice_url=f"{balancer.base_url}/twilio/voice")
        await call.connected()
        await street.model_is_ready(call)
        # By then the webhook's idle connection is closed; on it the question would go to the dead process once more.
        await asyncio.sleep(6)
        owner = (await street.row(call)).owner
        assert f"-{doomed.process.pid}-" in (owner or "")
        killed_ms = connected_ms(call) + call.caller.now_ms()
        # The kernel closes a dead process's sockets one by one: for an instant its port would still take connections.
        balancer.targets.reverse()
        doomed.signal(signal.SIGKILL)
        await call.ended(timeout_secs=30)
        assert after_stream(call) == AFTER_FAILURE, call.errors
        assert silence_secs(call, killed_ms) < 2, "a process that is proven dead is not waited for"
        assert (await street.ended_row(call)).end_reason == "server_crashed"


async def test_when_the_only_process_is_killed_static_twiml_says_what_doctor_prints(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        await asyncio.to_thread(change_front_desk, tmp_path)
        agents = await asyncio.to_thread(lambda: load_agents(street.agents_dir, known_bots=None).agents)
        (document,) = [text for heading, text in fallback_documents(agents) if heading.startswith("front-desk")]
        street.twilio.dial_outcome = TAKEN
        server = await street.serve()
        async with StaticTwiml(document) as static:
            call = await street.dial(server, fallback_url=static.url)
            await call.connected()
            await street.model_is_ready(call)
            server.signal(signal.SIGKILL)
            await call.ended(timeout_secs=30)
        assert after_stream(call) == AFTER_FAILURE
        assert len(static.requests) == 1
