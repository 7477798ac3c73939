"""The table of a warm transfer holds whatever comes, however often, in any order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcripts.transfer import LEG_EVENTS, NEXT, OVER, TransferEvent, TransferStatus, after

pytestmark = pytest.mark.unit

S, E = TransferStatus, TransferEvent
ORDER = [S.CALLING, S.RINGING, S.BRIEFING, S.ACCEPTED, S.DESERTED, S.JOINED]
RANK = {status: ORDER.index(status) if status in ORDER else len(ORDER) for status in S}

events = st.lists(st.sampled_from(E), max_size=30)


def walk(happened: list[TransferEvent]) -> list[TransferStatus]:
    """Every status that these events lead through, each once."""
    way = [S.CALLING]
    for event in happened:
        status = after(way[-1], event)
        if status is not way[-1]:
            way.append(status)
    return way


@given(events)
def test_it_only_goes_forward_and_an_end_stays(happened: list[TransferEvent]) -> None:
    way = walk(happened)
    assert [RANK[status] for status in way] == sorted({RANK[status] for status in way})
    assert all(status not in OVER for status in way[:-1])


@given(events)
def test_whatever_comes_twice_comes_once(happened: list[TransferEvent]) -> None:
    status = walk(happened)[-1]
    for event in E:
        once = after(status, event)
        assert after(once, event) in (once, after(after(status, event), event))
        if once in OVER:
            assert after(once, event) is once


@given(events)
def test_nobody_comes_into_a_room_who_did_not_accept_or_for_a_caller_who_had_left(
    happened: list[TransferEvent],
) -> None:
    way = walk(happened)
    if S.JOINED in way:
        assert way[way.index(S.JOINED) - 1] is S.ACCEPTED
        accepted = happened.index(E.ACCEPT)
        moved = happened.index(E.MOVED, accepted)
        assert E.CALLER_LEFT not in happened[:moved]
        assert not {E.REFUSE, E.MACHINE, E.SILENCE, E.WITHDRAW} & set(happened[:accepted])


@given(events)
def test_one_who_was_moved_is_never_told_to_be_back_with_the_agent(happened: list[TransferEvent]) -> None:
    way = walk(happened)
    if S.JOINED in way:
        assert way[-1] in (S.JOINED, S.ENDED)


def test_every_status_can_be_reached_and_every_event_means_something() -> None:
    reached, open_ = {S.CALLING}, [S.CALLING]
    while open_:
        for status in NEXT.get(open_.pop(), {}).values():
            if status not in reached:
                reached.add(status)
                open_.append(status)
    assert reached == set(S)
    assert {event for moves in NEXT.values() for event in moves} == set(E)
    assert set(LEG_EVENTS) == {"busy", "no-answer", "failed", "canceled", "completed"}


@pytest.mark.parametrize(
    ("happened", "end"),
    [
        ([E.PLACED, E.ANSWERED, E.ACCEPT, E.ACCEPT, E.MOVED, E.ROOM_CLOSED], S.ENDED),
        ([E.PLACED, E.ANSWERED, E.REFUSE, E.ACCEPT], S.REFUSED),
        ([E.PLACED, E.LEG_NO_ANSWER, E.ANSWERED], S.NO_ANSWER),
        ([E.ANSWERED, E.PLACED, E.ACCEPT, E.MOVED], S.JOINED),
        ([E.PLACED, E.ANSWERED, E.CALLER_LEFT, E.ACCEPT], S.CALLER_LEFT),
        ([E.PLACED, E.ANSWERED, E.ACCEPT, E.LEG_OVER, E.MOVED], S.ENDED),
        ([E.PLACED, E.ANSWERED, E.ACCEPT, E.LEG_OVER, E.NOT_MOVED], S.UNDECIDED),
        ([E.PLACED, E.ANSWERED, E.ACCEPT, E.WITHDRAW, E.MOVED], S.JOINED),
        ([E.PLACED, E.ANSWERED, E.MACHINE, E.ACCEPT], S.MACHINE),
    ],
)
def test_some_ways(happened: list[TransferEvent], end: TransferStatus) -> None:
    assert walk(happened)[-1] is end
