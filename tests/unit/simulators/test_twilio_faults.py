"""Each fault of the stand-in Twilio, seen by a server of its own and by Twilio's SDK."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from itertools import pairwise

import httpx
import pytest
import pytest_asyncio

from simulators.fault_control import FaultControl
from simulators.line_faults import Accident, LostFrames, line_fault
from simulators.static_twiml import StaticTwiml
from simulators.twilio import TwilioSimulator
from tests.unit.simulators.toy_server import AUTH_TOKEN, ToyServer, ToyStream, serve_toy

pytestmark = pytest.mark.asyncio(loop_scope="module")

DIAL = {"to": "+15551230100", "from_": "+15557654321"}
NEXT = "<Response><Say>Goodbye</Say><Hangup/></Response>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncGenerator[ToyServer]:
    async with serve_toy() as toy:
        yield toy


@pytest.fixture
def toy(server: ToyServer) -> ToyServer:
    server.forget()
    server.answers |= {"/voice": server.connect(attributes='action="/next"'), "/next": NEXT}
    return server


@pytest_asyncio.fixture(loop_scope="module")
async def twilio() -> AsyncGenerator[TwilioSimulator]:
    async with TwilioSimulator(auth_token=AUTH_TOKEN) as simulator:
        yield simulator


class Clock:
    """A stream's server that notes when each of the caller's frames came: (seconds, timestamp in ms)."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, int]] = []

    async def listen(self, stream: ToyStream) -> None:
        while True:
            message = await stream.read()
            if message["event"] == "media":
                self.frames.append((time.monotonic(), int(message["media"]["timestamp"])))

    def late_ms(self) -> list[float]:
        """How late each frame came, against the most punctual one."""
        offsets = [at * 1000 - stamp for at, stamp in self.frames]
        return [offset - min(offsets) for offset in offsets]


async def stay(toy: ToyServer, twilio: TwilioSimulator, fault: str, secs: float) -> Clock:
    clock = Clock()
    toy.on_stream = clock.listen
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", fault=fault, **DIAL)
    await call.connected()
    await asyncio.sleep(secs)
    await call.hang_up()
    return clock


async def test_frames_that_are_late_and_in_order(toy: ToyServer, twilio: TwilioSimulator) -> None:
    clock = await stay(toy, twilio, "jitter-30", 3)
    stamps = [stamp for _, stamp in clock.frames]
    assert stamps == list(range(0, len(stamps) * 20, 20)), "none is lost, none overtakes"
    late_ms = clock.late_ms()
    assert 130 < max(late_ms) < 320
    assert 0.2 < sum(late > 15 for late in late_ms) / len(late_ms) < 0.95
    assert sum(late > 15 for late in late_ms[-50:]) < 50, "lateness does not add up"


async def test_two_of_a_hundred_frames_are_lost(toy: ToyServer, twilio: TwilioSimulator) -> None:
    clock = await stay(toy, twilio, "loss-2", 3)
    stamps = [stamp for _, stamp in clock.frames]
    missing = set(range(0, stamps[-1], 20)) - set(stamps)
    assert 1 <= len(missing) <= 10
    assert stamps == sorted(stamps)
    line = LostFrames(seed=4)
    kept = sum([len(await line.to_server('{"event":"media"}')) for _ in range(5000)])
    assert 60 <= 5000 - kept == line.lost <= 140
    assert await line.to_server('{"event":"mark"}') == ('{"event":"mark"}',)


async def test_a_stall_and_then_everything_at_once(toy: ToyServer, twilio: TwilioSimulator) -> None:
    twilio.arm("stall-burst", after_secs=0.5, secs=1.0)
    clock = Clock()
    toy.on_stream = clock.listen
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
    await call.connected()
    await asyncio.sleep(2.2)
    await call.hang_up()
    gaps = [(later[0] - earlier[0], index) for index, (earlier, later) in enumerate(pairwise(clock.frames))]
    longest, index = max(gaps)
    assert longest == pytest.approx(1.0, abs=0.15)
    after = [at for at, _ in clock.frames[index + 1 : index + 41]]
    assert after[-1] - after[0] < 0.3, "40 frames of 20 ms in a burst"
    assert [stamp for _, stamp in clock.frames] == list(range(0, len(clock.frames) * 20, 20))


