"""One conversation over many connections: all of it arrives once and in order, and the model is told where it was."""

import asyncio

import pytest
from google.genai.types import Blob, FunctionResponse

from pipelines.link_listener import Beginning, Cause, Resumption
from pipelines.outbox import Audio
from tests.unit.pipelines.wire_model import (
    NEVER_SAID_MS,
    Line,
    Told,
    link_tasks,
    link_to,
    numbered,
    setup_with,
    spoken,
    turn,
    until,
    wire_model,
)


async def keep(line: Line) -> None:
    """A model that takes everything, and gives a handle of its own number."""
    await line.begin()
    await line.give_handle(f"handle-{line.number}")
    await line.listen()


async def opened(model, told, **connection: float):
    """A link that is up."""
    link = link_to(model.client, **connection)
    link.attach(told)
    link.open()
    await until(lambda: link.is_up and told.resumable)
    return link


def result(call_id: str = "1") -> FunctionResponse:
    return FunctionResponse(id=call_id, name="opening_hours", response={"open": "9 to 5"})


# ---- sending ----


async def test_everything_arrives_in_order(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        link, told = link_to(model.client), Told()
        link.send_audio(numbered(0))  # before there is a connection, and before anybody holds the conversation
        link.open()
        link.attach(told)
        await link.send_client_content(turns=turn("user", "Greet."))
        await link.send_realtime_input(text=" ")
        await link.send_tool_response(function_responses=result())
        link.send_audio(numbered(1))
        await until(lambda: model.lines and len(model.lines[0].got) == 5)
        [line] = model.lines
        assert [next(iter(message)) for message in line.got] == [
            "realtime_input",
            "client_content",
            "realtime_input",
            "tool_response",
            "realtime_input",
        ]
        assert line.numbers == [0, 1]
        assert (line.contents, line.texts, line.results) == ([(["Greet."], True)], [" "], ["1"])
        assert (told.ready, line.handle) == ([(Beginning.NEW, Cause.CONNECT)], None)
        await link.close()


async def test_audio_goes_out_in_the_very_words_of_the_sdk(tmp_path):
    pcm = bytes(range(256)) * 2  # every letter of base64 is in it
    async with wire_model(tmp_path, keep) as model:
        link = await opened(model, Told())
        link.send_audio(Audio(pcm, 8000, 32.0))
        async with model.client.aio.live.connect(model="models/any") as session:
            await session.send_realtime_input(audio=Blob(data=pcm, mime_type="audio/pcm;rate=8000"))
            await until(lambda: len(model.lines) == 2 and model.lines[0].got and model.lines[1].got)
        ours, theirs = model.lines
        assert ours.got == theirs.got
        await link.close()


async def test_what_cannot_be_written_down_does_not_keep_back_the_rest(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        link = await opened(model, Told())
        await link.send_tool_response(
            function_responses=FunctionResponse(id="1", name="odd", response={"value": object()})
        )
        await link.send_realtime_input(text="Hello.")
        await until(lambda: model.lines[0].texts == ["Hello."])
        assert len(model.lines) == 1
        await link.close()


# ---- going on ----


async def test_a_resumed_conversation_is_told_what_its_handle_does_not_know(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        told = Told()
        link = await opened(model, told)
        link.send_audio(numbered(1))
        link.send_audio(numbered(2))
        await until(lambda: len(model.lines[0].got) == 2)
        told.going_on = Resumption(30, "Answer that.", [turn("user", "Hello."), turn("model", "Good morning.")])
        link.renew(Cause.STALLED)
        await until(lambda: len(model.lines) == 2 and len(model.lines[1].got) == 3)
        second = model.lines[1]
        assert [next(iter(message)) for message in second.got] == ["client_content"] + ["realtime_input"] * 2
        assert second.numbers == [2], "what was spoken after that time, before all else"
        assert second.contents == [(["Hello.", "Good morning."], False)]
        assert second.texts == ["Answer that."]
        assert told.ready[1] == (Beginning.RESUMED, Cause.STALLED)
        assert told.lost == [(Cause.STALLED, None)]
        await link.close()


async def test_what_is_asked_for_already_is_not_asked_for_twice(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        told = Told()
        link = await opened(model, told)
        told.going_on = Resumption(NEVER_SAID_MS, "Say goodbye.")
        link.renew(Cause.HANDOVER)
        await until(lambda: not link.is_up)
        await link.send_realtime_input(text="Say goodbye.")
        await until(lambda: len(model.lines) == 2 and model.lines[1].texts)
        await asyncio.sleep(0.1)
        assert model.lines[1].texts == ["Say goodbye."]
        await link.close()


async def test_a_handle_that_is_refused_is_dropped_and_the_conversation_is_told(tmp_path):
    async def forgetful(line: Line) -> None:
        line.setup = {}
        await line.begin() if line.number != 1 else await line.socket.close(1008, "Session not found.")
        await line.give_handle(f"handle-{line.number}")
        await line.listen()

    async with wire_model(tmp_path, forgetful) as model:
        told = Told()
        link = await opened(model, told)
        link.note_call("early")
        told.said = [turn("user", "My name is Alex."), turn("model", "Hello Alex.")]
        link.renew(Cause.HANDOVER)
        await until(lambda: len(model.lines) == 3 and model.lines[2].contents)
        third = model.lines[2]
        assert third.handle is None
        assert third.setup["historyConfig"] == {"initial_history_in_client_content": True}
        assert third.contents == [(["My name is Alex.", "Hello Alex."], True)]
        assert told.ready[1] == (Beginning.SEEDED, Cause.HANDOVER)
        assert [failure.code for failure in told.attempts] == [1008]

        await link.send_tool_response(function_responses=result("early"))
        await until(lambda: third.texts)
        assert (third.results, third.texts) == ([], ["opening_hours: {'open': '9 to 5'}"])
        link.note_call("late")
        await link.send_tool_response(function_responses=result("late"))
        await until(lambda: third.results == ["late"])
        await link.close()


async def test_a_result_is_not_sent_to_a_connection_that_never_made_the_call(tmp_path):
    """No handle stands for an open call. What returns in the gap is in the prompt, what returns later in words."""
    async with wire_model(tmp_path, keep) as model:
        told = Told()
        link = await opened(model, told)
        link.note_call("1")
        link.note_call("2")
        told.going_on = Resumption(NEVER_SAID_MS, "All that is owed.")
        link.renew(Cause.HANDOVER)
        await until(lambda: not link.is_up)
        await link.send_tool_response(function_responses=result("1"))
        await until(lambda: len(model.lines) == 2 and model.lines[1].texts)
        await link.send_tool_response(function_responses=result("2"))
        link.note_call("3")
        await link.send_tool_response(function_responses=result("3"))
        await until(lambda: model.lines[1].results)
        assert model.lines[1].texts == ["All that is owed.", "opening_hours: {'open': '9 to 5'}"]
        assert [line.results for line in model.lines] == [[], ["3"]]
        await link.close()


async def test_another_model_begins_from_what_was_said(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        told = Told()
        link = await opened(model, told)
        told.said = [turn("user", "Hello.")]
        link.use(setup_with("gemini-other"))
        await until(lambda: len(told.ready) == 2)
        assert link.connected_model == "gemini-other"
        assert model.lines[1].setup["model"] == "models/gemini-other"
        assert model.lines[1].handle is None
        assert told.ready[1] == (Beginning.SEEDED, Cause.OTHER_MODEL)
        await link.close()


# ---- leaving ----


@pytest.mark.parametrize(("go_away", "left_secs"), [({"timeLeft": "9.5s"}, 9.5), ({}, None)])
async def test_go_away_waits_for_a_quiet_moment_with_a_handle_of_that_moment(tmp_path, go_away, left_secs):
    async with wire_model(tmp_path, keep) as model:
        told = Told()
        link = await opened(model, told)
        told.is_idle = False
        [line] = model.lines
        await line.say({"goAway": go_away}, spoken("On Monday"))
        await until(lambda: told.texts == ["On Monday"])
        assert told.going == [left_secs]
        told.is_idle = True
        await asyncio.sleep(0.4)
        assert told.lost == [], "its handle is from before the answer"
        await line.give_handle("after the answer")
        await until(lambda: len(told.ready) == 2)
        assert model.lines[1].handle == "after the answer"
        assert told.lost == [(Cause.HANDOVER, None)]
        await link.close()


async def test_go_away_is_obeyed_before_its_deadline_whatever_goes_on(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        told = Told()
        link = await opened(model, told)
        told.is_idle = False
        began = asyncio.get_running_loop().time()
        await model.lines[0].say({"goAway": {"timeLeft": "1.2s"}})
        await until(lambda: told.lost)
        assert 0.7 < asyncio.get_running_loop().time() - began < 1.2
        assert told.lost == [(Cause.HANDOVER, None)]
        await link.close()


async def test_a_connection_is_renewed_at_its_age(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        told = Told()
        link = await opened(model, told, renew_after_secs=5)
        await asyncio.sleep(4.5)
        assert told.lost == []
        await until(lambda: told.lost, 1.5)
        assert told.lost == [(Cause.HANDOVER, None)]
        await link.close()


async def test_a_renewal_that_was_asked_for_waits_for_quiet(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        told = Told()
        link = await opened(model, told)
        told.is_idle = False
        link.renew_when_quiet(Cause.STALLED)
        await asyncio.sleep(0.7)
        assert told.lost == []
        told.is_idle = True
        await until(lambda: told.lost)
        assert told.lost == [(Cause.STALLED, None)]
        await link.close()


async def test_a_message_that_is_being_dealt_with_is_dealt_with_to_its_end_before_the_loss_is_told(tmp_path):
    order: list[str] = []

    class Slow(Told):
        async def link_lost(self, cause, failure) -> None:
            order.append("lost")
            await super().link_lost(cause, failure)

    async with wire_model(tmp_path, keep) as model:
        told = Slow()
        link = await opened(model, told)

        async def take_time(message) -> None:
            if message.server_content is None:
                return  # the next connection's own news
            order.append("began")
            await asyncio.sleep(0.2)
            order.append("ended")

        told.on_message = take_time
        await model.lines[0].say(spoken("One."), spoken("Two."))
        await until(lambda: order)
        link.renew(Cause.STALLED)
        await until(lambda: told.lost)
        assert order == ["began", "ended", "lost"], "and nothing of that connection comes afterwards"
        await link.close()


# ---- what comes over it ----


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "5",
        "[1]",
        '"x"',
        '{"serverContent": 5}',
        '{"toolCall": [1]}',
        '{"goAway": "x"}',
        '{"code": 1008, "message": "not a close"}',
        '{"serverContent": {"modelTurn": {"parts": [{"inlineData": {"data": "%%%"}}]}}}',
    ],
)
async def test_a_message_that_cannot_be_read_is_passed_over(tmp_path, message):
    async with wire_model(tmp_path, keep) as model:
        told = Told()
        link = await opened(model, told)
        await model.lines[0].say(message, spoken("Go on."), message, message, spoken("And on."))
        await until(lambda: told.texts == ["Go on.", "And on."])
        assert told.malformed == [1, 1, 2]
        assert told.lost == []
        await link.close()


async def test_a_connection_that_says_nothing_readable_is_replaced(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        told = Told()
        link = await opened(model, told)
        await model.lines[0].say(*["{"] * 20)
        await until(lambda: len(told.ready) == 2)
        assert [cause for cause, _ in told.lost] == [Cause.DROPPED]
        assert told.malformed[-1] == 20
        await link.close()


async def test_messages_of_kinds_that_are_not_known_are_no_mistakes(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        told = Told()
        link = await opened(model, told)
        await model.lines[0].say(*['{"moodUpdate": {"mood": "SUNNY"}}'] * 25, spoken("Go on."))
        await until(lambda: told.texts == ["Go on."])
        assert (told.lost, told.malformed) == ([], [])
        await link.close()


async def test_messages_of_all_turns_are_told(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        told = Told()
        link = await opened(model, told)
        complete = {"serverContent": {"turnComplete": True}}
        await model.lines[0].say(spoken("One."), complete, complete, {}, spoken("Two."), complete)
        await until(lambda: told.texts == ["One.", "Two."])
        await link.close()


async def test_a_listener_that_raises_loses_one_message_only(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        told = Told()
        link = await opened(model, told)

        async def stumble(message) -> None:
            if message.server_content.output_transcription.text == "One.":
                raise ValueError("our own bug")

        told.on_message = stumble
        await model.lines[0].say(spoken("One."), spoken("Two."))
        await until(lambda: told.texts == ["One.", "Two."])
        assert (told.lost, told.malformed) == ([], [])
        await link.close()


# ---- ending ----


@pytest.mark.parametrize("moment", ["connecting", "up", "not attached", "not opened"])
async def test_closing_leaves_nothing_behind_at_any_moment(tmp_path, moment):
    async def hold(line: Line) -> None:
        if moment == "connecting":
            await line.listen()
        await keep(line)

    async with wire_model(tmp_path, hold) as model:
        link, told = link_to(model.client), Told()
        if moment != "not opened":
            link.open()
        if moment not in ("not attached", "not opened"):
            link.attach(told)
        await (asyncio.sleep(0.1) if moment in ("connecting", "not opened") else until(lambda: model.lines))
        link.send_audio(numbered(0))
        await asyncio.wait_for(link.close(), 1.5)
        await link.close()
        await asyncio.sleep(0)
        assert link_tasks() == []
        link.send_audio(numbered(1))  # too late for anybody, and no error
        assert not link.is_up


async def test_closing_does_not_wait_for_a_peer_that_is_gone(tmp_path):
    async def die(line: Line) -> None:
        await line.begin()
        await line.give_handle("handle")
        line.socket.transport.pause_reading()
        await line.socket.wait_closed()

    async with wire_model(tmp_path, die) as model:
        link = await opened(model, Told())
        began = asyncio.get_running_loop().time()
        await link.close()
        assert asyncio.get_running_loop().time() - began < 1.5
        await asyncio.sleep(0)
        assert link_tasks() == []
        model.lines[0].socket.transport.abort()


async def test_leaving_a_peer_that_is_gone_does_not_hold_up_the_next_connection(tmp_path):
    async def die_first(line: Line) -> None:
        await line.begin()
        await line.give_handle("handle")
        if line.number == 0:
            line.socket.transport.pause_reading()
            await line.socket.wait_closed()
        await line.listen()

    async with wire_model(tmp_path, die_first) as model:
        told = Told()
        link = await opened(model, told)
        began = asyncio.get_running_loop().time()
        link.renew(Cause.STALLED)
        await until(lambda: len(told.ready) == 2)
        assert asyncio.get_running_loop().time() - began < 0.7
        await link.close()
        assert link_tasks() == []
        model.lines[0].socket.transport.abort()
