"""The voice webhook: who is answered, and with what."""

import asyncio
from dataclasses import replace

import pytest

from telephony import stream_token
from tests.unit.api.wire import AGENT, CALL_SID, CALLER, NUMBER, PUBLIC_URL, Line, away, parameters, tags, verbs


async def test_a_call_is_connected_to_the_stream_and_written_down(line: Line) -> None:
    answer = await line.post("/twilio/voice", CallSid=CALL_SID, To=NUMBER, From=CALLER)
    (connect,) = verbs(answer)
    action = f"{PUBLIC_URL}/twilio/next?agent=front-desk&language=de-DE"
    assert connect.attrib == {"action": action, "method": "POST"}
    instance = line.server.services.instance
    assert connect[0].attrib == {"url": f"wss://voice.example.com/twilio/stream/{instance}"}
    row = await line.row()
    assert (row.status, row.agent_name, row.direction) == ("ringing", "front-desk", "inbound")
    assert (row.from_number, row.to_number) == (CALLER, NUMBER)
    given = parameters(answer)
    assert given["call_id"] == row.call_id
    services = line.server.services
    assert (
        stream_token.verify(services.token_secret, given["token"], call_sid=CALL_SID, now=services.now()) == row.call_id
    )


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Twilio-Signature": ""}, {"X-Twilio-Signature": "AAAA"}, {"X-Forwarded-Proto": "https"}],
    ids=["missing", "empty", "wrong", "forwarded"],
)
async def test_a_missing_or_wrong_signature_is_refused(line: Line, headers: dict[str, str]) -> None:
    answer = await line.post("/twilio/voice", headers, CallSid=CALL_SID, To=NUMBER)
    assert (answer.status_code, answer.text) == (403, "The request does not carry Twilio's signature for this address.")
    assert answer.headers["content-type"].startswith("text/plain")
    assert await line.server.services.store.find_call(CALL_SID) is None


async def test_the_signature_is_checked_against_the_public_address_only(line: Line) -> None:
    form = {"CallSid": CALL_SID, "To": NUMBER}
    forged = {
        **line.sign("https://evil.example/twilio/voice", form),
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
    }
    assert (await line.post("/twilio/voice", forged, **form)).status_code == 403
    genuine = {
        **line.sign(f"{PUBLIC_URL}/twilio/voice", form),
        "Host": "10.0.0.7:9",
        "X-Forwarded-Host": "evil.example",
    }
    assert tags(await line.post("/twilio/voice", genuine, **form)) == ["Connect"]


async def test_the_query_string_is_signed_too(line: Line) -> None:
    form = {"CallSid": CALL_SID, "To": NUMBER}
    signed = line.sign(f"{PUBLIC_URL}/twilio/voice?a=b%20c", form)
    assert (await line.post("/twilio/voice?a=b%20c", signed, **form)).status_code == 200
    assert (await line.post("/twilio/voice?a=x", signed, **form)).status_code == 403


async def test_a_field_changed_on_the_way_is_refused(line: Line) -> None:
    signed = line.sign(f"{PUBLIC_URL}/twilio/voice", {"CallSid": CALL_SID, "To": NUMBER})
    assert (await line.post("/twilio/voice", signed, CallSid=CALL_SID, To="+15550000000")).status_code == 403


async def test_a_repeated_webhook_gets_an_equivalent_answer_and_no_second_row(line: Line) -> None:
    first, second = await line.ring(), await line.ring()
    assert first["call_id"] == second["call_id"]
    assert len(await line.server.services.store.list_calls(10)) == 1
    services = line.server.services
    for given in (first, second):
        stream_token.verify(services.token_secret, given["token"], call_sid=CALL_SID, now=services.now())


async def test_a_webhook_repeated_many_times_at_once_opens_one_row(line: Line) -> None:
    answers = await asyncio.gather(*(line.ring() for _ in range(10)))
    assert len({given["call_id"] for given in answers}) == 1
    assert len(await line.server.services.store.list_calls(20)) == 1


async def test_a_webhook_repeated_after_the_call_does_not_begin_it_again(line: Line) -> None:
    await line.ring()
    await line.post("/twilio/status", CallSid=CALL_SID, CallStatus="completed")
    assert "Connect" not in tags(await line.post("/twilio/voice", CallSid=CALL_SID, To=NUMBER, From=CALLER))


@pytest.mark.parametrize("to", ["+15550000000", "sip:front@example.com", "anonymous", "+1"])
async def test_an_unknown_number_hears_so_politely(line: Line, to: str) -> None:
    answer = await line.post("/twilio/voice", CallSid=CALL_SID, To=to)
    assert tags(answer) == ["Say", "Hangup"]
    assert "not in service" in str(verbs(answer)[0].text)
    assert await line.server.services.store.find_call(CALL_SID) is None


async def test_a_full_server_says_busy_in_the_agents_language(line: Line) -> None:
    live = line.server.services.live
    live.max_calls = 0
    answer = await line.post("/twilio/voice", CallSid=CALL_SID, To=NUMBER, From=CALLER)
    assert tags(answer) == ["Say", "Hangup"]
    assert verbs(answer)[0].get("language") == "de-DE"
    row = await line.row()
    assert (row.status, row.end_reason, row.live_at) == ("ended", "refused_busy", None)
    live.max_calls = 1
    again = await line.post("/twilio/voice", CallSid=CALL_SID, To=NUMBER, From=CALLER)
    assert again.text == answer.text


async def test_a_database_that_is_away_is_apologised_for(line: Line) -> None:
    nowhere = await away()
    services = line.server.services
    line.server.app.state.services = replace(services, store=type(services.store)(nowhere))
    answer = await line.post("/twilio/voice", CallSid=CALL_SID, To=NUMBER)
    await nowhere.close()
    assert tags(answer) == ["Say", "Hangup"]
    assert "schiefgegangen" in str(verbs(answer)[0].text)


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ({"To": NUMBER}, "CallSid is missing"),
        ({"CallSid": CALL_SID}, "To is missing"),
        ({"CallSid": "x'; drop table", "To": NUMBER}, "CallSid is not a call SID"),
    ],
)
async def test_a_form_that_is_no_webhook_is_named(line: Line, form: dict[str, str], complaint: str) -> None:
    answer = await line.post("/twilio/voice", None, **form)
    assert (answer.status_code, answer.text) == (400, complaint)


async def test_a_withheld_number_is_no_obstacle(line: Line) -> None:
    answer = await line.post("/twilio/voice", CallSid=CALL_SID, To=NUMBER, From="anonymous")
    assert tags(answer) == ["Connect"]
    assert (await line.row()).from_number is None


async def test_an_agent_added_while_running_answers_its_number(line: Line) -> None:
    folder = line.server.settings.agents_dir
    (folder / "second.yaml").write_text(AGENT.replace(NUMBER, "+15551230101"))
    await line.ring(to="+15551230101")
    assert (await line.row()).agent_name == "second"


async def test_only_post_is_answered(line: Line) -> None:
    for path in ("/twilio/voice", "/twilio/next", "/twilio/status"):
        assert (await line.http.get(path)).status_code == 405
