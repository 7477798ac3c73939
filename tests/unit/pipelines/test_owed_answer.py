"""What another connection is asked for when the one before went down with an answer."""

from datetime import date

import pytest

from pipelines.owed_answer import KnownResult, OwedAnswer

HOURS = KnownResult("opening_hours", {"day": "monday"}, {"open": "9 to 5"})


def test_nothing_is_asked_for_when_nothing_is_owed():
    owed = OwedAnswer(spoken="On Monday we")
    assert owed.is_empty
    assert owed.prompt() == ""


def test_what_we_asked_for_ourselves_is_asked_for_again_as_it_was():
    assert OwedAnswer(asked="Greet the caller.").prompt() == "Greet the caller."


def test_the_callers_words_are_told_with_how_much_of_the_answer_was_heard():
    prompt = OwedAnswer(words=["When are you open", "on Monday?"], spoken=" On Monday we are ").prompt()
    assert 'The caller had said: "When are you open on Monday?"' in prompt
    assert "heard already: On Monday we are -- go on from there" in prompt


def test_an_answer_that_broke_off_is_owed_although_nobody_knows_the_question_yet():
    owed = OwedAnswer()
    owed.cut_off(" On Monday we ")
    assert not owed.is_empty
    assert owed.prompt().endswith("heard already: On Monday we -- go on from there.")
    owed.cut_off("")
    assert owed.prompt() == "The connection was interrupted. Your answer was cut off. Give it again."
    owed.clear()
    assert owed.prompt() == ""


def test_of_an_answer_taken_back_from_the_line_only_what_was_heard_counts():
    owed = OwedAnswer(heard=lambda: "On Mon")
    owed.cut_off(None)
    assert "heard already: On Mon -- go on from there" in owed.prompt()


def test_a_result_is_told_and_its_tool_is_not_to_be_called_again():
    prompt = OwedAnswer(words=["Monday?"], results=[HOURS]).prompt()
    assert 'The tool opening_hours with {"day": "monday"} has returned {"open": "9 to 5"}.' in prompt
    assert "Do not call it again" in prompt


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("closed on Sunday", "has returned closed on Sunday."),
        ({"day": date(2026, 3, 2)}, '{"day": "2026-03-02"}'),
        ({"name": "Zoë"}, '{"name": "Zoë"}'),
        (None, "has returned null."),
    ],
)
def test_any_result_can_be_told(result, told):
    assert told in KnownResult("tool", {}, result).in_words()


def test_a_long_result_is_cut():
    words = KnownResult("tool", {}, "x" * 100_000).in_words()
    assert 4000 < len(words) < 4100
    assert words.endswith("x ....")


def test_only_the_same_call_is_found():
    owed = OwedAnswer(results=[HOURS])
    assert owed.find("opening_hours", {"day": "monday"}) is HOURS
    assert owed.find("opening_hours", {"day": "sunday"}) is None
    assert owed.find("book", {"day": "monday"}) is None


def test_a_whole_answer_settles_everything():
    owed = OwedAnswer("Greet.", ["Hello."], [HOURS], "Good")
    owed.clear()
    assert owed == OwedAnswer()
    assert owed.is_empty
