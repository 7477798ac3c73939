"""When a call ends, and what is said on the way."""

import pytest

from transcripts.call import EndReason

ASK, SILENT, WARNING, GOODBYE = (
    "Are you still there?",
    "I will hang up now. Goodbye!",
    "We have one minute left.",
    "Thank you for calling. Goodbye!",
)


async def ended_after(call, secs: float) -> float:
    """Wait for the end, for at most `secs`; returns how many seconds that took."""
    began_ms = call.now_ms
    await call.wait(secs)
    assert call.conductor.reason is not None, "the call has not ended"
    return (call.now_ms - began_ms) / 1000


# silence


async def test_a_silent_caller_is_asked_once_and_then_left(make_call):
    call = make_call()
    await call.speak()
    await call.wait(7.8)
    assert call.asked == []
    await call.wait(0.3)
    assert call.asked == [ASK]
    await call.speak()
    await call.wait(10.5)
    assert call.asked == [ASK]
    await call.wait(1)
    assert call.asked == [ASK, SILENT]
    await call.speak()
    assert call.conductor.reason is EndReason.SILENCE


async def test_a_caller_who_waits_for_a_slow_model_is_not_asked_whether_he_is_there(make_call):
    call = make_call()
    await call.hear("What are your opening hours?")
    await call.wait(15)
    assert call.asked == []
    await call.speak()
    await call.wait(7.5)
    assert call.asked == []


async def test_a_model_that_never_answers_is_made_to_speak_after_a_while(make_call):
    call = make_call()
    await call.hear("What are your opening hours?")
    await call.wait(20.5)
    assert call.asked == [ASK]


async def test_a_greeting_that_is_slow_to_come_is_not_the_callers_silence(make_call):
    call = make_call()
    call.scribe.await_words()
    await call.wait(12)
    assert call.asked == []


async def test_a_noise_without_words_is_owed_no_answer(make_call):
    call = make_call()
    call.scribe.caller_started(0)
    await call.wait(0.3)
    call.scribe.caller_stopped(300)
    await call.wait(8.2)
    assert call.asked == [ASK]


async def test_nobody_is_asked_while_a_tool_runs_or_before_its_answer_is_spoken(make_call):
    call = make_call()
    await call.hear()
    call.scribe.tool_started()
    await call.wait(30)
    call.scribe.await_words()
    call.scribe.tool_ended()
    await call.wait(3)
    assert call.asked == []


async def test_a_caller_who_talks_on_and_on_is_not_interrupted(make_call):
    call = make_call()
    await call.hear(secs=45)
    assert call.asked == []


async def test_a_caller_who_listened_for_long_has_time_to_answer_the_question(make_call):
    """The silence that counts begins after the agent's own words."""
    call = make_call()
    await call.hear()
    await call.speak(secs=40)
    await call.wait(8.2)
    assert call.asked == [ASK]
    await call.speak()
    await call.wait(9)
    assert call.asked == [ASK]


async def test_an_agent_that_went_on_by_itself_asks_anew(make_call):
    call = make_call()
    await call.wait(8.1)
    await call.speak()
    await call.wait(3)
    await call.speak("Something else.")
    await call.wait(7.5)
    assert call.asked == [ASK]
    await call.wait(1)
    assert call.asked == [ASK, ASK]


async def test_a_caller_who_answers_the_question_is_asked_anew(make_call):
    call = make_call()
    await call.wait(8.1)
    await call.speak()
    await call.hear("Yes.")
    await call.speak()
    await call.wait(8.1)
    assert call.asked == [ASK, ASK]


# the time limit


async def test_the_warning_waits_for_a_pause_and_comes_once(make_call):
    call = make_call(max_call_secs=100, warn_before_secs=60, silence_ask_secs=90, silence_hangup_secs=99)
    await call.wait(39.5)
    await call.hear(secs=3)
    await call.wait(2)
    assert call.asked == [], "the model is about to answer"
    await call.speak(secs=0.5)
    await call.wait(0.4)
    assert call.asked == [WARNING]
    await call.wait(30)
    assert call.asked == [WARNING]


async def test_the_warning_does_not_wait_for_ever(make_call):
    call = make_call(max_call_secs=100, warn_before_secs=60, silence_ask_secs=90, silence_hangup_secs=99)
    await call.wait(39)
    await call.hear(secs=10)
    assert call.asked == [WARNING]