async def test_a_torn_socket_leads_to_the_action(toy: ToyServer, twilio: TwilioSimulator) -> None:
    line = line_fault("socket-drop")
    assert isinstance(line, Accident)
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", line=line, **DIAL)
    await call.connected()
    await asyncio.sleep(0.2)
    line.strike()
    outcome = await call.ended()
    assert [event["event"] for event in toy.streams[0].received[-1:]] == ["media"], "not even a stop"
    assert [error.code for error in outcome.errors] == [31921]
    assert toy.posted("/next")[0]["StreamErrorCode"] == "31921"
    assert (outcome.status, outcome.verbs[-2][1:]) == ("completed", ("Say", "Goodbye"))


async def test_a_dead_path_tells_neither_end_until_rest_redirects(toy: ToyServer, twilio: TwilioSimulator) -> None:
    closed_after: list[float] = []

    async def talk_and_leave(stream: ToyStream) -> None:
        await stream.read("media")
        began = time.monotonic()
        with pytest.raises(TimeoutError):  # the frames stop, and the socket stays open
            await asyncio.wait_for(stream.read_to_end(), 0.8)
        await stream.speak(200)
        await stream.mark("never given back")
        await stream.websocket.close()
        closed_after.append(time.monotonic() - began)

    toy.on_stream = talk_and_leave
    twilio.arm("no-frames", after_secs=0.2)
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
    await call.connected()
    async with asyncio.timeout(5):
        while not closed_after:  # noqa: ASYNC110 - the server's end has no event
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    assert not call.caller.over.is_set(), "Twilio does not learn of the server's close"
    assert (call.heard, call.marks) == ([], [])
    assert toy.posted("/next") == []
    began = time.monotonic()
    auth = (twilio.account_sid, AUTH_TOKEN)
    url = f"{twilio.base_url}/2010-04-01/Accounts/{twilio.account_sid}/Calls/{call.sid}.json"
    async with httpx.AsyncClient(auth=auth, trust_env=False) as http:
        answer = await http.post(url, data={"Twiml": "<Response><Say>Sorry</Say></Response>"})
    assert answer.status_code == 200
    outcome = await call.ended()
    assert time.monotonic() - began < 1.0
    assert outcome.verbs[-1][1:] == ("Say", "Sorry")
    assert toy.posted("/next") == []


async def test_the_far_end_hangs_up_behind_a_dead_path(toy: ToyServer) -> None:
    left = asyncio.Event()

    async def wait(stream: ToyStream) -> None:
        await stream.read_to_end()
        left.set()

    toy.on_stream = wait
    line = line_fault("no-frames", after_secs=0.2)
    async with TwilioSimulator(auth_token=AUTH_TOKEN) as twilio:
        call = await twilio.dial(voice_url=f"{toy.base_url}/voice", line=line, **DIAL)
        await call.connected()
        await asyncio.sleep(0.4)
        began = time.monotonic()
        await call.hang_up()
        assert time.monotonic() - began < 0.5
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(left.wait(), 0.3)  # the server is told nothing by its socket
    await asyncio.wait_for(left.wait(), 2)


async def test_a_webhook_sent_twice_at_once_and_again_later(toy: ToyServer, twilio: TwilioSimulator) -> None:
    twilio.arm("duplicate-webhook", later_secs=0.2)
    call = await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)
    await call.connected()
    await asyncio.sleep(0.5)
    assert len(toy.streams) == 1
    await call.hang_up()
    forms = toy.posted("/voice")
    assert len(forms) == 3
    assert forms[0] == forms[1] == forms[2]
    tokens = {hook.headers["i-twilio-idempotency-token"] for hook in toy.webhooks if hook.path == "/voice"}
    assert len(tokens) == 1
    assert len(call.twiml_log) == 3


async def test_status_callbacks_in_disorder(toy: ToyServer, twilio: TwilioSimulator) -> None:
    toy.answers["/voice"] = NEXT
    url = f"{toy.base_url}/voice"
    call = await twilio.dial(
        voice_url=url, status_callback=f"{toy.base_url}/status", fault="out-of-order-status", **DIAL
    )
    await call.ended()
    told = [(form["CallStatus"], form["SequenceNumber"]) for form in toy.posted("/status")]
    assert told == [("completed", "1"), ("completed", "1"), ("in-progress", "0"), ("in-progress", "0")]
    assert len(call.callback_log) == 4


