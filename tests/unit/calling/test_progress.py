"""Twilio's status callbacks in any order, any number of times: one end, and never a step back."""

from hypothesis import given
from hypothesis import strategies as st

from calling.progress import MOVES, State, after
from transcripts.call import NEXT, CallStatus, EndReason

ENDS = {
    "completed": EndReason.NEVER_CONNECTED,
    "busy": EndReason.BUSY,
    "no-answer": EndReason.NO_ANSWER,
    "failed": EndReason.FAILED_TO_DIAL,
    "canceled": EndReason.CANCELLED,
}
_ORDER = list(CallStatus)


def run(words: list[str], state: State = State(CallStatus.QUEUED)) -> State:
    for word in words:
        later = after(state, word)
        assert _ORDER.index(later.status) >= _ORDER.index(state.status)
        assert later == state or later.status in NEXT[state.status]
        state = later
    return state


@given(st.sampled_from(sorted(ENDS)), st.data())
def test_one_end_comes_out_whatever_the_order_and_the_number(end: str, data: st.DataObject) -> None:
    told = ["queued", "initiated", "ringing", "in-progress", end]
    words = data.draw(st.permutations(told + data.draw(st.lists(st.sampled_from(told), max_size=8))))
    assert run(list(words)) == State(CallStatus.ENDED, ENDS[end])


@given(st.lists(st.sampled_from([*MOVES, "queued", "initiated", "something new"]), max_size=12))
def test_the_first_end_stands_and_a_live_call_is_its_streams_to_end(words: list[str]) -> None:
    ends = [ENDS[word] for word in words if word in ENDS]
    state = run(words)
    assert (state.status is CallStatus.ENDED) == bool(ends)
    assert state.reason == (ends[0] if ends else None)
    live = State(CallStatus.LIVE)
    assert run(words, live) == live
    over = State(CallStatus.ENDED, EndReason.CANCELLED)
    assert run(words, over) == over