async def test_a_warning_and_a_question_are_not_asked_for_at_once(make_call):
    call = make_call(max_call_secs=68, warn_before_secs=60)
    await call.wait(9)
    assert call.asked == [WARNING], "the question waits until the warning was said"


@pytest.mark.parametrize("who", ["agent", "caller"])
async def test_the_time_is_over_whoever_speaks(make_call, who):
    call = make_call(max_call_secs=10)
    await call.wait(8)
    if who == "agent":
        call.begin(secs=30)
    else:
        call.scribe.caller_started(call.now_ms)
    await call.wait(2.1)
    assert call.asked == [GOODBYE]
    if who == "agent":
        call.line.agent_cut()  # the model stops for what it is to say
    await call.speak(secs=2)
    assert call.conductor.reason is EndReason.TIME_LIMIT


async def test_a_caller_who_speaks_over_the_last_goodbye_does_not_gain_time(make_call):
    call = make_call(max_call_secs=10)
    await call.wait(10.1)
    call.begin(secs=2)
    call.scribe.caller_started(call.now_ms)
    call.line.agent_cut()
    await call.wait(0.1)
    assert call.conductor.reason is EndReason.TIME_LIMIT


async def test_a_goodbye_goes_on_when_the_time_ends_in_the_middle_of_it(make_call):
    call = make_call(max_call_secs=10)
    await call.wait(7)
    await call.speak(secs=2)
    await call.hear("Goodbye.", secs=0.5)
    call.conductor.end_after_goodbye(EndReason.BOT_ENDED)
    await call.speak(secs=3)
    assert call.asked == []
    assert call.conductor.reason is EndReason.BOT_ENDED


async def test_a_pipeline_without_a_voice_ends_without_a_goodbye(make_call):
    call = make_call(max_call_secs=10, has_voice=False)
    assert await ended_after(call, 11) == pytest.approx(10, abs=0.2)


# the goodbye of the bot


async def test_the_goodbye_is_heard_to_its_last_word(make_call):
    call = make_call()
    await call.hear("Goodbye.")
    call.conductor.end_after_goodbye(EndReason.BOT_ENDED)
    await call.wait(1.5)
    call.begin(secs=3)
    call.line.agent_finished()
    assert await ended_after(call, 5) == pytest.approx(3, abs=0.2)


async def test_a_goodbye_said_before_the_tool_was_called_needs_no_second_one(make_call):
    call = make_call()
    await call.hear("Goodbye.")
    await call.wait(0.5)
    call.begin("Goodbye!", secs=2)
    call.conductor.end_after_goodbye(EndReason.BOT_ENDED)
    call.line.agent_finished()
    assert await ended_after(call, 9) == pytest.approx(2 + 1.5, abs=0.3)


async def test_a_goodbye_nobody_told_the_end_of_ends_too(make_call):
    """The model calls the tool in the middle of its turn and then says nothing: its turn is never complete."""
    call = make_call()
    await call.hear("Goodbye.")
    call.begin("Goodbye!", secs=2)
    call.conductor.end_after_goodbye(EndReason.BOT_ENDED)
    assert await ended_after(call, 9) == pytest.approx(2 + 1.5, abs=0.3)


async def test_what_was_said_before_the_callers_last_words_is_no_goodbye(make_call):
    call = make_call()
    await call.speak("Is there anything else?")
    await call.hear("No, goodbye.", secs=0.5)
    call.conductor.end_after_goodbye(EndReason.BOT_ENDED)
    await call.wait(3)
    assert call.conductor.reason is None, "a model may take its time for a goodbye"
    await call.speak("Goodbye!", secs=1)
    assert call.conductor.reason is EndReason.BOT_ENDED


async def test_a_further_sentence_after_the_goodbye_is_heard_too(make_call):
    call = make_call()
    await call.hear("Goodbye.")
    call.begin("One moment.", secs=1)
    call.conductor.end_after_goodbye(EndReason.BOT_ENDED)
    call.line.agent_finished()
    await call.wait(2)
    call.begin("Goodbye!", secs=2)
    call.line.agent_finished()
    assert await ended_after(call, 9) == pytest.approx(2, abs=0.2)


async def test_without_any_goodbye_the_call_ends_all_the_same(make_call):
    call = make_call()
    await call.hear("Goodbye.")
    call.conductor.end_after_goodbye(EndReason.BOT_ENDED)
    assert await ended_after(call, 9) == pytest.approx(4, abs=0.2)


