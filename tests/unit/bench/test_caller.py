"""A caller on a clock of its own: when he speaks, what he notes, and the delays and gaps that come of it."""

from collections.abc import Callable

import pytest

from bench.caller import FRAME_SECS, Caller, CallNotes
from bench.caller_voice import CallerVoice
from bench.measures import Window, added_delays_ms, barge_in_delays_ms, call_secs, first_words_ms, gaps_per_minute

FRAME_BYTES = 160
VOICE = CallerVoice(noise=(b"hiss",), sentences=((b"one", b"two", b"last"),))
ALWAYS = Window(0.0, 1000.0)


class Talk:
    """A caller and a clock that ticks when it is told to."""

    def __init__(self, *, until: float = 100.0) -> None:
        self.now = 10.0
        self.sent: list[bytes] = []
        self.notes = CallNotes("CA1", is_burst=False, started_at=self.now)
        self.caller = Caller(VOICE, self.notes, until=until, seed=1)

    def run_until(self, is_so: Callable[[], bool], *, within_secs: float = 20.0) -> None:
        deadline = self.now + within_secs
        while not is_so():
            assert self.now < deadline
            self.now += FRAME_SECS
            self.sent.append(self.caller.next_frame(self.now))

    def hear(self, secs: float, *, after_secs: float = 0.0) -> None:
        """A loud answer comes, frame by frame and in time, `after_secs` from now."""
        self.now += after_secs
        for _ in range(round(secs / FRAME_SECS)):
            self.caller.hear(FRAME_BYTES, True, self.now)
            self.now += FRAME_SECS
            self.sent.append(self.caller.next_frame(self.now))

    def say_a_sentence(self) -> None:
        said = self.sent.count(b"last")
        self.run_until(lambda: self.sent.count(b"last") > said)


@pytest.fixture
def greeted() -> Talk:
    talk = Talk()
    talk.hear(1.0, after_secs=0.03)
    return talk


def test_the_first_word_counts_from_the_start_of_the_stream(greeted: Talk) -> None:
    assert first_words_ms([greeted.notes]) == [pytest.approx(30)]
    assert set(greeted.sent) == {b"hiss"}


def test_the_added_delay_is_last_frame_out_to_first_loud_frame_in_less_the_models_own(greeted: Talk) -> None:
    greeted.say_a_sentence()
    assert greeted.sent[-3:] == [b"one", b"two", b"last"]
    said_at = greeted.now
    greeted.caller.hear(FRAME_BYTES, False, greeted.now + 0.1)  # comfort noise is no answer
    greeted.hear(0.5, after_secs=0.725)
    assert added_delays_ms([greeted.notes], 700.0, ALWAYS) == [pytest.approx(25)]
    # Taken by when the sentence ended, so that each belongs to one stretch of the step.
    assert added_delays_ms([greeted.notes], 700.0, Window(said_at + 0.001, 1000.0)) == []


@pytest.mark.parametrize(("late_ms", "gaps"), [(0, 0), (35, 0), (45, 1), (300, 1)])
def test_a_frame_that_is_more_than_40_ms_late_is_a_gap(greeted: Talk, late_ms: int, gaps: int) -> None:
    greeted.hear(0.2, after_secs=late_ms / 1000)
    assert [late_secs for _, late_secs in greeted.notes.gaps] == [pytest.approx(late_ms / 1000)] * gaps
    greeted.notes.ended_at = 10.0 + 30
    assert gaps_per_minute([greeted.notes], Window(10.0, 40.0)) == 2.0 * gaps
    assert gaps_per_minute([greeted.notes], Window(50.0, 60.0)) is None
    assert call_secs([greeted.notes], Window(0.0, 25.0)) == 15


def test_what_came_ahead_is_played_while_nothing_comes(greeted: Talk) -> None:
    greeted.say_a_sentence()
    greeted.caller.hear(5 * FRAME_BYTES, True, greeted.now)
    greeted.caller.hear(FRAME_BYTES, True, greeted.now + 0.13)
    assert greeted.notes.gaps == []
    greeted.caller.hear(FRAME_BYTES, True, greeted.now + 0.2)
    assert len(greeted.notes.gaps) == 1


def test_he_breaks_into_the_second_answer_and_notes_when_it_was_cleared(greeted: Talk) -> None:
    greeted.say_a_sentence()
    greeted.hear(0.5, after_secs=0.7)
    greeted.say_a_sentence()
    greeted.now += 0.7
    greeted.caller.hear(50 * FRAME_BYTES * 4, True, greeted.now)  # four seconds, of which he hears one and a bit
    greeted.caller.mark(b"end", greeted.now)
    greeted.run_until(lambda: len(greeted.notes.spoken) == 3)
    assert [spoken.is_barge_in for spoken in greeted.notes.spoken] == [False, False, True]
    assert greeted.caller.due_marks(greeted.now) == []
    began_at = greeted.notes.spoken[-1].began_at
    assert greeted.caller.clear(began_at + 0.12) == [b"end"]
    assert barge_in_delays_ms([greeted.notes]) == [pytest.approx(120)]
    # What is heard until he has finished is of the answer he broke into, not an answer to him.
    greeted.caller.hear(FRAME_BYTES, True, greeted.now + 0.3)
    assert greeted.notes.spoken[-1].answered_at is None
    assert greeted.notes.gaps == []


def test_a_mark_is_due_when_what_came_before_it_has_been_played() -> None:
    talk = Talk()
    talk.caller.hear(10 * FRAME_BYTES, True, talk.now)
    talk.caller.mark(b"played", talk.now)
    assert talk.caller.due_marks(talk.now + 0.19) == []
    assert talk.caller.due_marks(talk.now + 0.21) == [b"played"]
    assert talk.caller.due_marks(talk.now + 0.3) == []


def test_a_server_that_says_nothing_fails_the_call() -> None:
    silent = Talk()
    silent.run_until(lambda: bool(silent.notes.problem))
    assert silent.notes.problem == "no greeting"
    assert silent.now == pytest.approx(20.0, abs=0.1)


def test_an_answer_that_does_not_come_fails_the_call_and_the_first_reason_stands(greeted: Talk) -> None:
    greeted.say_a_sentence()
    greeted.run_until(lambda: bool(greeted.notes.problem))
    greeted.notes.fail("the server closed the stream")
    assert greeted.notes.problem == "no answer to sentence 1"


def test_he_hangs_up_when_his_time_is_over_and_he_has_heard_the_answer() -> None:
    talk = Talk(until=10.5)
    talk.hear(1.0)
    talk.run_until(lambda: talk.caller.is_gone)
    assert talk.now == pytest.approx(11.0 + 0.7 + 1.2, abs=0.1)
    assert talk.notes.answers_heard == 1
    assert talk.notes.spoken == []
