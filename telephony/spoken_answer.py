"""What a person's reply to a yes-or-no question means: a key, or the words that Twilio recognized."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

_SURE_ENOUGH = 0.35
"""Twilio's confidence in what it recognized; below it the question is asked again."""

YES_KEY, NO_KEY = "1", "2"

# Longer phrases go first: "no problem" is a yes, and "not now" is a no.
_YES: Mapping[str, Sequence[str]] = {
    "en": ("no problem", "yes", "yeah", "yep", "yup", "sure", "okay", "ok", "of course", "accept", "put them through",
           "put him through", "put her through", "go ahead", "connect"),
    "de": ("kein problem", "ja", "jawohl", "jo", "gerne", "gern", "klar", "okay", "ok", "natürlich", "annehmen",
           "verbinden", "durchstellen", "einverstanden"),
    "es": ("sin problema", "sí", "claro", "vale", "de acuerdo", "okay", "ok", "por supuesto", "acepto", "adelante",
           "páselo", "pásela"),
    "fr": ("pas de problème", "oui", "ouais", "d'accord", "bien sûr", "volontiers", "okay", "ok", "j'accepte",
           "allez-y", "passez"),
}  # fmt: skip
_NO: Mapping[str, Sequence[str]] = {
    "en": ("not now", "no", "nope", "nah", "decline", "refuse", "reject", "busy", "later", "can't", "cannot"),
    "de": ("jetzt nicht", "nein", "nee", "nö", "ablehnen", "nicht", "später", "keine zeit", "geht nicht"),
    "es": ("ahora no", "no", "rechazar", "rechazo", "más tarde", "luego", "no puedo", "ocupado", "ocupada"),
    "fr": ("pas maintenant", "non", "refuser", "refuse", "plus tard", "occupé", "occupée", "je ne peux pas"),
}  # fmt: skip


def hints(language: str) -> str:
    """Return what Twilio's recognizer is told to expect in this language, comma-separated."""
    return ", ".join((*_known(_YES, language), *_known(_NO, language)))


def is_yes(digits: str, words: str, confidence: float | None, language: str) -> bool | None:
    """Return whether the reply is a yes; None when it is neither clearly that nor a no.

    `digits` are keys, `words` what was recognized with `confidence` (0 to 1, None: not told); one of them is empty.
    """
    if digits:
        return {YES_KEY: True, NO_KEY: False}.get(digits[0])
    if confidence is not None and 0.0 < confidence < _SURE_ENOUGH:
        return None
    said = _plain(words)
    has_yes, said = _find_out(said, _known(_YES, language))
    has_no, _ = _find_out(said, _known(_NO, language))
    return None if has_yes == has_no else has_yes


def _find_out(said: str, phrases: Sequence[str]) -> tuple[bool, str]:
    """Return whether one of the phrases is in what was said, and the rest without them."""
    found = False
    for phrase in phrases:
        said, count = re.subn(rf"\b{re.escape(_plain(phrase))}\b", " ", said)
        found = found or count > 0
    return found, said


def _known(words: Mapping[str, Sequence[str]], language: str) -> Sequence[str]:
    return words.get(language.split("-", 1)[0].lower(), words["en"])


def _plain(text: str) -> str:
    """Lower case, without accents: a recognizer may write sí as si. Without punctuation but for apostrophes."""
    bare = "".join(sign for sign in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(sign))
    return re.sub(r"[^\w']+", " ", bare.replace("\u2019", "'")).strip()