async def test_asked_twice_the_first_time_counts(make_call):
    call = make_call()
    await call.hear("Goodbye.")
    call.conductor.end_after_goodbye(EndReason.BOT_ENDED)
    await call.wait(3)
    call.conductor.end_after_goodbye(EndReason.TRANSFERRED)
    assert await ended_after(call, 9) == pytest.approx(1, abs=0.2)
    assert call.conductor.reason is EndReason.BOT_ENDED


async def test_a_model_that_talks_on_does_not_keep_the_line_open(make_call):
    call = make_call()
    call.conductor.end_after_goodbye(EndReason.BOT_ENDED)
    call.begin(secs=60)
    assert await ended_after(call, 70) == pytest.approx(15, abs=0.2)


@pytest.mark.parametrize("reason", [EndReason.BOT_ENDED, EndReason.SILENCE])
async def test_a_caller_who_speaks_over_the_goodbye_and_is_answered_goes_on(make_call, reason):
    call = make_call()
    call.conductor.end_after_goodbye(reason)
    call.begin("Goodbye!", secs=3)
    await call.wait(1)
    call.scribe.caller_started(call.now_ms)
    call.line.agent_cut()
    await call.wait(6)
    assert call.conductor.reason is None, "a caller in mid-sentence is not cut off"
    call.scribe.caller_stopped(call.now_ms)
    call.scribe.caller_text("Oh wait, one more thing.")
    await call.wait(1)
    await call.speak("Of course.")
    await call.wait(5)
    assert call.conductor.reason is None
    assert len(call.kinds("goodbye.taken_back")) == 1
    call.conductor.end_after_goodbye(EndReason.BOT_ENDED)
    await call.speak("Goodbye!")
    assert await ended_after(call, 2) < 2


@pytest.mark.parametrize("since_secs", [0, 5])
async def test_a_goodbye_broken_off_by_the_model_before_we_hear_the_caller_is_not_the_end(make_call, since_secs):
    call = make_call()
    await call.wait(since_secs)
    call.conductor.end_after_goodbye(EndReason.BOT_ENDED)
    call.begin("Goodbye!", secs=3)
    await call.wait(1)
    call.line.agent_cut()
    await call.wait(0.5)
    assert call.conductor.reason is None
    await call.hear("Oh wait.", secs=2)
    await call.speak("Of course.")
    await call.wait(5)
    assert call.conductor.reason is None


async def test_a_goodbye_that_the_model_broke_off_for_nobody_ends_all_the_same(make_call):
    call = make_call()
    await call.wait(5)
    call.conductor.end_after_goodbye(EndReason.BOT_ENDED)
    call.begin("Goodbye!", secs=3)
    await call.wait(1)
    call.line.agent_cut()
    assert 0.9 < await ended_after(call, 3) < 2.5


async def test_a_caller_who_says_bye_over_the_goodbye_ends_it_none_the_less(make_call):
    call = make_call()
    call.conductor.end_after_goodbye(EndReason.BOT_ENDED)
    call.begin("Goodbye!", secs=2)
    call.line.agent_finished()
    await call.wait(1.5)
    await call.hear("Bye!", secs=0.7)
    assert await ended_after(call, 9) == pytest.approx(3, abs=0.2)
    assert call.conductor.reason is EndReason.BOT_ENDED


async def test_who_keeps_talking_over_the_goodbye_is_stopped_by_the_time_limit(make_call):
    call = make_call(max_call_secs=30)
    call.conductor.end_after_goodbye(EndReason.BOT_ENDED)
    await call.wait(1)
    call.scribe.caller_started(call.now_ms)
    await ended_after(call, 60)
    assert call.conductor.reason is EndReason.TIME_LIMIT


# the end


async def test_the_first_reason_stays_and_so_does_its_time(make_call):
    call = make_call()
    await call.wait(1)
    call.conductor.end(EndReason.CALLER_HUNG_UP)
    call.now_secs += 3
    call.conductor.end(EndReason.DRAINED)
    assert await call.conductor.wait() is EndReason.CALLER_HUNG_UP
    assert call.conductor.ended_ms == pytest.approx(1000)


async def test_a_stream_that_stopped_ends_the_call_though_its_socket_stays_open(make_call):
    call = make_call()
    call.line.is_hung_up = True
    await ended_after(call, 1)
    assert call.conductor.reason is EndReason.CALLER_HUNG_UP
