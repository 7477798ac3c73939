"""Idle prompts in turn, and a caller who asked for time."""

from config.agent import Phrases
from config.listening import Idle
from pipelines.silence import SilenceWatch
from transcripts.call import EndReason

SILENT = Phrases().silence_goodbye


def with_prompts(make_call, *prompts: str, **rules: float):
    call = make_call()
    call.conductor.silence = SilenceWatch(Idle(prompts=prompts, **rules), call.conductor._limits, Phrases())
    return call


async def answer_prompt(call) -> None:
    """The model says what it was asked to."""
    await call.speak(call.asked[-1])


async def test_prompts_are_said_in_turn_each_once_and_then_goodbye(make_call):
    call = with_prompts(make_call, "Still there?", "I can wait.", ask_secs=5, hang_up_secs=18)
    await call.speak()
    await call.wait(4.9)
    assert call.asked == []
    await call.wait(0.2)
    assert call.asked == ["Still there?"]
    await answer_prompt(call)
    await call.wait(4)
    assert call.asked == ["Still there?", "I can wait."]
    await answer_prompt(call)
    began_ms = call.now_ms
    while len(call.asked) == 2 and call.conductor.reason is None:
        await call.wait(0.1)
    assert call.asked[2:] == [SILENT]
    assert 6000 < call.now_ms - began_ms < 8000, "18 s after the silence began"
    await call.speak()
    assert call.conductor.reason is EndReason.SILENCE
    assert [event.data["number"] for event in call.kinds("silence.asked")] == [1, 2]


async def test_a_caller_who_answers_begins_a_new_silence(make_call):
    call = with_prompts(make_call, "Still there?", "I can wait.", ask_secs=5, hang_up_secs=18)
    await call.speak()
    await call.wait(5.1)
    await answer_prompt(call)
    await call.hear("Yes.")
    await call.speak("Good.")
    await call.wait(5.1)
    assert call.asked == ["Still there?", "Still there?"]


async def test_who_was_given_time_is_not_asked_before_it_is_over(make_call):
    call = make_call()
    await call.hear("One moment, please.")
    call.conductor.wait_longer(30)
    await call.speak("Take your time.")
    await call.wait(28.5)
    assert call.asked == []
    await call.wait(1)
    assert call.asked == [Phrases().still_there]


async def test_another_language_has_its_own_prompt_as_often(make_call):
    call = with_prompts(make_call, "Still there?", "I can wait.", ask_secs=5, hang_up_secs=18)
    call.conductor.speak_as(Phrases(still_there="Sind Sie noch da?"), keeps_own=False)
    await call.speak()
    await call.wait(5.1)
    await answer_prompt(call)
    await call.wait(4.1)
    assert call.asked == ["Sind Sie noch da?"] * 2
    call.conductor.speak_as(Phrases(), keeps_own=True)
    await call.hear("English again.")
    await call.speak("Sure.")
    await call.wait(5.1)
    assert call.asked[2:] == ["Still there?"]
