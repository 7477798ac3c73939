"""When a greeting is protected, what pipelines of services get, and how long a patient model is waited for."""

from typing import Any

import pytest
from pipecat.turns.user_mute import MuteUntilFirstBotCompleteUserMuteStrategy
from pipecat.turns.user_start import MinWordsUserTurnStartStrategy, VADUserTurnStartStrategy

from config.listening import Listening
from config.pipeline import GeminiLive
from pipelines.interruptions import GreetingGuard, KeptBack, cascade_strategies
from pipelines.outbox import Audio
from pipelines.waiting import patient_connection


async def test_a_greeting_is_protected_from_before_its_first_sound_to_its_last(make_call: Any) -> None:
    call = make_call()
    guard = GreetingGuard(call.scribe, has_greeting=True)
    await call.wait(0.5)
    assert guard.is_protecting()
    call.begin("Good morning.", secs=2)
    call.line.agent_finished()
    await call.wait(1.5)
    assert guard.is_protecting()
    await call.wait(1)
    assert not guard.is_protecting()
    await call.speak("And on.")
    assert not guard.is_protecting(), "only the first words"


async def test_an_announcement_before_it_is_protected_too_but_not_an_answer_to_a_question(make_call: Any) -> None:
    call = make_call()
    guard = GreetingGuard(call.scribe, has_greeting=True)
    call.line.agent_text("This call may be recorded. Is that all right?", is_announced=True)
    call.line.agent_audio(bytes(32_000))
    call.line.agent_finished()
    await call.wait(2.5)
    assert guard.is_protecting(), "the greeting follows"
    await call.wait(1)
    assert not guard.is_protecting(), "nobody greets: he is being waited for"
    call.begin("Good morning.", secs=1)
    assert guard.is_protecting()


async def test_a_model_that_says_nothing_protects_nothing(make_call: Any) -> None:
    call = make_call()
    guard = GreetingGuard(call.scribe, has_greeting=True)
    await call.wait(3.9)
    assert guard.is_protecting()
    await call.wait(0.3)
    assert not guard.is_protecting()


class Ear:
    is_voiced, start_secs = False, 0.2


@pytest.mark.parametrize(("min_ms", "is_silenced"), [(0, False), (700, True)])
async def test_while_the_agent_is_heard_the_model_gets_silence_only_if_asked_for(
    make_call: Any, min_ms: int, *, is_silenced: bool
) -> None:
    call, heard = make_call(), list[Audio]()
    kept = KeptBack(min_ms, call.scribe, Ear(), None, heard.append)
    call.begin(secs=1)
    await call.wait(0.5)
    kept.take(Audio(b"\1\0" * 320, 8000, call.now_ms))
    assert any(heard[0].pcm) is not is_silenced
    await call.wait(1)
    kept.take(Audio(b"\1\0" * 320, 8000, call.now_ms))
    assert any(heard[-1].pcm)


def interrupts(strategy: Any) -> bool:
    return strategy._enable_interruptions


def test_pipelines_of_services_get_pipecats_strategies() -> None:
    start, muted = cascade_strategies(Listening(interruptions="hard"), has_greeting=True)
    assert [type(one) for one in start] == [MinWordsUserTurnStartStrategy]
    assert muted == []
    start, _ = cascade_strategies(Listening(interruptions="never"), has_greeting=True)
    assert isinstance(start[0], VADUserTurnStartStrategy)
    assert not any(interrupts(one) for one in start)
    start, _ = cascade_strategies(Listening(), has_greeting=True)
    assert all(interrupts(one) for one in start)
    _, muted = cascade_strategies(Listening(protect_greeting=True), has_greeting=True)
    assert [type(one) for one in muted] == [MuteUntilFirstBotCompleteUserMuteStrategy]
    assert cascade_strategies(Listening(protect_greeting=True), has_greeting=False)[1] == [], "he would never be heard"


@pytest.mark.parametrize(("silence_ms", "stall_secs"), [(None, 3), (300, 3), (1500, 4)])
def test_a_patient_model_is_waited_for_as_much_longer(silence_ms: int | None, stall_secs: float) -> None:
    settings = GeminiLive.model_validate({"vad": {"silence_duration_ms": silence_ms}})
    found = patient_connection(settings)
    assert (found.stall_secs, found.give_up_secs) == (stall_secs, stall_secs + 3)