async def test_rest_is_overrun_broken_and_silent(toy: ToyServer, twilio: TwilioSimulator) -> None:
    root = f"{twilio.base_url}/2010-04-01/Accounts/{twilio.account_sid}"
    async with httpx.AsyncClient(auth=(twilio.account_sid, AUTH_TOKEN), trust_env=False, timeout=0.4) as http:
        assert (await http.get(f"{root}.json")).json()["status"] == "active"
        twilio.arm("rest-429", times=2, retry_after_secs=3)
        for _ in range(2):
            answer = await http.get(f"{root}/Calls.json")
            assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, 20429, "3")
        twilio.arm("rest-500", skip=1)
        assert (await http.get(f"{root}/Calls.json")).status_code == 200
        answer = await http.get(f"{root}/Calls.json")
        assert (answer.status_code, answer.json()["code"]) == (500, 20500)
        twilio.arm("rest-timeout")
        with pytest.raises(httpx.ReadTimeout):
            await http.post(f"{root}/Calls.json", data={"To": "+1", "From": "+2", "Twiml": "<Response/>"})
        assert twilio.calls == {}, "what was not answered was not done"
        assert (await http.get(f"{root}/Calls.json")).status_code == 200
    assert [strike.name for strike in twilio.faults.hits] == ["rest-429", "rest-429", "rest-500", "rest-timeout"]


async def test_a_dead_server_leads_to_twiml_on_another_one(twilio: TwilioSimulator) -> None:
    """The process dies in the middle of a call: its action is refused, so the number's fallback URL is asked."""
    async with StaticTwiml("<Response><Say>We are sorry</Say><Dial>+15550001111</Dial></Response>") as page:
        async with serve_toy() as dying:
            dying.answers["/voice"] = dying.connect(attributes='action="/next"')
            twilio.add_number(DIAL["to"], VoiceUrl=f"{dying.base_url}/voice", VoiceFallbackUrl=page.url)
            call = await twilio.dial(**DIAL)
            await call.connected()
            await asyncio.sleep(0.1)
            action = f"{dying.base_url}/next"
        outcome = await call.ended()
        assert [error.code for error in outcome.errors] == [31921, 11200]
        assert [verb[1:] for verb in outcome.verbs[-2:]] == [("Say", "We are sorry"), ("Dial", "+15550001111")]
        assert (page.requests[0]["ErrorCode"], page.requests[0]["ErrorUrl"]) == ("11200", action)
        # Nobody there from the beginning; and the number may want its fallback by GET.
        number = twilio.account.find_number(DIAL["to"])
        twilio.account.change_number(number, {"VoiceFallbackMethod": "GET"})
        outcome = await (await twilio.dial(**DIAL)).ended()
        assert outcome.status == "completed"
        assert page.requests[1]["ErrorCode"] == "11200"
        assert twilio.calls[page.requests[1]["CallSid"]].setup.fallback_method == "GET"


async def test_faults_of_calls_are_armed_for_the_next_ones(toy: ToyServer, twilio: TwilioSimulator) -> None:
    toy.answers["/voice"] = NEXT
    twilio.arm("duplicate-webhook", times=2, skip=1)
    for _ in range(4):
        await (await twilio.dial(voice_url=f"{toy.base_url}/voice", **DIAL)).ended()
    asked = Counter(form["CallSid"] for form in toy.posted("/voice"))
    assert list(asked.values()) == [1, 2, 2, 1]
    with pytest.raises(ValueError, match="'rest-500' does not hit a phone call: it is for request; arm it"):
        await twilio.dial(voice_url=f"{toy.base_url}/voice", fault="rest-500", **DIAL)
    with pytest.raises(ValueError, match="'rest-500' is not of a line"):
        line_fault("rest-500")
    with pytest.raises(ValueError, match="no fault of twilio is called 'goaway'"):
        twilio.arm("goaway")


async def test_faults_are_armed_from_another_process(twilio: TwilioSimulator) -> None:
    async with FaultControl(twilio) as control, httpx.AsyncClient(trust_env=False) as http:
        url = f"{control.url}/fault"
        asked = {"name": "no-frames", "times": None, "settings": {"after_secs": 1}}
        assert (await http.post(url, json=asked)).json() == {"armed": ["no-frames"], "hits": []}
        assert twilio.faults.take("phone call")[0].settings["after_secs"] == 1
        assert (await http.get(url)).json() == {"armed": ["no-frames"], "hits": ["no-frames"]}
        assert (await http.post(url, json={"name": "rest-500"})).json()["armed"] == ["no-frames", "rest-500"]
        assert (await http.request("DELETE", url, json={"name": "no-frames"})).json()["armed"] == ["rest-500"]
        assert (await http.delete(url)).json()["armed"] == []
        refused: list[object] = [{"name": "fire"}, {"name": "rest-500", "times": "x"}, ["rest-500"], {}]
        for body in refused:
            answer = await http.post(url, json=body)
            assert answer.status_code == 400
            assert answer.json()["error"]
