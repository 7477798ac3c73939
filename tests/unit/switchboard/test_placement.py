"""Who takes the next call, and the next connection."""

import random
from collections import Counter

from switchboard.placement import Placement
from switchboard.refusal import Refusal


def table(*names: str, max_calls: int = 100) -> Placement:
    placement = Placement(max_calls)
    for name in names:
        placement.join(name)
    return placement


def place(placement: Placement, call_id: str) -> str:
    name = placement.candidates(call_id)[0]
    placement.put(call_id, name, f"CA-{call_id}")
    return name


def test_a_hundred_calls_are_spread_evenly():
    placement = table("a", "b", "c")
    taken = Counter(place(placement, str(number)) for number in range(100))
    assert sorted(taken.values()) == [33, 33, 34]


def test_calls_that_come_and_go_stay_spread():
    placement, rng, held = table("a", "b", "c", "d", max_calls=1000), random.Random(7), dict[str, str]()
    for number in range(3000):
        held[str(number)] = place(placement, str(number))
        if len(held) > 100:
            call_id = rng.choice(list(held))
            placement.free(call_id, held.pop(call_id))
    counts = Counter(held.values())
    assert max(counts.values()) <= 1.5 * min(counts.values())
    assert placement.count == len(held)


def test_a_stream_whose_path_nobody_sees_would_miss_its_model():
    placement = table("a", "b")
    assert place(placement, "1") == "a"
    assert placement.for_connection("a")[0] == "a"
    assert placement.for_connection(None)[0] == "b", "which is why several processes take no TLS"


def test_a_call_keeps_its_place_when_its_webhook_is_repeated():
    placement = table("a", "b")
    assert place(placement, "1") == "a"
    assert place(placement, "1") == "a"
    assert placement.count == 1
    assert place(placement, "2") == "b"


def test_one_that_takes_no_calls_is_not_asked_unless_it_has_the_call():
    placement = table("a", "b")
    place(placement, "1")
    placement.note("a", refusal="slow")
    assert placement.candidates("1") == ["a", "b"]
    assert placement.candidates("2") == ["b"]
    placement.note("b", is_silent=True)
    assert placement.candidates("2") == []
    assert placement.common_refusal() == Refusal.SLOW
    placement.note("a", refusal="")
    assert placement.candidates("2") == ["a"]


def test_the_limit_is_the_whole_servers():
    placement = table("a", "b", max_calls=2)
    place(placement, "1")
    place(placement, "2")
    assert placement.refusal("3") == Refusal.MAX_CALLS
    assert placement.refusal("2") is None, "it is counted already"
    placement.free("1", "a")
    assert placement.refusal("3") is None


def test_a_process_that_is_gone_takes_its_calls_with_it():
    placement = table("a", "b")
    place(placement, "1")
    place(placement, "2")
    placement.leave("a")
    assert (placement.count, placement.holder("1", "CA-1"), placement.holder("2")) == (1, None, "b")
    placement.leave("a")
    placement.free("2", "a")
    assert placement.holder("2") == "b", "a process frees only what is its own"
    placement.put("3", "a")
    assert placement.count == 1, "what a dead process had told before counts no more"


def test_a_call_that_moves_is_counted_once():
    placement = table("a", "b")
    place(placement, "1")
    placement.put("1", "b", "CA-1")
    assert (placement.count, placement.holder("1"), placement.holder("", "CA-1")) == (1, "b", "b")
    placement.free("1", "b")
    assert placement.holder("1") is None
    assert placement.holder("", "CA-1") == "b", "what comes after the call is asked where it was"


def test_a_stream_goes_where_its_path_says_and_all_else_where_there_is_room():
    placement = table("a", "b", "c")
    assert placement.for_connection("c")[0] == "c"
    assert placement.for_connection("gone") == ["a", "b", "c"]
    order = []
    for _ in range(6):
        order.append(placement.for_connection(None)[0])
        placement.handed_to(order[-1])
    assert order == ["a", "b", "c"] * 2
    placement.put("1", "a")
    placement.note("b", refusal="slow")
    assert placement.for_connection(None) == ["c", "a", "b"]
    placement.note("c", refusal="draining")
    placement.note("a", is_silent=True)
    assert placement.for_connection(None) == ["b", "c", "a"]
    assert placement.for_connection("c")[0] == "c", "a call that rings there is still taken"


def test_a_server_is_open_while_one_process_is():
    placement = table("a", "b")
    placement.note("a", refusal="draining")
    placement.note("b", refusal="process_full")
    assert placement.is_open, "full says busy"
    placement.note("b", refusal="draining")
    assert not placement.is_open
    assert placement.common_refusal() == Refusal.DRAINING
    assert not table().is_open
