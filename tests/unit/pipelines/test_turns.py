from pipelines.turns import AgentTurns, CallerTurns
from transcripts.call import Speaker


def spoken(*words: str, start_ms: float = 1000, each_ms: float = 200) -> AgentTurns:
    turns = AgentTurns()
    for index, word in enumerate(words):
        turns.add_text(word)
        turns.add_audio(start_ms + index * each_ms, each_ms)
    return turns


def test_an_utterance_becomes_a_turn_when_it_was_played_to_its_end():
    turns = spoken("We", " are", " open.")
    turns.complete()
    assert turns.settle(1500) is None
    turn = turns.settle(1600)
    assert turn is not None
    assert (turn.speaker, turn.text, turn.start_ms, turn.end_ms) == (Speaker.AGENT, "We are open.", 1000, 1600)
    assert not turn.interrupted
    assert turns.settle(9999) is None


def test_an_interruption_keeps_only_what_was_heard():
    turn = spoken("On", " Monday", " we", " are", " open.").cut(1420)
    assert turn is not None
    assert turn.text == "On Monday"
    assert turn.interrupted
    assert turn.end_ms == 1420


def test_an_interruption_in_a_long_fragment_keeps_its_share_of_words():
    turns = AgentTurns()
    turns.add_text("one two three four five six seven eight nine ten")
    turns.add_audio(0, 1000)
    turn = turns.cut(500)
    assert turn is not None
    assert turn.text == "one two three four five"


def test_what_was_taken_back_before_it_began_is_no_turn():
    assert spoken("Never heard").cut(1000) is None


def test_an_interruption_after_the_last_word_interrupts_nothing():
    turns = spoken("Goodbye.")
    turns.complete()
    turn = turns.cut(1200)
    assert turn is not None
    assert not turn.interrupted


def test_a_call_that_ends_in_mid_word_keeps_the_words_heard():
    turn = spoken("Good", " morning", " to", " you").settle(1390, finished=True)
    assert turn is not None
    assert turn.text == "Good morning"
    assert turn.interrupted


def test_an_error_is_shown_on_the_turn_that_speaks_of_it():
    turns = spoken("Sorry.")
    turns.note_error("book: ValueError: no")
    turns.complete()
    turn = turns.settle(2000)
    assert turn is not None
    assert turn.error == "book: ValueError: no"


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
