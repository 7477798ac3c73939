"""An answering machine takes the call: what is done, whatever is told, in whatever order."""

import pytest

from config.machine import Detection, Machine
from pipelines.machine_course import Heard, MachineCourse, Move
from telephony.machine_detection import AnsweredBy

LEAVE = Machine(do="leave_message", message="Please call us back.")
HANG_UP, TALK = Machine(do="hang_up"), Machine(do="talk")
QUIET = Heard(3000, None, 0)


def after(machine: Machine, *told: AnsweredBy) -> list[Move | None]:
    course = MachineCourse(machine)
    return [course.told(answered_by, QUIET) for answered_by in told]


@pytest.mark.parametrize(
    ("machine", "answered_by", "move"),
    [
        (LEAVE, AnsweredBy.HUMAN, None),
        (LEAVE, AnsweredBy.UNKNOWN, None),
        (LEAVE, AnsweredBy.MACHINE_START, Move.FALL_SILENT),
        (LEAVE, AnsweredBy.MACHINE_END_BEEP, Move.LEAVE_MESSAGE),
        (LEAVE, AnsweredBy.MACHINE_END_SILENCE, Move.LEAVE_MESSAGE),
        (LEAVE, AnsweredBy.MACHINE_END_OTHER, Move.LEAVE_MESSAGE),
        (LEAVE, AnsweredBy.FAX, Move.HANG_UP),
        (HANG_UP, AnsweredBy.MACHINE_START, Move.HANG_UP),
        (HANG_UP, AnsweredBy.MACHINE_END_BEEP, Move.HANG_UP),
        (HANG_UP, AnsweredBy.HUMAN, None),
        (HANG_UP, AnsweredBy.UNKNOWN, None),
        (TALK, AnsweredBy.MACHINE_START, None),
        (TALK, AnsweredBy.MACHINE_END_BEEP, None),
        (TALK, AnsweredBy.FAX, Move.HANG_UP),
    ],
)
def test_what_twilio_says_decides(machine: Machine, answered_by: AnsweredBy, move: Move | None) -> None:
    assert after(machine, answered_by) == [move]


def test_a_message_is_begun_once_and_a_person_stays_one() -> None:
    beep, start = AnsweredBy.MACHINE_END_BEEP, AnsweredBy.MACHINE_START
    assert after(LEAVE, start, beep, beep, start, AnsweredBy.HUMAN) == [
        Move.FALL_SILENT,
        Move.LEAVE_MESSAGE,
        None,
        None,
        None,
    ]
    assert after(LEAVE, AnsweredBy.HUMAN, beep) == [None, None]
    assert after(HANG_UP, start, beep) == [Move.HANG_UP, None]


def greeting() -> MachineCourse:
    course = MachineCourse(LEAVE)
    assert course.told(AnsweredBy.MACHINE_START, Heard(3000, 100, 3000)) is Move.FALL_SILENT
    assert course.has_machine
    return course


def test_the_end_of_a_greeting_that_nobody_tells_of_is_heard_by_its_tone() -> None:
    course = greeting()
    assert course.look(Heard(6000, 100, 6000)) is None
    assert course.look(Heard(6500, None, 6000, tone_over_ms=2000)) is None, "a tone of before it was a machine"
    assert course.look(Heard(6900, None, 6000, tone_over_ms=6880)) is Move.LEAVE_MESSAGE
    assert course.after == "beep"
    assert course.look(Heard(7000, None, 6000, tone_over_ms=6880)) is None


def test_or_by_its_silence_or_at_last_by_the_time_that_passed() -> None:
    course = greeting()
    assert course.look(Heard(8400, None, 6000)) is None
    assert course.look(Heard(8501, None, 6000)) is Move.LEAVE_MESSAGE
    assert course.after == "silence"
    course = greeting()
    assert course.look(Heard(32_999, 100, 32_999)) is None
    assert course.look(Heard(33_001, 100, 33_001)) is Move.LEAVE_MESSAGE
    assert course.after == "time"


def test_a_message_that_was_begun_on_a_guess_is_begun_again_once_twilio_knows_better() -> None:
    course = greeting()
    assert course.look(Heard(8501, None, 6000)) is Move.LEAVE_MESSAGE
    assert course.told(AnsweredBy.MACHINE_END_BEEP, Heard(9500)) is Move.LEAVE_MESSAGE
    assert course.after == "beep"
    assert course.told(AnsweredBy.MACHINE_END_OTHER, Heard(9600)) is None


def test_whoever_speaks_at_length_is_not_answered_until_it_is_clear_who_it_is() -> None:
    course = MachineCourse(LEAVE)
    assert course.look(Heard(2000, 100, 2000)) is None
    assert course.look(Heard(2600, 100, 2600)) is Move.HOLD_BACK
    assert course.look(Heard(4000, 100, 4000)) is None
    assert not course.has_machine
    assert course.told(AnsweredBy.HUMAN, Heard(4100)) is Move.GO_ON
    assert course.look(Heard(9000, 100, 9000)) is None, "a person may speak as long as he likes"


def test_a_person_who_spoke_at_length_and_waits_is_answered_before_twilio_knows() -> None:
    course = MachineCourse(LEAVE)
    assert course.look(Heard(2600, 100, 2600)) is Move.HOLD_BACK
    assert course.look(Heard(5600, None, 3000)) is None
    assert course.look(Heard(5701, None, 3000)) is Move.GO_ON
    assert course.look(Heard(9000, 6000, 9000)) is None, "once is enough"
    assert course.told(AnsweredBy.MACHINE_END_BEEP, Heard(9100)) is Move.LEAVE_MESSAGE


def test_a_word_that_comes_after_its_time_still_counts() -> None:
    course = MachineCourse(Machine(do="leave_message", message="x", detection=Detection(timeout_secs=3)))
    assert course.look(Heard(20_000, 100, 20_000)) is None, "nobody is held back so late"
    assert course.told(AnsweredBy.MACHINE_END_BEEP, Heard(21_000)) is Move.LEAVE_MESSAGE


def test_an_agent_that_talks_to_machines_is_never_held_back() -> None:
    course = MachineCourse(TALK)
    assert course.look(Heard(2600, 100, 2600)) is None
