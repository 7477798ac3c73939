"""Calls that we place: asked for over HTTP, dialled once, spoken, and over."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx
from typer.testing import CliRunner

import cli
from simulators.call_setup import AnswerPolicy
from tests.calls.conftest import House
from tests.calls.server_process import Server, Street, open_street
from transcripts.outgoing import OutgoingStore

PERSON = "+15551230177"
ROBOT = "I am a robot."
QUICK = {"front-desk": {"greeting": "", "disclosure": ROBOT}}


async def ask(base_url: str, method: str, path: str, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=40) as http:
        return await http.request(method, path, **options)


async def place(base_url: str, **changes: Any) -> httpx.Response:
    headers = changes.pop("headers", {})
    return await ask(
        base_url, "POST", "/v1/calls", json={"agent": "front-desk", "to": PERSON} | changes, headers=headers
    )


async def until(base_url: str, call_id: str, status: str, *, has_sid: bool = False) -> dict[str, Any]:
    """The call once it has this status, and Twilio's id if that is asked for."""
    async with asyncio.timeout(20):
        while True:
            call: dict[str, Any] = (await ask(base_url, "GET", f"/v1/calls/{call_id}")).json()
            if call["status"] == status and (call["call_sid"] or not has_sid):
                return call
            await asyncio.sleep(0.05)


async def test_somebody_is_called_and_hears_who_calls_though_he_speaks_first(make_house: Any) -> None:
    house: House = await make_house(agents=QUICK)
    url = house.server.base_url
    wish = ["call", PERSON, "--agent", "front-desk", "--variable", "business=Green Gate"]
    environment = {"TRUNKLINE_PORT": str(house.server.settings.port), "TRUNKLINE_HOST": "127.0.0.1"}
    told = await asyncio.to_thread(CliRunner().invoke, cli.app, wish, env=environment)
    assert told.exit_code == 0, told.output
    call_id = told.output.split()[1]
    call = await house.twilio.next_placed()
    assert (call.setup.to, call.setup.from_) == (PERSON, "+15551230100")
    assert (call.setup.ring_secs, call.setup.time_limit_secs) == (30, 600 + 1800)
    await call.connected()
    assert call.outcome is None
    await house.say(call, "hello")
    await house.until_event(call, "agent.disclosed")
    await call.hang_up()
    done = await until(url, call_id, "ended")
    assert (done["direction"], done["end_reason"]) == ("outbound", "caller_hung_up")
    assert done["answered_secs"] >= 1
    (turn,) = await house.turns(call)
    assert (turn.speaker, turn.text, turn.interrupted) == ("agent", ROBOT, False), "his hello cut nothing off"
    assert house.server.services.live.count == 0


async def test_calls_that_nobody_answers_end_for_their_reason_and_leave_no_slot(make_house: Any) -> None:
    house: House = await make_house(agents=QUICK)
    url, twilio = house.server.base_url, house.twilio
    for outcome, reason in (("busy", "busy"), ("no-answer", "no_answer"), ("failed", "failed_to_dial")):
        twilio.answer_policy = AnswerPolicy(outcome)  # pyright: ignore[reportArgumentType]
        call_id = (await place(url)).json()["call_id"]
        assert (await until(url, call_id, "ended"))["end_reason"] == reason

    twilio.answer_policy = AnswerPolicy(after_ms=20_000)
    twilio.faults.arm("out-of-order-status")
    key = {"Idempotency-Key": "order-4711"}
    first = await place(url, headers=key)
    again, other = await place(url, headers=key), await place(url, to="+15551230178", headers=key)
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 422)
    assert first.json()["call_id"] == again.json()["call_id"]
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    assert other.json()["detail"].startswith("This Idempotency-Key was used for another request.")
    call_id = first.json()["call_id"]
    assert len(twilio.calls) == 4
    call = list(twilio.calls.values())[-1]
    called_off = await ask(url, "POST", f"/v1/calls/{call_id}/hang-up")
    assert (called_off.status_code, called_off.json()["end_reason"]) == (200, "cancelled")
    await call.ended()
    assert call.answered_at is None
    assert (await until(url, call_id, "ended"))["end_reason"] == "cancelled", "what Twilio tells late changes nothing"
    assert (await ask(url, "POST", f"/v1/calls/{call_id}/hang-up")).json()["end_reason"] == "cancelled"

    twilio.add_number("+15559990000")
    refused = await place(url)
    assert (refused.status_code, refused.json()["twilio_code"]) == (422, 21210)
    assert "not verified with Twilio" in refused.json()["detail"]
    assert (await until(url, refused.json()["call_id"], "ended"))["end_reason"] == "failed_to_dial"
    assert len(twilio.calls) == 4
    assert house.server.services.live.count == 0


