"""Whether words are a yes or a no to being recorded: for an answer that no model has judged, or to doubt one that has.

Pure. What is neither, or both, is nothing: whoever asks then asks again.
"""

from collections.abc import Iterable

from config.yes_and_no import BY_LANGUAGE, plain, take_out, words_of

_MOST_OTHER_WORDS = 2
"""Beside a yes; who says more than that may be talking about something else."""


def judge_answer(text: str, language: str, yes_words: Iterable[str] = (), no_words: Iterable[str] = ()) -> bool | None:
    """Return True for a yes, False for a no, None for neither. `language` is a BCP 47 code; English always counts too.

    `yes_words` and `no_words` are the agent's own, and go before the lists.
    """
    own_yes, rest = take_out(plain(text), yes_words)
    own_no, rest = take_out(rest, no_words)
    if own_yes != own_no:
        return own_yes
    lists = (BY_LANGUAGE["en"], words_of(language))
    harmless, rest = take_out(rest, (words for one in lists for words in one.harmless))
    no, rest = take_out(rest, (words for one in lists for words in (*one.no, *one.recording_no)))
    yes, rest = take_out(rest, (words for one in lists for words in (*one.yes, *one.recording_yes)))
    yes = yes or harmless
    if no and yes:
        return None
    if no:
        return False
    filling = {plain(word) for one in lists for word in one.recording_filling}
    others = [word for word in rest.split() if word not in filling]
    return True if yes and len(others) <= _MOST_OTHER_WORDS else None
