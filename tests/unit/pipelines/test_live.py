"""The slots of a process, and how its calls are brought to an end."""

import asyncio

from pipelines.live import LiveCalls
from transcripts.call import EndReason


def test_slots_are_taken_once_and_given_back():
    live = LiveCalls(max_calls=2)
    assert live.admit("a") is not None
    assert live.admit("a") is None, "this call has one already"
    assert live.admit("b") is not None
    assert live.is_full
    assert live.admit("c") is None
    live.release("a")
    live.release("a")
    assert live.admit("c") is not None


async def test_a_drain_waits_for_calls_that_end_by_themselves():
    live = LiveCalls(max_calls=2)
    slot = live.admit("a")
    assert slot is not None
    told: list[EndReason] = []
    slot.on_end(told.append)
    asyncio.get_running_loop().call_later(0.05, live.release, "a")
    assert await live.drain(5)
    assert told == []
    assert live.admit("b") is None, "a process that drains takes no call"


async def test_a_drain_ends_the_calls_that_are_left():
    live = LiveCalls(max_calls=2)
    for call_id in ("a", "b"):
        slot = live.admit(call_id)
        assert slot is not None
        slot.on_end(lambda _reason, call_id=call_id: live.release(call_id))
    assert await live.drain(0.05)


async def test_a_drain_is_over_in_time_though_a_call_does_not_end():
    live = LiveCalls(max_calls=2)
    slot = live.admit("a")
    assert slot is not None
    slot.on_end(lambda _reason: None)
    assert not await live.drain(0.05)


def test_a_call_asked_to_end_before_anybody_runs_it_ends_as_soon_as_somebody_does():
    slot = LiveCalls(max_calls=1).admit("a")
    assert slot is not None
    slot.end(EndReason.DRAINED)
    slot.end(EndReason.CALLER_HUNG_UP)
    told: list[EndReason] = []
    slot.on_end(told.append)
    assert told == [EndReason.DRAINED]
