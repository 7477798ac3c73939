"""What a person's reply means who was asked whether they take a call: a key, or the words that Twilio recognized."""

from config.yes_and_no import plain, take_out, words_of

_SURE_ENOUGH = 0.35
"""Twilio's confidence in what it recognized; below it the question is asked again."""

YES_KEY, NO_KEY = "1", "2"


def hints(language: str) -> str:
    """Return what Twilio's recognizer is told to expect in this language, comma-separated."""
    words = words_of(language)
    return ", ".join((*words.harmless, *words.yes, *words.call_yes, *words.call_no, *words.no))


def is_yes(digits: str, words: str, confidence: float | None, language: str) -> bool | None:
    """Return whether the reply is a yes; None when it is neither clearly that nor a no.

    `digits` are keys, `words` what was recognized with `confidence` (0 to 1, None: not told); one of them is empty.
    """
    if digits:
        return {YES_KEY: True, NO_KEY: False}.get(digits[0])
    if confidence is not None and 0.0 < confidence < _SURE_ENOUGH:
        return None
    known = words_of(language)
    has_yes, rest = take_out(plain(words), (*known.harmless, *known.yes, *known.call_yes))
    has_no, _ = take_out(rest, (*known.no, *known.call_no))
    return None if has_yes == has_no else has_yes
