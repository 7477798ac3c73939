"""The slots of a process, and how its calls are brought to an end."""

import asyncio

from pipelines.live import LiveCalls
from telemetry import metrics
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


def kept(live: LiveCalls, call_id: str, told: list[str] | None = None) -> bool:
    """Reserve a slot; an expiry is noted in `told`."""
    return live.reserve(call_id, ([] if told is None else told).append)


async def test_a_reserved_slot_counts_and_is_collected_once():
    live = LiveCalls(max_calls=1)
    assert kept(live, "a")
    assert (live.count, live.is_full, live.is_reserved("a"), live.holds("a")) == (1, True, True, False)
    assert not kept(live, "b")
    slot = live.collect("a")
    assert slot is not None
    assert (live.count, live.is_reserved("a"), live.holds("a")) == (1, False, True)
    assert live.collect("a") is None, "a second stream finds the call taken"
    live.release("a")
    assert live.count == 0


async def test_a_repeated_reservation_keeps_its_one_slot_and_is_waited_for_anew():
    live, told = LiveCalls(max_calls=1, collect_secs=0.1), list[str]()
    assert kept(live, "a", told)
    await asyncio.sleep(0.07)
    assert kept(live, "a", told)
    await asyncio.sleep(0.07)
    assert (live.count, told) == (1, [])
    await asyncio.sleep(0.07)
    assert (live.count, told) == (0, ["a"])


async def test_a_live_call_asked_to_ring_again_keeps_what_it_has():
    live, told = LiveCalls(max_calls=1, collect_secs=0.02), list[str]()
    assert live.admit("a") is not None
    assert kept(live, "a", told)
    await asyncio.sleep(0.05)
    assert (live.count, live.holds("a"), told) == (1, True, [])


async def test_a_slot_that_nobody_collects_is_free_again_and_its_stream_is_then_admitted_afresh():
    live, told = LiveCalls(max_calls=1, collect_secs=0.02), list[str]()
    assert kept(live, "a", told)
    await asyncio.sleep(0.05)
    assert told == ["a"]
    assert live.collect("a") is not None
    assert live.collect("b") is None, "the late call took the only slot"


async def test_a_slot_given_back_while_it_rings_does_not_expire_later():
    live, told = LiveCalls(max_calls=1, collect_secs=0.02), list[str]()
    assert kept(live, "a", told)
    live.release("a")
    await asyncio.sleep(0.05)
    assert (live.count, told) == (0, [])


async def test_a_drain_still_takes_the_call_that_rings_and_no_other():
    live = LiveCalls(max_calls=3)
    assert kept(live, "a")
    draining = asyncio.create_task(live.drain(5), name="drain")
    await asyncio.sleep(0)
    assert not kept(live, "b")
    assert live.collect("b") is None
    assert live.collect("a") is not None
    live.release("a")
    assert await draining


async def test_a_drain_gives_up_what_still_rings_at_its_end():
    live, told = LiveCalls(max_calls=3), list[str]()
    assert kept(live, "a", told)
    assert await live.drain(0.05)
    assert told == ["a"]
    assert live.collect("a") is None


async def test_the_metrics_tell_live_calls_from_ringing_ones():
    live = LiveCalls(max_calls=3)
    kept(live, "a")
    kept(live, "b")
    live.collect("b")
    text = metrics.render().decode()
    assert "trunkline_calls_active 1.0" in text
    assert "trunkline_calls_ringing 1.0" in text
    live.release("a")
    live.release("b")
    text = metrics.render().decode()
    assert "trunkline_calls_active 0.0" in text
    assert "trunkline_calls_ringing 0.0" in text


def test_each_limit_says_that_it_is_the_one():
    late = [False]
    live = LiveCalls(max_calls=3, most_here=2, is_slow=lambda: late[0])
    assert live.refusal() is None
    late[0] = True
    assert live.refusal() == "slow"
    assert live.admit("a") is None
    late[0] = False
    for call_id in ("a", "b"):
        assert live.admit(call_id) is not None
    assert live.refusal() == "process_full"
    live.max_calls = 2
    assert live.refusal() == "max_calls"
    live.is_draining = True
    assert live.refusal() == "draining"


async def test_whoever_counts_calls_is_told_of_each_that_is_here_no_more():
    gone = list[str]()
    live = LiveCalls(max_calls=3, collect_secs=0.02, on_freed=gone.append)
    live.reserve("a", lambda _call_id: None)
    live.admit("b")
    live.release("b")
    await asyncio.sleep(0.05)
    assert gone == ["b", "a"]
