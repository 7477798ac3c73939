"""Whether words are a yes or a no, by lists of words: for an answer that no model has judged, or to doubt one that has.

Pure. What is neither, or both, is nothing: whoever asks then asks again.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from config.phrases import primary_language


@dataclass(frozen=True, slots=True)
class _Words:
    """`harmless` are yeses that sound like a no. `filling` may stand beside a yes and changes nothing."""

    yes: tuple[str, ...]
    no: tuple[str, ...]
    harmless: tuple[str, ...]
    filling: tuple[str, ...]


_BY_LANGUAGE: Mapping[str, _Words] = {
    "en": _Words(
        yes=(
            "yes", "yeah", "yep", "yup", "yes sir", "yes ma'am", "sure", "okay", "ok", "of course", "certainly",
            "absolutely", "go ahead", "fine", "i agree", "agreed", "i consent", "you may", "you can", "please do",
            "by all means", "all right", "alright",
        ),
        no=(
            "no", "nope", "nah", "not", "never", "don't", "do not", "dont", "won't", "can't", "cannot", "rather you",
            "refuse", "decline", "disagree", "without",
        ),
        harmless=(
            "no problem", "not a problem", "i don't mind", "i do not mind", "don't mind", "no objection",
            "no objections", "why not",
        ),
        filling=(
            "please", "thanks", "thank", "you", "that's", "that", "is", "it's", "it", "with", "me", "by", "i", "am",
            "do", "this", "the", "call", "record", "recording", "recorded", "may", "can", "to", "be", "we", "oh", "um",
            "uh", "well", "just", "yes", "a", "good", "right", "would", "say", "so", "very", "much", "guess", "think",
        ),
    ),
    "de": _Words(
        yes=(
            "ja", "jo", "jawohl", "gern", "gerne", "natürlich", "klar", "sicher", "okay", "ok", "in ordnung",
            "einverstanden", "selbstverständlich", "meinetwegen", "von mir aus", "dürfen sie", "können sie",
            "machen sie", "ich stimme zu",
        ),
        no=("nein", "nee", "nö", "nicht", "nie", "niemals", "kein", "keine", "keinen", "ohne", "lieber"),
        harmless=("kein problem", "nichts dagegen", "warum nicht", "macht nichts"),
        filling=(
            "bitte", "danke", "das", "ist", "für", "mich", "ich", "bin", "damit", "sie", "mir", "es", "gut", "geht",
            "ja", "also", "äh", "ähm", "doch", "schon", "gespräch", "aufzeichnen", "aufnehmen", "dieses", "ruhig", "so",
            "sehr", "kann", "man", "machen", "tun",
        ),
    ),
    "es": _Words(
        yes=(
            "sí", "si", "claro", "vale", "bueno", "por supuesto", "de acuerdo", "adelante", "está bien", "desde luego",
            "cómo no", "ok", "okay", "pueden", "puede", "acepto",
        ),
        no=("no", "nunca", "jamás", "tampoco", "sin", "prefiero"),
        harmless=("no hay problema", "sin problema", "no me importa", "por qué no", "cómo no"),
        filling=(
            "por", "favor", "gracias", "que", "está", "bien", "me", "parece", "grabar", "grabe", "graben", "la",
            "llamada", "esta", "lo", "muy", "pues", "eh", "estoy", "yo", "se",
        ),
    ),
    "fr": _Words(
        yes=(
            "oui", "ouais", "d'accord", "bien sûr", "certainement", "volontiers", "allez-y", "allez y", "ok", "okay",
            "vous pouvez", "absolument", "j'accepte", "entendu", "ça marche",
        ),
        no=("non", "pas", "jamais", "ne", "sans", "refuse", "aucun", "aucune"),
        harmless=("pas de problème", "pas de souci", "aucun problème", "pourquoi pas", "sans problème"),
        filling=(
            "s'il", "vous", "plaît", "plait", "merci", "c'est", "bon", "bien", "je", "suis", "le", "l'appel", "appel",
            "cet", "enregistrer", "enregistrez", "euh", "tout", "à", "fait", "ça", "me", "va", "très", "y",
        ),
    ),
}  # fmt: skip
_MOST_OTHER_WORDS = 2
"""Beside a yes; who says more than that may be talking about something else."""


def judge_answer(text: str, language: str, yes_words: Iterable[str] = (), no_words: Iterable[str] = ()) -> bool | None:
    """Return True for a yes, False for a no, None for neither. `language` is a BCP 47 code; English always counts too.

    `yes_words` and `no_words` are the agent's own, and go before the lists.
    """
    rest = f" {_plain(text)} "
    own_yes, rest = _take(rest, yes_words)
    own_no, rest = _take(rest, no_words)
    if own_yes != own_no:
        return own_yes
    lists = [_BY_LANGUAGE["en"]]
    if (primary := primary_language(language)) in _BY_LANGUAGE and primary != "en":
        lists.append(_BY_LANGUAGE[primary])
    harmless, rest = _take(rest, (words for one in lists for words in one.harmless))
    no, rest = _take(rest, (words for one in lists for words in one.no))
    yes, rest = _take(rest, (words for one in lists for words in one.yes))
    yes = yes or harmless
    if no and yes:
        return None
    if no:
        return False
    filling = {_plain(word) for one in lists for word in one.filling}
    others = [word for word in rest.split() if word not in filling]
    return True if yes and len(others) <= _MOST_OTHER_WORDS else None


def _take(rest: str, phrases: Iterable[str]) -> tuple[bool, str]:
    """Take phrases out of a text, the longest first; returns whether any was in it, and what is left."""
    found = False
    for phrase in sorted({_plain(phrase) for phrase in phrases} - {""}, key=len, reverse=True):
        while f" {phrase} " in rest:
            found, rest = True, rest.replace(f" {phrase} ", " ", 1)
    return found, rest


def _plain(text: str) -> str:
    """Lower case, one space between words, no punctuation but apostrophes, no accents."""
    bare = unicodedata.normalize("NFKD", text.casefold().replace("\u2019", "'"))
    bare = "".join(letter for letter in bare if not unicodedata.combining(letter))
    return " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", bare))