async def test_a_call_that_twilio_took_and_denied_is_found_and_hung_up_by_api(make_house: Any) -> None:
    house: House = await make_house(agents=QUICK)
    url = house.server.base_url
    house.twilio.arm("rest-429", retry_after_secs=0.5)
    house.twilio.arm("created-500")
    answer = await place(url)
    assert answer.status_code == 201, answer.text
    call = await house.twilio.next_placed()
    assert answer.json()["call_sid"] == call.sid
    await call.connected()
    live = await until(url, answer.json()["call_id"], "live")
    assert (await ask(url, "POST", f"/v1/calls/{live['call_id']}/hang-up")).status_code == 200
    await call.ended()
    assert (await until(url, live["call_id"], "ended"))["end_reason"] == "ended_by_api"
    assert len(house.twilio.calls) == 1
    posts = [
        request
        for request in house.twilio.requests
        if request.method == "POST" and request.path.endswith("/Calls.json")
    ]
    assert len(posts) == 2, "the one that was too many, and the one that was carried out"


async def answered_by(street: Street, doomed: Server) -> None:
    """Ask for a call, and kill the server while Twilio, which rings the phone already, still owes it the answer."""
    asking = asyncio.create_task(place(doomed.base_url), name="asks for a call")
    await street.twilio.next_placed(timeout_secs=20)
    doomed.signal(signal.SIGKILL)
    await doomed.ended()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_server_killed_between_twilios_201_and_our_commit_rings_nobody_twice(tmp_path: Path) -> None:
    async with open_street(tmp_path) as street:
        street.twilio.answer_policy = AnswerPolicy(after_ms=120_000)
        street.twilio.arm("created-late")
        doomed = await street.serve(may_dial=True)
        await answered_by(street, doomed)
        (row,) = await street.store.list_calls(10)
        assert (row.status, row.call_sid) == ("queued", None)
        found = await OutgoingStore(street.database).find(row.call_id)
        assert found is not None
        assert found.open_attempt is not None
        again = await street.serve(may_dial=True, port=int(doomed.base_url.rsplit(":", 1)[1]))
        ((call_sid, call),) = street.twilio.calls.items()
        known = await until(again.base_url, row.call_id, "queued", has_sid=True)
        assert known["call_sid"] == call_sid
        called_off = await ask(again.base_url, "POST", f"/v1/calls/{row.call_id}/hang-up")
        assert called_off.json()["end_reason"] == "cancelled"
        assert (await call.ended()).status in ("completed", "canceled")
        assert list(street.twilio.calls) == [call_sid], "exactly one phone call"
        lists = [request for request in street.twilio.requests if request.method == "GET"]
        assert lists, "Twilio was asked for its calls"


BAD_WISHES: list[tuple[dict[str, Any], int, str]] = [
    ({"to": "0155512301"}, 422, "E.164"),
    ({"to": "+19005551234"}, 403, "premium"),
    ({"agent": "nobody"}, 404, "no agent"),
    ({"agent": "survey"}, 403, "may not place calls"),
    ({"from": "+15559990000"}, 422, "none of ours"),
    ({"ring_secs": True}, 422, "ring_secs"),
    ({"colour": "red"}, 422, "colour"),
    ({"variables": {"business": ""}}, 422, "business"),
    ({"overrides": {"greeting": "Dear {name},"}}, 422, "name has no value"),
    ({"overrides": {"max_call_secs": True}}, 422, "max_call_secs"),
    ({"at": "2026-03-01T09:00:00"}, 422, "time zone"),
    ({"to": "+15551239999"}, 403, "outbound.block"),
]


async def test_a_bad_wish_is_one_clear_problem_and_dials_nobody(make_house: Any) -> None:
    outbound = {"enabled": True, "block": ["+155512399"]}
    house: House = await make_house(agents={"front-desk": {"outbound": outbound}}, max_outgoing_calls=1)
    url = house.server.base_url
    for changes, status, told in BAD_WISHES:
        answer = await place(url, **changes)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), changes
        assert told in answer.json()["detail"], changes
    assert not house.twilio.calls
    assert not await house.store.list_calls(1)
    house.twilio.answer_policy = AnswerPolicy(after_ms=60_000)
    assert (await place(url)).status_code == 201
    one_too_many = await place(url)
    assert (one_too_many.status_code, one_too_many.headers["retry-after"]) == (429, "60")
    assert "TRUNKLINE_MAX_OUTGOING_CALLS" in one_too_many.json()["detail"]
