"""What is written of a call, in which order, and what is measured."""

import pytest


def delays(call) -> list[int]:
    return [event.data["ms"] for event in call.kinds("latency.reply")]


async def test_a_short_answer_is_written_after_the_words_it_answers(make_call):
    call = make_call()
    await call.hear("Are you open?")
    await call.speak("Yes.", secs=0.3)
    assert call.texts == []
    await call.wait(1)
    assert call.texts == ["Are you open?", "Yes."]


async def test_words_that_come_after_the_answer_was_heard_are_still_written_before_it(make_call):
    call = make_call()
    call.scribe.caller_started(0)
    await call.wait(1)
    call.scribe.caller_stopped(1000)
    await call.wait(0.5)
    await call.speak("Yes.", secs=0.5)
    await call.wait(1)
    call.scribe.caller_text("Are you open?")
    await call.wait(1)
    assert call.texts == ["Are you open?", "Yes."]


async def test_a_noise_holds_up_an_answer_for_a_moment_only(make_call):
    call = make_call()
    call.scribe.caller_started(0)
    call.scribe.caller_stopped(300)
    await call.speak("Sorry?", secs=0.5)
    await call.wait(3.2)
    assert call.texts == ["Sorry?"]


async def test_a_greeting_spoken_over_is_cut_and_comes_first(make_call):
    call = make_call()
    call.begin("Good morning to you, my dear caller.", secs=4)
    await call.wait(1)
    call.scribe.caller_started(call.now_ms)
    call.line.agent_cut()
    await call.wait(1)
    call.scribe.caller_stopped(call.now_ms)
    call.scribe.caller_text("Hello?")
    await call.wait(0.5)
    await call.speak("Yes?")
    await call.wait(1)
    greeting, hello, yes = call.log.turns
    assert greeting.interrupted
    assert greeting.end_ms == 1000
    assert (hello.text, yes.text) == ("Hello?", "Yes?")


async def test_two_utterances_back_to_back_are_two_turns_without_a_gap(make_call):
    call = make_call()
    call.begin("First.", secs=1)
    call.line.agent_finished()
    await call.wait(0.8)
    await call.speak("Second.", secs=1)
    await call.wait(1)
    first, second = call.log.turns
    assert (first.text, first.start_ms, first.end_ms) == ("First.", 0, 1000)
    assert (second.text, second.start_ms, second.end_ms) == ("Second.", 1000, 2000)


async def test_a_second_interruption_of_the_same_words_is_none(make_call):
    call = make_call()
    call.begin("We are open from nine to five.", secs=3)
    await call.wait(1)
    call.line.agent_cut()
    call.line.agent_cut()
    assert len(call.kinds("agent.interrupted")) == 1
    assert len(call.log.turns) == 1


async def test_an_interruption_before_the_first_word_was_heard_leaves_no_turn(make_call):
    call = make_call()
    call.line.agent_text("Never heard.")
    call.line.agent_cut()
    await call.wait(2)
    assert call.log.turns == []
    assert call.scribe.is_agent_idle


async def test_a_call_that_ends_in_mid_sentence_keeps_both_sides_in_order(make_call):
    call = make_call()
    await call.hear("What are your opening hours?")
    call.begin("On Monday we are open from nine to five.", secs=4)
    await call.wait(0.5)
    call.scribe.close(call.now_ms)
    caller, agent = call.log.turns
    assert caller.text == "What are your opening hours?"
    assert agent.interrupted
    assert agent.end_ms == 1500


async def test_a_callers_open_turn_ends_with_the_call_and_not_with_its_winding_up(make_call):
    call = make_call()
    call.scribe.caller_started(0)
    call.scribe.caller_text("I would like")
    await call.wait(1)
    ended_ms = call.now_ms
    call.now_secs += 2
    call.scribe.close(ended_ms)
    [turn] = call.log.turns
    assert (turn.start_ms, turn.end_ms) == (0, 1000)


async def test_a_reply_is_measured_from_the_end_of_the_callers_voice(make_call):
    call = make_call()
    await call.hear(secs=1)
    await call.wait(0.6)
    await call.speak()
    assert delays(call) == [600]


async def test_a_reply_faster_than_the_detector_of_silence_is_measured_too(make_call):
    call = make_call()
    call.scribe.caller_started(0)
    await call.wait(1.2)
    call.begin()
    await call.wait(0.1)
    call.scribe.caller_stopped(1000)
    assert delays(call) == [200]
    assert call.scribe.awaited_since_ms is None


async def test_a_murmur_that_interrupts_nobody_is_owed_no_reply(make_call):
    call = make_call()
    call.begin(secs=5)
    call.line.agent_finished()
    await call.wait(1)
    await call.hear("Mhm.", secs=0.5)
    await call.wait(10)
    await call.speak("Anything else?")
    assert delays(call) == []


async def test_an_answer_that_breaks_off_at_once_is_waited_for_although_the_question_is_written(make_call):
    call = make_call()
    await call.hear("Are you open?")
    call.begin("On Monday", secs=5)
    await call.wait(0.3)
    call.line.agent_cut()
    await call.wait(4)
    assert call.texts[0] == "Are you open?"
    assert call.scribe.waiting_since_ms is not None


async def test_a_short_word_that_silences_the_agent_late_is_owed_one(make_call):
    call = make_call()
    call.begin(secs=5)
    await call.wait(1)
    await call.hear("Stop.", secs=0.4)
    await call.wait(0.2)
    call.line.agent_cut()
    await call.wait(0.4)
    await call.speak("Yes?")
    assert delays(call) == [600]


async def test_only_the_first_word_of_a_call_is_the_first(make_call):
    call = make_call()
    await call.wait(0.5)
    await call.speak()
    await call.speak()
    [event] = call.kinds("latency.first_word")
    assert event.data["ms"] == pytest.approx(500, abs=1)


@pytest.mark.parametrize("end", ["cut", "close"])
async def test_what_was_heard_to_its_end_a_while_ago_was_not_broken_off(make_call, end):
    call = make_call()
    call.begin("Good morning, how can I help you today?", secs=1)  # spoken fast, and never told to be whole
    await call.wait(2)
    if end == "cut":
        call.line.agent_cut()
    else:
        call.scribe.close(call.now_ms)
    [turn] = call.log.turns
    assert turn.text == "Good morning, how can I help you today?"
    assert not turn.interrupted
    assert call.kinds("agent.interrupted") == []
