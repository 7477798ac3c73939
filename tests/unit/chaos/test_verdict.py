"""The judge of drills, on calls made up by hand: what is good passes, and each thing that is bad is named."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from chaos.drills import ANSWERS, DROPPED, Drill, select
from chaos.house import GREETING
from chaos.played import Played, Wait
from chaos.verdict import duplicates, has_struck, judge, lost_sentences, silence_of
from simulators.clips import caller_clips
from transcripts.models import CallEventRow, TurnRow

QUESTION, ANSWER = caller_clips()["ask-sunday"].text, ANSWERS["ask-sunday"]
THANKS, GOODBYE = caller_clips()["goodbye"].text, ANSWERS["goodbye"]


def turn(speaker: str, text: str, start_ms: int, end_ms: int) -> TurnRow:
    return TurnRow(
        call_id="c", position=start_ms, speaker=speaker, text=text, start_ms=start_ms, end_ms=end_ms, interrupted=False
    )


def event(kind: str, at_ms: int, /, **data: Any) -> CallEventRow:
    return CallEventRow(call_id="c", seq=at_ms, at_ms=at_ms, kind=kind, data=data)


def drill(name: str = "silence-after-turn") -> Drill:
    return next(drill for drill in select(name) if drill.name == name)


def good(name: str = "silence-after-turn", **changes: Any) -> Played:
    """A call in which all went well: greeting, question and answer, thanks and goodbye."""
    the_drill = drill(name)
    struck = {the_drill.fault.name} if the_drill.fault is not None else set[str]()
    played = Played(
        the_drill,
        struck=struck | ({DROPPED} if the_drill.is_dropped else set()),
        said=[QUESTION, THANKS],
        waits=[Wait(0.0, 2000.0, True), Wait(4000.0, 7000.0, True), Wait(9000.0)],
        heard=[(300, 2000), (5000, 7000), (9800, 11_500)],
        stream_ms=11_600.0,
        verbs=[(10, "Connect", ""), (11_700, "Hangup", "")],
        turns=[
            turn("agent", GREETING, 300, 2000),
            turn("caller", QUESTION, 2400, 4000),
            turn("agent", ANSWER, 5000, 7000),
            turn("caller", THANKS, 7400, 9000),
            turn("agent", GOODBYE, 9800, 11_500),
        ],
        events=[
            event("agent.began", 300),
            event("tool.called", 4500, name="opening_hours", arguments={"day": "sunday"}),
            event("agent.began", 5000),
            event("agent.began", 9800),
        ],
        told_results=["call-1", "call-2"],
        end_reason="bot_ended",
    )
    return replace(played, **changes)


def without(turns: Sequence[TurnRow], text: str) -> list[TurnRow]:
    return [turn for turn in turns if turn.text != text]


def test_a_call_in_which_all_went_well_is_good() -> None:
    verdict = judge(good())
    assert verdict.problems == ()
    assert (verdict.silence_secs, verdict.lost, verdict.duplicates) == (1.0, 0, 0)
    assert verdict.heard == "greeting, answer, answer, <Hangup>"


def test_seven_seconds_of_silence_before_the_answer_are_bad() -> None:
    waits = [Wait(0.0, 2000.0, True), Wait(4000.0, 13_000.0, True)]
    assert judge(good(heard=[(300, 2000), (11_000, 13_000)], waits=waits)).problems == ("7.0 s of silence",)


@pytest.mark.parametrize(
    ("heard", "secs"),
    [
        ([(5000, 7000)], 1.0),
        ([(4100, 4300), (6500, 7000)], 2.2),  # a filler, and then a longer silence
        ([(4500, 5000), (6800, 7000)], 1.8),  # a hole in the middle of the answer
        ([(3800, 4600), (6000, 7000)], 1.4),  # something was being said when he stopped
        ([(1000, 2000)], 3.0),
        ([], 3.0),
    ],
)
def test_silence_is_the_longest_stretch_without_sound(heard: list[tuple[float, float]], secs: float) -> None:
    assert silence_of(good(heard=heard), Wait(4000.0, 7000.0)) == pytest.approx(secs)


def test_silence_after_the_stream_lasts_until_twilio_says_something() -> None:
    verbs = [(100, "Connect", ""), (8100, "Pause", ""), (9100, "Say", "Sorry."), (9900, "Dial", "+1")]
    played = good(heard=[(300, 2000)], stream_ms=6000.0, verbs=verbs, end_reason="connection_lost")
    assert silence_of(played, Wait(4000.0)) == pytest.approx(5.0)  # 2 s in the stream, 3 s after it
    assert silence_of(replace(played, verbs=verbs[:1]), Wait(4000.0)) == pytest.approx(2.0)


def test_a_refused_call_is_silent_until_twilio_says_why() -> None:
    played = good(waits=[], verbs=[(6500, "Say", "Busy.")], end_reason="refused_busy", turns=[], events=[], said=[])
    assert judge(played).silence_secs == pytest.approx(6.5)


def test_a_sentence_of_the_caller_that_is_in_no_turn_is_lost() -> None:
    verdict = judge(good(turns=without(good().turns, QUESTION)))
    assert (verdict.lost, verdict.problems) == (1, (f"lost: {QUESTION}",))


def test_a_sentence_counts_as_lost_only_if_its_fault_did_not_destroy_it() -> None:
    heard_nothing = {"turns": without(good().turns, THANKS), "end_reason": "connection_lost"}
    assert lost_sentences(good("socket-drop", **heard_nothing)) == []
    assert lost_sentences(good("http-503, in mid-call, for good", **heard_nothing)) == []
    assert lost_sentences(good(**heard_nothing)) == [THANKS]
    # What was said before the line broke is no excuse.
    earlier = heard_nothing | {"turns": without(without(good().turns, THANKS), QUESTION)}
    assert lost_sentences(good("socket-drop", **earlier)) == [QUESTION]


@pytest.mark.parametrize(
    "extra",
    [
        turn("caller", QUESTION, 4200, 4300),
        turn("caller", "And are you", 2400, 3000),
        turn("caller", "[speech 0.9 s]", 2400, 3000),
        turn("agent", ANSWER, 7100, 7300),
        turn("agent", "Please hold the line.", 7100, 7300),
    ],
    ids=["whole", "piece", "not understood", "answer", "another"],
)
def test_what_is_written_twice_is_found(extra: TurnRow) -> None:
    again = [extra] if extra.text != "Please hold the line." else [extra, extra]
    verdict = judge(good(turns=[*good().turns, *again]))
    assert verdict.duplicates == 1
    assert verdict.problems[0].startswith("twice: ")


def test_a_sentence_said_twice_in_one_turn_is_found_too() -> None:
    turns = [*without(good().turns, QUESTION), turn("caller", f"{QUESTION} {QUESTION}", 2400, 4000)]
    assert list(duplicates(good(turns=turns))) == [f"the caller: {QUESTION}"]


def test_an_answer_that_broke_off_and_was_begun_again_is_no_duplicate() -> None:
    assert judge(good(turns=[*good().turns, turn("agent", "I am sorry, on", 4200, 4600)])).problems == ()


def test_what_is_announced_may_be_said_twice() -> None:
    filler = [turn("agent", "One moment, please.", at_ms, at_ms + 500) for at_ms in (4100, 4700)]
    told = [event("agent.announced", turn.start_ms, kind="filler", text=turn.text) for turn in filler]
    assert judge(good(turns=[*good().turns, *filler], events=[*good().events, *told])).problems == ()


def test_a_tool_that_runs_twice_and_a_result_that_is_told_twice_are_found() -> None:
    assert list(duplicates(good(events=[*good().events, good().events[1]]))) == [
        "the tool opening_hours({'day': 'sunday'})"
    ]
    assert list(duplicates(good(told_results=["call-1", "call-1"]))) == ["the result of call-1"]


def test_a_fault_that_never_struck_proves_nothing() -> None:
    assert judge(good(struck=set())).problems == ("the fault did not strike",)
    assert judge(good("dropped, while the caller speaks", struck=set())).problems == ("the fault did not strike",)
    assert has_struck(good("dropped, while the caller speaks", struck={DROPPED}))
    assert not has_struck(good("rest-500", struck={"no-frames"}))
    assert has_struck(good("rest-500", struck={"no-frames", "rest-500"}))
    # A port that was closed while nobody knocked.
    assert not has_struck(good("connection-refused"))
    knocked = [*good().events, event("model.attempt_failed", 100, problem="")]
    assert has_struck(good("connection-refused", events=knocked))


def test_a_slow_tool_must_be_covered_by_a_sentence() -> None:
    verdict = judge(good("slow-tool", struck=set(), heard=[(300, 2000), (7700, 9000)], waits=[Wait(4000.0, 9000.0)]))
    assert "3.7 s of silence" in verdict.problems


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"waits": [Wait(0.0, 2000.0, True), Wait(4000.0, 7000.0)]}, "the question was not answered"),
        ({"turns": without(good().turns, GOODBYE)}, "no goodbye was heard"),
        ({"end_reason": "failed", "waits": []}, "no good end: failed"),
        ({"end_reason": "caller_hung_up", "waits": []}, "no good end: caller_hung_up"),
        ({"end_reason": None, "waits": []}, "the call's row never ended"),
        ({"problem": "it did not come to an end"}, "it did not come to an end"),
    ],
)
def test_a_bad_end_is_named(changes: dict[str, Any], problem: str) -> None:
    assert problem in judge(good(**changes)).problems


@pytest.mark.parametrize("verbs", [[(1, "Connect", ""), (2, "Dial", "+1")], [(1, "Connect", ""), (2, "Say", "Sorry")]])
def test_an_apology_and_a_transfer_are_good_ends(verbs: list[tuple[int, str, str]]) -> None:
    played = good("http-401, in mid-call, for good", verbs=verbs, end_reason="transferred")
    assert judge(played).problems == ()


def test_an_apology_in_the_stream_is_a_good_end() -> None:
    told = [event("agent.announced", 11_000, kind="apology", text="I am sorry. Goodbye!")]
    played = good("http-401, in mid-call, for good", events=[*good().events, *told], end_reason="failed")
    assert judge(played).problems == ()
