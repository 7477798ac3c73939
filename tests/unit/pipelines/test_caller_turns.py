"""What the caller said, put together from his voice and his words."""

from pipelines.caller_turns import CallerTurns


def test_the_callers_words_may_come_after_the_answer_began():
    turns = CallerTurns()
    turns.start(500)
    turns.stop(1500)
    turns.answer(1900)
    assert turns.settle(1950) is None
    turns.add_text("What are your hours?", 2000)
    assert turns.settle(2100) is None
    turn = turns.settle(2800)
    assert turn is not None
    assert (turn.text, turn.start_ms, turn.end_ms) == ("What are your hours?", 500, 1500)


def test_a_pause_within_a_sentence_makes_one_turn():
    turns = CallerTurns()
    turns.start(500)
    turns.stop(900)
    turns.start(1300)
    turns.stop(2000)
    turns.add_text("I would like, please, an appointment.", 2200)
    turns.answer(2300)
    turn = turns.settle(3100)
    assert turn is not None
    assert (turn.start_ms, turn.end_ms) == (500, 2000)


def test_speaking_on_after_an_answer_makes_two_turns():
    turns = CallerTurns()
    turns.start(0)
    turns.stop(1000)
    turns.add_text("First.", 1100)
    turns.answer(1200)
    first = turns.start(1400)
    assert first is not None
    assert first.text == "First."
    turns.stop(2000)
    turns.add_text("Second.", 2100)
    second = turns.settle(2200, finished=True)
    assert second is not None
    assert second.start_ms == 1400


def test_noise_without_words_is_forgotten():
    turns = CallerTurns()
    turns.start(0)
    turns.stop(300)
    assert turns.settle(3400) is None
    turns.start(5000)
    turns.stop(6000)
    turns.add_text("Hello.", 6100)
    turn = turns.settle(7000, finished=True)
    assert turn is not None
    assert turn.start_ms == 5000


def test_words_later_than_their_answer_keep_the_time_of_the_voice():
    turns = CallerTurns()
    turns.start(500)
    turns.stop(1500)
    turns.answer(2000)
    assert turns.settle(6000) is None
    turns.add_text("What are your hours?", 6500)
    turn = turns.settle(7300)
    assert turn is not None
    assert (turn.start_ms, turn.end_ms) == (500, 1500)


def test_late_words_of_what_was_said_before_are_not_those_of_an_interruption():
    turns = CallerTurns()
    turns.start(0)
    turns.stop(1000)
    turns.answer(1400)
    turns.start(1800)
    turns.add_text("First.", 2000)
    turns.stop(3000)
    turns.add_text("Second.", 3300)
    turns.answer(3500)
    first, second = turns.settle(4100), turns.settle(4200)
    assert first is not None
    assert second is not None
    assert (first.text, first.start_ms, first.end_ms) == ("First.", 0, 1000)
    assert (second.text, second.start_ms, second.end_ms) == ("Second.", 1800, 3000)


def test_blank_words_are_no_words():
    turns = CallerTurns()
    turns.start(0)
    turns.stop(500)
    turns.add_text("  ", 600)
    turns.answer(700)
    assert not turns.has_words
    assert turns.settle(2000) is None
    assert turns.settle(2000, finished=True) is None


def test_a_turn_still_being_spoken_ends_with_the_call():
    turns = CallerTurns()
    turns.start(0)
    turns.stop(1000)
    turns.start(1200)
    turns.add_text("And then", 1500)
    turn = turns.settle(2600, finished=True)
    assert turn is not None
    assert (turn.start_ms, turn.end_ms) == (0, 2600)


def test_an_answer_faster_than_the_detector_of_silence_is_an_answer():
    turns = CallerTurns()
    turns.start(0)
    turns.add_text("Hello.", 1100)
    turns.answer(1200)
    turns.stop(1000)
    turn = turns.settle(1900)
    assert turn is not None
    assert turn.end_ms == 1000


def test_speaking_on_over_an_answer_makes_one_turn():
    turns = CallerTurns()
    turns.start(0)
    turns.add_text("I would like", 900)
    turns.answer(1000)
    turns.stop(2500)
    turns.add_text("an appointment.", 2600)
    assert turns.settle(3400) is None, "nobody has answered yet"
    turns.answer(3500)
    turn = turns.settle(3600)
    assert turn is not None
    assert (turn.text, turn.start_ms, turn.end_ms) == ("I would like an appointment.", 0, 2500)


def test_a_noise_is_not_the_beginning_of_a_later_sentence():
    turns = CallerTurns()
    turns.start(0)
    turns.stop(300)
    turns.start(5000)
    turns.stop(6000)
    turns.add_text("Hello.", 6100)
    turns.answer(6200)
    turn = turns.settle(7000)
    assert turn is not None
    assert turn.start_ms == 5000
