"""What a call leans on fails in the middle of it: disk, database, model, tool, bot. The caller is never left alone."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from config.phrases import default_phrases
from simulators.certificates import issue_certificates
from tests.calls.odd_bots import bot_whose_opening_hours
from tests.databases import PostgresServer, start_postgres

GREETING = "Good morning, Blue Door Dental. How can I help?"
QUIET = {"front-desk": {"greeting": ""}}
SORRY = "I am sorry, something went wrong on my side. Could you say that again?"
SUNDAY = ["And are you open on Sunday?", "I am sorry, on Sunday we are closed."]
GOODBYE = ["That's all, thank you. Goodbye!", "Thank you for calling. Goodbye!"]


async def test_a_full_disk_costs_the_recording_and_not_the_call(quiet_house):
    house = quiet_house
    call = await house.dial_quietly()
    folder = house.data_dir / "recordings" / (await house.row(call)).call_id
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    for segment in range(30):
        # Writing to this device fails with ENOSPC, as a full disk does.
        (folder / f"{segment:06}.part").symlink_to("/dev/full")
    await house.say(call, "ask-sunday")
    await house.hear_out(call)
    await house.say(call, "goodbye")
    outcome = await call.ended()
    assert [verb for _, verb, _ in outcome.verbs] == ["Connect", "Hangup"]
    row = await house.ended_row(call)
    assert row.end_reason == "bot_ended"
    assert (row.recording_status, row.recording_error) == ("failed", "No space left on device")
    assert [turn.text for turn in await house.turns(call)] == [*SUNDAY, *GOODBYE]


@pytest.fixture(scope="module")
def postgres() -> Generator[PostgresServer]:
    """A PostgreSQL that tests may stop and start."""
    server = start_postgres()
    yield server
    server.start()


async def test_a_database_that_vanishes_for_a_while_loses_no_turn(make_house, postgres):
    house = await make_house(agents=QUIET, database_url=await asyncio.to_thread(postgres.create_database))
    call = await house.dial_quietly()
    await call.press("5")
    await house.hear_out(call)
    await asyncio.to_thread(postgres.stop)
    # A tool that needs the database fails, and is apologised for; the call goes on.
    await house.say(call, "cancel-appointment")
    await house.hear_out(call)
    assert house.server.services.log_writer.backlog > 0
    await asyncio.to_thread(postgres.start)
    await call.press("7")
    await house.hear_out(call)
    await call.hang_up()
    assert (await house.ended_row(call)).end_reason == "caller_hung_up"
    turns = await house.turns(call)
    assert [turn.text for turn in turns] == [
        "You pressed five.",
        "I need to cancel my appointment on Tuesday at ten.",
        SORRY,
        "You pressed seven.",
    ]
    assert turns[2].error.startswith("cancel_appointment: DatabaseAway: ")
    assert [turn.position for turn in turns] == list(range(4))
    events = await house.events(call)
    assert sorted(event.seq for event in events) == list(range(len(events)))


async def test_a_database_that_comes_back_after_the_call_gets_all_of_it(make_house, postgres):
    house = await make_house(agents=QUIET, database_url=await asyncio.to_thread(postgres.create_database))
    call = await house.dial_quietly()
    await asyncio.to_thread(postgres.stop)
    try:
        await house.say(call, "goodbye")
        outcome = await call.ended()
        # The process that was in the call knows what comes next; only new callers have to be turned away.
        assert [verb for _, verb, _ in outcome.verbs] == ["Connect", "Hangup"]
        next_caller = await house.twilio.dial(
            to="+15551230100", from_="+15550000001", voice_url=f"{house.server.base_url}/twilio/voice"
        )
        assert [verb for _, verb, _ in (await next_caller.ended()).verbs] == ["Say", "Hangup"]
        assert house.server.services.live.count == 0
    finally:
        await asyncio.to_thread(postgres.start)
    row = await house.ended_row(call)
    assert (row.end_reason, row.recording_status) == ("bot_ended", "complete")
    assert [turn.text for turn in await house.turns(call)] == GOODBYE


async def test_a_database_that_hangs_is_apologised_for_while_twilio_still_waits(make_house, postgres):
    url = await asyncio.to_thread(postgres.create_database)
    house = await make_house(database_url=url)
    call = await house.dial()
    await call.wait_heard()
    voice_url = f"{house.server.base_url}/twilio/voice"
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        await connection.execute(text("LOCK TABLE calls IN ACCESS EXCLUSIVE MODE"))
        next_caller = await house.twilio.dial(to="+15551230100", from_="+15550000001", voice_url=voice_url)
        # Of a call that another process was in, only the database could tell.
        form = {"CallSid": "CA" + "9" * 32, "CallStatus": "in-progress"}
        next_url = f"{house.server.base_url}/twilio/next"
        outcome, answer = await asyncio.gather(next_caller.ended(), house.twilio.request(next_url, form))
    await engine.dispose()
    assert [verb for _, verb, _ in outcome.verbs] == ["Say", "Hangup"]
    assert outcome.verbs[0][0] < 12_000
    assert "<Say" in answer.body
    await call.hang_up()
    assert (await house.ended_row(call)).end_reason == "caller_hung_up"
    assert (await house.turns(call))[0].text == GREETING


@asynccontextmanager
async def silent_endpoint() -> AsyncGenerator[str]:
    """Listen, and answer nothing, not even TLS; yields the base URL."""
    over = asyncio.Event()

    async def ignore(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(ignore, "127.0.0.1", 0) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        over.set()


APOLOGY = default_phrases("en").apology
FILLER = default_phrases("en").filler


async def assert_apologised(house, call, *, heard_within_ms: float, since_ms: float = 0.0) -> None:
    """The caller heard something in time, then the apology to its end, and the call ended with it."""
    outcome = await call.ended()
    assert [verb for _, verb, _ in outcome.verbs] == ["Connect", "Hangup"]
    first_ms = next(start_ms for start_ms, end_ms in call.heard_segments() if end_ms > since_ms)
    assert first_ms - since_ms < heard_within_ms
    row = await house.ended_row(call)
    assert (row.end_reason, row.recording_status) == ("failed", "complete")
    last = (await house.turns(call))[-1]
    assert (last.text, last.interrupted) == (APOLOGY, False)
    assert house.server.services.live.count == 0


@pytest.mark.parametrize("fault", ["another authority", "wrong key"])
async def test_a_model_that_will_not_be_had_is_apologised_for_at_once(make_house, tmp_path, fault):
    changes = {}
    if fault == "another authority":
        other = await asyncio.to_thread(issue_certificates, tmp_path / "other", "127.0.0.1")
        changes = {"gemini_ca_file": other.ca_file}
    house = await make_house(gemini={"require_api_key": "the right one"} if fault == "wrong key" else {}, **changes)
    call = await house.dial()
    await assert_apologised(house, call, heard_within_ms=1500)
    [event] = await house.events(call, "model.failed")
    assert {"another authority": "certificate is not trusted", "wrong key": "401"}[fault] in event.data["error"]


@asynccontextmanager
async def nobody_there() -> AsyncGenerator[str]:
    yield "https://127.0.0.1:1"


@pytest.mark.parametrize("endpoint", [nobody_there, silent_endpoint])
async def test_a_model_that_cannot_be_reached_is_tried_under_a_filler_and_then_apologised_for(make_house, endpoint):
    async with endpoint() as base_url:
        house = await make_house(gemini_base_url=base_url)
        call = await house.dial()
        await assert_apologised(house, call, heard_within_ms=4000)
        assert [turn.text for turn in await house.turns(call)] == [FILLER, APOLOGY]
        assert await house.events(call, "model.stalled")


async def test_a_model_that_dies_in_mid_call_is_apologised_for(house):
    call = await house.dial()
    await house.hear_out(call)
    house.gemini.arm("connection-refused", times=None)
    await house.gemini.drop()
    # As long as nobody waits for it, it is tried again; the caller who asks something is not left alone.
    _, asked_ms = await house.say(call, "ask-sunday")
    await assert_apologised(house, call, heard_within_ms=4000, since_ms=asked_ms)
    assert [turn.text for turn in await house.turns(call)] == [GREETING, FILLER, APOLOGY]


async def test_a_model_that_drops_every_connection_is_gone_on_with_every_time(quiet_house):
    house = quiet_house
    call = await house.dial_quietly()
    for count in range(1, 4):
        conversation = await house.gemini.next_conversation(count)
        await asyncio.sleep(0.2)
        await conversation.close()
    await house.say(call, "ask-sunday")
    await house.hear_out(call)
    await house.say(call, "goodbye")
    await call.ended()
    assert (await house.ended_row(call)).end_reason == "bot_ended"
    assert [turn.text for turn in await house.turns(call)] == [*SUNDAY, *GOODBYE]
    recovered = await house.events(call, "recovery")
    assert [(event.data["kind"], event.data["outcome"]) for event in recovered] == [("dropped", "recovered")] * 3


async def test_a_tool_that_hangs_is_given_up_and_apologised_for(make_house, bots_with):
    change = {"greeting": "", "bot": "hanging", "limits": {"tool_timeout_secs": 0.7}}
    house = await make_house(
        agents={"front-desk": change}, bots_dir=bots_with("hanging", bot_whose_opening_hours("await asyncio.sleep(60)"))
    )
    call = await house.dial_quietly()
    await house.say(call, "ask-opening-hours")
    await house.hear_out(call)
    await call.press("5")
    await house.hear_out(call)
    turns = await house.turns(call)
    assert [turn.text for turn in turns] == [
        "Hi, what are your opening hours on Monday?",
        SORRY,
        "You pressed five.",
    ]
    assert turns[1].error == "opening_hours: TimeoutError: no result within 0.7 s"
    [called] = await house.events(call, "tool.called")
    [failed] = await house.events(call, "tool.failed")
    assert failed.data["name"] == "opening_hours"
    assert 700 <= failed.at_ms - called.at_ms < 1200


async def test_a_guest_bot_that_raises_is_apologised_for(make_house, bots_with, own_environment):
    source = 'async def bot(runner_args):\n    raise ValueError("the guest is ill")\n'
    house = await make_house(agents={"front-desk": {"bot": "ill"}}, bots_dir=bots_with("ill", source))
    call = await house.dial()
    outcome = await call.ended()
    # A guest has its own stream, and nobody who could speak in its place: Twilio's voice does.
    assert [verb for _, verb, _ in outcome.verbs] == ["Connect", "Say", "Hangup"]
    connected, apology = outcome.verbs[0], outcome.verbs[1]
    assert apology[2] == APOLOGY
    assert apology[0] - connected[0] < 4000
    assert (await house.ended_row(call)).end_reason == "failed"
