"""Scripts: what a mistake in one looks like to its author, which script is chosen, and what the mind makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from simulators.mind import Call, Mind, Reply, Say, Trouble
from simulators.script import Script, ScriptError, choose_script, load_scripts, parse_script
from simulators.text_requests import clips_in, passage_to_speak, reported_clips
from simulators.wording import MissingValue, fill, holds

GOOD = """
name: tiny
when: {tools: [look]}
rules:
  - hear: hello
    say: Hi!
otherwise: Pardon?
"""


def acted(reply: Reply, *results: Mapping[str, Any]) -> list[Say | Call | Trouble]:
    """Runs a reply to its end, answering its calls in turn."""
    steps: list[Say | Call | Trouble] = []
    answers = iter(results)
    result: Mapping[str, Any] | None = None
    while True:
        try:
            steps.append(reply.send(result))
        except StopIteration:
            return steps
        result = next(answers, None) if isinstance(steps[-1], Call) else None


def shipped(name: str, *tools: str) -> Mind:
    script = next(script for script in load_scripts() if script.name == name)
    return Mind(script, frozenset(tools))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("hear: hello", "hear: hallo"), "x.yaml: rules.0: Value error, `hear`: no recognised caller clip is called"),
        (("hear: hello", "hear: unknown-remark"), "no recognised caller clip is called 'unknown-remark'"),
        (("hear: hello", "text: '('"), "`text`: not a regular expression"),
        (("    say: Hi!", "    says: Hi!"), "x.yaml: rules.0.says: Extra inputs are not permitted"),
        (("say: Hi!", "say: 'Hi {world}!'"), "{world}: starts with 'world'; it must be one of"),
        (("say: Hi!", "say: 'At {result.at:clock}!'"), "no format 'clock'"),
        (("say: Hi!", "say: Hi!\n    if: result is nice"), "is not `path`, `not path`"),
        (("say: Hi!", "say: Hi!\n    else: Ho!"), "`else` needs an `if`"),
        (("    hear: hello\n", ""), "x.yaml: rules.0: "),
        (("otherwise: Pardon?", ""), "x.yaml: otherwise: Field required"),
        (("rules:", "rules: ["), "x.yaml: not YAML"),
    ],
)
def test_a_wrong_script_says_where_and_what(change: tuple[str, str], problem: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse_script(
            GOOD.replace("- hear: hello\n    say", "-\n    hear: hello\n    say").replace(*change), source="x.yaml"
        )
    assert problem in str(caught.value)


def test_the_most_specific_script_is_chosen() -> None:
    scripts = [
        parse_script("{name: any, rules: [], otherwise: a}"),
        parse_script("{name: one, when: {tools: x}, rules: [], otherwise: a}"),
        parse_script("{name: two, when: {tools: [x], instruction: Blue Door}, rules: [], otherwise: a}"),
    ]

    def chosen(tools: set[str], instruction: str) -> str:
        return choose_script(scripts, tools, instruction).name

    assert chosen(set(), "") == "any"
    assert chosen({"x", "y"}, "") == "one"
    assert chosen({"x"}, "You work for the BLUE DOOR.") == "two"
    assert chosen({"y"}, "You work for the Blue Door.") == "any"
    with pytest.raises(ScriptError, match="no script is for"):
        choose_script(scripts[1:], set(), "")


def test_the_shipped_scripts_fit_their_bots() -> None:
    scripts = load_scripts()
    assert choose_script(scripts, {"opening_hours", "book_appointment", "end_call"}, "").name == "receptionist"
    assert choose_script(scripts, {"next_question", "record_answer"}, "").name == "survey"
    assert choose_script(scripts, {"end_call"}, "").name == "anyone"


def test_the_receptionist_books_what_was_asked_for() -> None:
    mind = shipped("receptionist", "opening_hours", "book_appointment", "end_call")
    hours = acted(mind.answer_clip("ask-opening-hours", ""), {"open": "09:00", "close": "17:30"})
    assert hours[0] == Call("opening_hours", {"day": "monday"})
    assert isinstance(hours[1], Say)
    assert hours[1].text.startswith("On Monday we are open from nine to five thirty.")
    closed = acted(mind.answer_clip("ask-sunday", ""), {"result": {"closed": True}})
    assert closed[1] == Say("I am sorry, on Sunday we are closed.")
    assert acted(mind.answer_clip("book-tuesday", "")) == [Say("Gladly. May I have your name, please?")]
    assert acted(mind.answer_clip("name-alex", ""), {"booked": True}) == [
        Call("book_appointment", {"day": "tuesday", "time": "10:00", "name": "Alex Morgan"}),
        Say("Your appointment is booked for Tuesday at ten. Is there anything else?"),
    ]
    taken = acted(mind.answer_clip("book-wednesday", ""), {"booked": False, "reason": "taken", "free": ["09:00"]})
    assert taken[1] == Say("I am sorry, Wednesday at eleven is taken. Another day or time?")
    assert acted(mind.answer_clip("goodbye", ""), {}) == [Call("end_call", {}), Say("Thank you for calling. Goodbye!")]


def test_a_tool_that_is_not_declared_is_never_called() -> None:
    mind = shipped("receptionist", "opening_hours", "book_appointment")
    assert acted(mind.answer_clip("goodbye", "")) == [Say("Thank you for calling. Goodbye!")]
    assert acted(mind.answer_clip("cancel-appointment", "")) == [Say(mind.script.otherwise)]


@pytest.mark.parametrize("result", [{"error": "no database"}, {"opened": "09:00"}])
def test_a_tool_that_fails_is_apologised_for(result: dict[str, Any]) -> None:
    mind = shipped("receptionist", "opening_hours", "book_appointment")
    assert acted(mind.answer_clip("ask-opening-hours", ""), result)[1] == Say(mind.script.failed)


def test_the_survey_asks_until_it_is_done() -> None:
    mind = shipped("survey", "next_question", "record_answer", "end_call")
    assert acted(mind.answer_text('Say exactly this: "Hello there."'), {"question": "How was it?"}) == [
        Say("Hello there."),
        Call("next_question", {}),
        Say("How was it?"),
    ]
    # Only the first quoted text is the greeting; a later one is just spoken.
    assert acted(mind.answer_text('Say exactly this: "We have one minute left."')) == [Say("We have one minute left.")]
    last = acted(mind.answer_clip("rate-four", ""), {"done": True}, {})
    assert last == [
        Call("record_answer", {"answer": "4"}),
        Say("Thank you for your time. Goodbye!"),
        Call("end_call", {}),
    ]


def test_text_is_a_quotation_a_rule_or_a_clips_words() -> None:
    mind = shipped("anyone")
    assert acted(mind.answer_text("Say “One”, and then “Are you still there?”")) == [Say("Are you still there?")]
    assert acted(mind.answer_text("The caller pressed the key 5.")) == [Say("You pressed five.")]
    assert acted(mind.answer_text("The caller pressed the keys 1#")) == [Say("You pressed one hash.")]
    assert acted(mind.answer_text("the code word is PINEAPPLE")) == [Say("Thank you. I will remember that.")]
    assert acted(mind.answer_clip("ask-fact", "")) == [Say("The code word is pineapple.")]
    assert acted(mind.answer_text("Tell me about whales")) == [Say(mind.script.otherwise)]
    assert acted(mind.answer_clip(None, "[speech 2.1 s]")) == [Say(mind.script.otherwise)]


@pytest.mark.parametrize(
    ("text", "passage"),
    [
        ('Say exactly this to the caller, and nothing else: "One moment."', "One moment."),
        ('The caller is on the line. Greet with exactly this: "Hello there."', "Hello there."),
        ("Read aloud: „Guten Tag.“", "Guten Tag."),
        ("Please speak this sentence. «Bonjour!»", "Bonjour!"),
        ('The connection was interrupted. The caller had said: "Yes, please." Answer that now.', None),
        ('The caller had said: "Yes, please." Tell him the answer.', None),
        ('He said: "Stop." Now say "Sure."', "Sure."),
        ('The caller asks: "Say what?"', None),
    ],
)
def test_only_an_order_makes_a_quotation_a_text_to_speak(text: str, passage: str | None) -> None:
    assert passage_to_speak(text) == passage


def test_reported_words_are_answered_as_if_they_were_said_now() -> None:
    mind = shipped("receptionist", "opening_hours", "book_appointment")
    text = 'The connection broke. The caller had said: "hi what are your opening hours on monday". Answer that now.'
    assert reported_clips(text) == ["ask-opening-hours"]
    assert acted(mind.answer_text(text), {"closed": True}) == [
        Call("opening_hours", {"day": "monday"}),
        Say("I am sorry, on Monday we are closed."),
    ]
    mind = shipped("anyone")
    both = 'The caller had said: "The code word is pineapple. What is the code word?" Answer that now.'
    assert clips_in(both) == ["tell-fact", "ask-fact"]
    assert acted(mind.answer_text(both)) == [Say("The code word is pineapple.")]
    unknown = 'The caller had said: "[speech 2.1 s]". Answer that now.'
    assert acted(mind.answer_text(unknown)) == [Say(mind.script.otherwise)]


def test_a_mind_learns_from_a_history_what_it_would_have_learnt_in_it() -> None:
    mind = shipped("receptionist", "opening_hours", "book_appointment")
    for text in ("Then Wednesday at eleven, please.", "Gladly. May I have your name, please?", "Is anybody there?"):
        mind.learn(text)
    assert mind.variables == {"day": "wednesday", "time": "11:00"}
    later = mind.copy()
    assert acted(later.answer_clip("name-alex", ""), {"booked": True})[0] == Call(
        "book_appointment", {"day": "wednesday", "time": "11:00", "name": "Alex Morgan"}
    )
    assert "name" not in mind.variables


def test_a_fault_is_a_step() -> None:
    mind = Mind(parse_script("{name: x, rules: [{hear: hello, fault: goaway, say: Hi}], otherwise: a}"), frozenset())
    assert acted(mind.answer_clip("hello", "")) == [Trouble("goaway"), Say("Hi")]


def test_steps_set_variables_and_branch() -> None:
    script: Script = parse_script(
        """
