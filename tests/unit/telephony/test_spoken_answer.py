"""What a person's reply to a yes-or-no question is taken for."""

import pytest

from telephony.spoken_answer import hints, is_yes

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("digits", "words", "language", "meaning"),
    [
        ("1", "", "en-US", True),
        ("2", "", "en-US", False),
        ("7", "", "en-US", None),
        ("", "Yes.", "en-US", True),
        ("", "Yeah, sure, put them through", "en-GB", True),
        ("", "No problem!", "en-US", True),
        ("", "not now", "en-US", False),
        ("", "No, I'm busy.", "en-US", False),
        ("", "yes no", "en-US", None),
        ("", "I know", "en-US", None),
        ("", "yesterday", "en-US", None),
        ("", "what is it about", "en-US", None),
        ("", "", "en-US", None),
        ("", "Ja, gerne", "de-DE", True),
        ("", "Nein, jetzt nicht", "de", False),
        ("", "si", "es-ES", True),
        ("", "Sí, claro", "es-MX", True),
        ("", "ahora no", "es-ES", False),
        ("", "oui d’accord", "fr-FR", True),
        ("", "pas de problème", "fr-FR", True),
        ("", "pas maintenant", "fr-FR", False),
        ("", "yes", "pt-BR", True),
        ("", "Why not", "en-US", True),
        ("", "Of course not!", "en-US", None),
        ("", "I am not sure", "en-US", None),
        ("", "Certainly", "en-GB", True),
        ("", "later", "en-US", False),
        ("", "Desde luego", "es-ES", True),
        ("", "Warum nicht", "de-DE", True),
    ],
)
def test_keys_and_words(digits: str, words: str, language: str, meaning: bool | None) -> None:
    assert is_yes(digits, words, None if digits else 0.9, language) is meaning


def test_words_that_were_hardly_understood_are_asked_for_again() -> None:
    assert is_yes("", "yes", 0.2, "en-US") is None
    assert is_yes("", "yes", 0.0, "en-US") is True, "some recognizers give none, and Twilio sends 0"


def test_the_recognizer_is_told_the_words_of_the_language() -> None:
    assert "oui" in hints("fr-FR").split(", ")
    assert "nein" in hints("de").split(", ")
    assert "yes" in hints("tr-TR").split(", ")
