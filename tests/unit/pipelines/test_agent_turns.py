"""What the agent said, and how much of it was heard."""

from pipelines.agent_turns import AgentTurns
from transcripts.call import Speaker


def spoken(*words: str, start_ms: float = 1000, each_ms: float = 200) -> AgentTurns:
    turns = AgentTurns()
    for index, word in enumerate(words):
        turns.add_text(word, start_ms)
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
    turns.add_text("one two three four five six seven eight nine ten", 0)
    turns.add_audio(0, 1000)
    turns.complete()
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
    turns = AgentTurns()
    turns.note_error("book: ValueError: no")
    turns.add_text("Sorry.", 900)
    turns.add_audio(1000, 200)
    turns.complete()
    turn = turns.settle(2000)
    assert turn is not None
    assert turn.error == "book: ValueError: no"


def test_an_error_is_not_shown_on_the_turn_that_was_being_said_when_it_happened():
    turns = spoken("Let", " me", " look.")
    turns.note_error("book: ValueError: no")
    turns.complete()
    first = turns.settle(2000)
    assert first is not None
    assert first.error is None
    turns.add_text("Sorry.", 2100)
    turns.add_audio(2100, 200)
    turns.complete()
    second = turns.settle(2300)
    assert second is not None
    assert second.error == "book: ValueError: no"


def test_an_error_is_not_lost_with_an_apology_that_nobody_heard():
    turns = AgentTurns()
    turns.note_error("book: ValueError: no")
    turns.add_text("Sorry.", 900)
    turns.add_audio(1000, 200)
    assert turns.cut(990) is None
    turns.add_text("Sorry again.", 2000)
    turns.add_audio(2000, 200)
    turns.complete()
    turn = turns.settle(2200)
    assert turn is not None
    assert turn.error == "book: ValueError: no"


def test_words_told_ahead_of_their_audio_are_kept_as_far_as_a_voice_can_have_come():
    """Some models tell the whole sentence with its first audio."""
    turns = AgentTurns()
    sentence = "we are open on monday from nine to five and we keep a few places free every morning"
    for word in sentence.split():
        turns.add_text(f"{word} ", 0)
    for start_ms in range(0, 2200, 40):
        turns.add_audio(start_ms, 40)
    turn = turns.cut(2000)
    assert turn is not None
    assert turn.interrupted
    assert sentence.startswith(turn.text)
    assert 4 <= len(turn.text.split()) <= 9, "two seconds of about five"


def test_a_sentence_announced_as_a_whole_is_cut_by_its_usual_length_and_not_by_what_was_sent():
    """A synthesizer announces a sentence; 200 ms more than what was heard were sent when the caller interrupted."""
    turns = AgentTurns()
    turns.add_text("On Monday we are open from nine to five, and you can reach us by phone all day. ", 0)
    for start_ms in range(0, 2200, 40):
        turns.add_audio(start_ms, 40)
    turn = turns.cut(2000)
    assert turn is not None
    assert 5 <= len(turn.text.split()) <= 9


def test_words_that_come_after_their_utterance_was_sent_belong_to_it():
    turns = spoken("We", " are")
    turns.complete()
    turns.add_text(" open.", 1300)
    turn = turns.settle(1900)
    assert turn is not None
    assert turn.text == "We are open."
    assert not turns.is_open


def test_words_that_audio_follows_belong_to_the_next_utterance():
    turns = spoken("First.", each_ms=1000)
    turns.complete()
    turns.add_text("Second.", 1900)
    assert turns.settle(2000) is None, "it is not yet clear whose they are"
    first = turns.finish()
    turns.add_audio(2000, 400)
    turns.complete()
    second = turns.settle(2400)
    assert first is not None
    assert second is not None
    assert (first.text, first.end_ms, second.text, second.start_ms) == ("First.", 2000, "Second.", 2000)


def test_words_that_no_audio_follows_keep_nobody_waiting():
    turns = AgentTurns()
    turns.add_text(" open.", 1000)
    assert turns.is_open
    assert turns.settle(2100) is None
    assert not turns.is_open


def test_a_call_that_ends_before_the_model_was_done_ends_in_an_interrupted_turn():
    turn = spoken("We", " are").settle(9000, finished=True)
    assert turn is not None
    assert turn.interrupted
    assert (turn.text, turn.end_ms) == ("We are", 1400)


def test_two_interruptions_make_one_cut():
    turns = spoken("On", " Monday")
    assert turns.cut(1300) is not None
    assert turns.cut(1310) is None
