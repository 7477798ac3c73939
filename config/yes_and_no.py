"""The words of a yes and a no by language, and finding them in what somebody said. Pure.

Two questions are answered by them: may the call be recorded, and do you take this call. What only answers one of them
stands apart: who says "later" does not take a call, and has said nothing about a recording.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from config.phrases import primary_language


@dataclass(frozen=True, slots=True)
class YesAndNo:
    """One language.

    Attributes:
        yes: To whatever was asked.
        harmless: Yeses that sound like a no, and have to be looked for first.
        no: To whatever was asked.
        recording_yes: To the question whether the call may be recorded.
        recording_no: The same.
        recording_filling: May stand beside a yes to that, and changes nothing.
        call_yes: To the question whether somebody takes a call.
        call_no: The same.
    """

    yes: tuple[str, ...]
    harmless: tuple[str, ...]
    no: tuple[str, ...]
    recording_yes: tuple[str, ...]
    recording_no: tuple[str, ...]
    recording_filling: tuple[str, ...]
    call_yes: tuple[str, ...]
    call_no: tuple[str, ...]


BY_LANGUAGE: Mapping[str, YesAndNo] = {
    "en": YesAndNo(
        yes=(
            "yes", "yeah", "yep", "yup", "sure", "okay", "ok", "of course", "certainly", "absolutely", "go ahead",
            "by all means", "all right", "alright",
        ),
        harmless=(
            "no problem", "not a problem", "i don't mind", "i do not mind", "don't mind", "no objection",
            "no objections", "why not",
        ),
        no=("no", "nope", "nah", "not", "can't", "cannot", "refuse", "decline"),
        recording_yes=(
            "yes sir", "yes ma'am", "fine", "i agree", "agreed", "i consent", "you may", "you can", "please do",
        ),
        recording_no=("never", "don't", "do not", "dont", "won't", "rather you", "disagree", "without"),
        recording_filling=(
            "please", "thanks", "thank", "you", "that's", "that", "is", "it's", "it", "with", "me", "by", "i", "am",
            "do", "this", "the", "call", "record", "recording", "recorded", "may", "can", "to", "be", "we", "oh", "um",
            "uh", "well", "just", "yes", "a", "good", "right", "would", "say", "so", "very", "much", "guess", "think",
        ),
        call_yes=("accept", "put them through", "put him through", "put her through", "connect"),
        call_no=("not now", "reject", "busy", "later"),
    ),
    "de": YesAndNo(
        yes=(
            "ja", "jo", "jawohl", "gern", "gerne", "natürlich", "klar", "sicher", "okay", "ok", "in ordnung",
            "einverstanden", "selbstverständlich",
        ),
        harmless=("kein problem", "nichts dagegen", "warum nicht", "macht nichts"),
        no=("nein", "nee", "nö", "nicht"),
        recording_yes=("meinetwegen", "von mir aus", "dürfen sie", "können sie", "machen sie", "ich stimme zu"),
        recording_no=("nie", "niemals", "kein", "keine", "keinen", "ohne", "lieber"),
        recording_filling=(
            "bitte", "danke", "das", "ist", "für", "mich", "ich", "bin", "damit", "sie", "mir", "es", "gut", "geht",
            "ja", "also", "äh", "ähm", "doch", "schon", "gespräch", "aufzeichnen", "aufnehmen", "dieses", "ruhig", "so",
            "sehr", "kann", "man", "machen", "tun",
        ),
        call_yes=("annehmen", "verbinden", "durchstellen"),
        call_no=("jetzt nicht", "ablehnen", "später", "keine zeit", "geht nicht"),
    ),
    "es": YesAndNo(
        yes=(
            "sí", "claro", "vale", "por supuesto", "de acuerdo", "adelante", "está bien", "desde luego", "ok", "okay",
            "acepto",
        ),
        harmless=("no hay problema", "sin problema", "no me importa", "por qué no", "cómo no"),
        no=("no",),
        recording_yes=("bueno", "pueden", "puede"),
        recording_no=("nunca", "jamás", "tampoco", "sin", "prefiero"),
        recording_filling=(
            "por", "favor", "gracias", "que", "está", "bien", "me", "parece", "grabar", "grabe", "graben", "la",
            "llamada", "esta", "lo", "muy", "pues", "eh", "estoy", "yo", "se",
        ),
        call_yes=("páselo", "pásela"),
        call_no=("ahora no", "rechazar", "rechazo", "más tarde", "luego", "no puedo", "ocupado", "ocupada"),
    ),
    "fr": YesAndNo(
        yes=(
            "oui", "ouais", "d'accord", "bien sûr", "certainement", "volontiers", "allez-y", "ok", "okay", "absolument",
            "j'accepte", "entendu", "ça marche",
        ),
        harmless=("pas de problème", "pas de souci", "aucun problème", "pourquoi pas", "sans problème"),
        no=("non", "pas", "refuse"),
        recording_yes=("vous pouvez",),
        recording_no=("jamais", "ne", "sans", "aucun", "aucune"),
        recording_filling=(
            "s'il", "vous", "plaît", "plait", "merci", "c'est", "bon", "bien", "je", "suis", "le", "l'appel", "appel",
            "cet", "enregistrer", "enregistrez", "euh", "tout", "à", "fait", "ça", "me", "va", "très", "y",
        ),
        call_yes=("passez",),
        call_no=("pas maintenant", "refuser", "plus tard", "occupé", "occupée", "je ne peux pas"),
    ),
}  # fmt: skip


def words_of(language: str) -> YesAndNo:
    """Return the words of a language (a BCP 47 code); the English ones of one that is not known."""
    return BY_LANGUAGE.get(primary_language(language), BY_LANGUAGE["en"])


def plain(text: str) -> str:
    """Lower case, one space between words, no punctuation but apostrophes, no accents: a recognizer may write si."""
    bare = unicodedata.normalize("NFKD", text.casefold().replace("\u2019", "'"))
    bare = "".join(letter for letter in bare if not unicodedata.combining(letter))
    return " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", bare))


def take_out(said: str, phrases: Iterable[str]) -> tuple[bool, str]:
    """Take phrases out of a plain text, the longest first; returns whether any was in it, and what is left."""
    found, rest = False, f" {said} "
    for phrase in sorted({plain(phrase) for phrase in phrases} - {""}, key=len, reverse=True):
        while f" {phrase} " in rest:
            found, rest = True, rest.replace(f" {phrase} ", " ", 1)
    return found, rest.strip()