name: branches
rules:
  - text: i am (?P<who>\\w+)
    set: {who: "{match.who}"}
    call: {tool: check, args: {name: "{vars.who}", words: 3}}
    then:
      - if: result.level == 2
        say: "Two for {vars.who:title}."
        else:
          - if: not result.level
            say: None.
            else: "It is {result.level:number}, at {result.slots:times}."
      - Done.
otherwise: Pardon?
"""
    )
    mind = Mind(script, frozenset({"check"}))
    call = Call("check", {"name": "ann", "words": 3})
    assert acted(mind.answer_text("I am ann"), {"level": 2}) == [call, Say("Two for Ann."), Say("Done.")]
    assert acted(mind.answer_text("I am ann"), {}) == [call, Say("None."), Say("Done.")]
    many = {"level": 21, "slots": ["09:00", "10:05", "14:30"]}
    assert acted(mind.answer_text("I am ann"), many)[1] == Say("It is twenty one, at nine, ten oh five or two thirty.")


def test_wording_tells_missing_from_false() -> None:
    assert fill("{result.free}", {"result": {"free": False}}) == "False"
    assert holds("result.free != yes", {"result": {}})
    with pytest.raises(MissingValue, match="result.open"):
        fill("{result.open}", {"result": {}})


def test_a_lone_quotation_mark_is_no_quotation() -> None:
    assert passage_to_speak('Say: a 5" pipe') is None
    assert passage_to_speak("Say something plain") is None
