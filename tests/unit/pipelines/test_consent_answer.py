"""What is a yes: by words, by key, by what the model claims; and what is not, whatever the model claims."""

import pytest

from pipelines.consent_answer import Asking, Verdict
from pipelines.consent_words import judge_answer


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en-US", "Yes, please.", True),
        ("en-US", " Yeah , that's fine with me", True),
        ("en-GB", "No problem!", True),
        ("en-US", "I don't mind.", True),
        ("en-US", "No, thanks.", False),
        ("en-US", "I'd rather you didn't, please don\u2019t record this.", False),
        ("en-US", "Yes, but do not record me.", None),
        ("en-US", "Hello? Who is speaking?", None),
        ("en-US", "Yes hello this is Alex Morgan from the bank across the street", None),
        ("en-US", "", None),
        ("de-DE", "Ja, gerne.", True),
        ("de-DE", "Kein Problem, machen Sie ruhig.", True),
        ("de-AT", "Nein, lieber nicht.", False),
        ("de-DE", "Natürlich", True),
        ("de-DE", "Yes.", True),
        ("es-ES", "Sí, claro.", True),
        ("es-MX", "No, gracias.", False),
        ("es-ES", "No hay problema", True),
        ("fr-FR", "Oui, d'accord.", True),
        ("fr-FR", "Non merci.", False),
        ("fr-FR", "Pas de problème, allez-y.", True),
        ("ja-JP", "Okay", True),
        ("en-US", "Later.", None),
        ("en-US", "You can connect", True),
        ("ja-JP", "はい", None),
    ],
)
def test_words(language: str, text: str, expected: bool | None) -> None:
    assert judge_answer(text, language) is expected


def test_an_agents_own_words_go_first() -> None:
    assert judge_answer("はい、どうぞ", "ja-JP", ["はい"], ["いいえ"]) is True
    assert judge_answer("いいえ", "ja-JP", ["はい"], ["いいえ"]) is False
    assert judge_answer("Fire away!", "en-US", ["fire away"]) is True


class Talk:
    """One asking whose question was heard at 5 s, and the caller's voice."""

    def __init__(self, *, has_model: bool = True) -> None:
        self.asking = Asking(lambda text: judge_answer(text, "en-US"), silence_ms=6000, has_model=has_model)
        self.began: float | None = None
        self.stopped = 0.0
        self.asking.question_heard(5000)

    def speak(self, began: float, stopped: float) -> None:
        self.began, self.stopped = began, stopped

    def words(self, text: str, at: float) -> None:
        self.asking.words(text, at, self.began)

    def claim(self, answer: bool | None, at: float) -> None:
        self.asking.claim(answer, at, self.began)

    def at(self, now: float) -> Verdict | None:
        return self.asking.verdict(now, self.began, now - self.stopped)


def test_a_claim_and_the_words_for_it_are_a_yes_at_once() -> None:
    talk = Talk()
    talk.speak(6000, 6600)
    talk.words("Yes", 6700)
    assert talk.at(6800) is None
    talk.claim(True, 6900)
    assert talk.at(6900) is Verdict.YES


@pytest.mark.parametrize("heard", [Verdict.YES, Verdict.NO])
def test_words_that_are_clear_need_no_model(heard: Verdict) -> None:
    talk = Talk()
    talk.speak(6000, 6600)
    talk.words("Yes" if heard is Verdict.YES else "No", 6700)
    assert talk.at(7600) is None  # it may say that they mean something else
    assert talk.at(7800) is heard


def test_a_claim_before_the_caller_has_spoken_is_none() -> None:
    talk = Talk()
    talk.claim(True, 5500)
    assert talk.at(5600) is None
    assert talk.at(11_000) is Verdict.SILENCE
    talk.speak(6000, 6600)
    assert talk.at(7000) is None  # nor is it kept for later


def test_a_cough_that_the_model_takes_for_a_yes_is_none() -> None:
    talk = Talk()
    talk.speak(6000, 6300)
    talk.claim(True, 6500)
    assert talk.at(8000) is None
    assert talk.at(8600) is Verdict.UNCLEAR


def test_a_yes_with_which_somebody_takes_up_the_phone_is_none() -> None:
    talk = Talk()
    talk.speak(1000, 1500)
    talk.words("Yes?", 5200)
    talk.claim(True, 5300)
    assert talk.at(9000) is None
    assert talk.at(11_100) is Verdict.SILENCE


def test_an_answer_may_begin_over_the_last_word() -> None:
    talk = Talk()
    talk.speak(4500, 5200)
    talk.words("Sure", 5300)
    talk.claim(True, 5400)
    assert talk.at(5400) is Verdict.YES


@pytest.mark.parametrize(("words", "claim"), [("No, never!", True), ("Yes of course", False), ("Yes", None)])
def test_who_is_contradicted_is_asked_again(words: str, claim: bool | None) -> None:
    talk = Talk()
    talk.speak(6000, 6600)
    talk.words(words, 6700)
    talk.claim(claim, 6800)
    assert talk.at(6800) is Verdict.UNCLEAR


@pytest.mark.parametrize("claim", [True, False])
def test_what_the_lists_do_not_know_the_model_may_judge(claim: bool) -> None:
    talk = Talk()
    talk.speak(6000, 7000)
    talk.words("If it makes you happy", 7000)
    assert talk.at(7500) is None
    talk.claim(claim, 7600)
    assert talk.at(7600) is (Verdict.YES if claim else Verdict.NO)


@pytest.mark.parametrize(("has_model", "unclear_at"), [(True, 9500), (False, 8000)])
def test_what_nobody_understands_is_unclear(has_model: bool, unclear_at: float) -> None:
    talk = Talk(has_model=has_model)
    talk.speak(6000, 7000)
    talk.words("If it makes you happy", 7000)
    assert talk.at(unclear_at - 100) is None
    assert talk.at(unclear_at) is Verdict.UNCLEAR


def test_a_key_counts_at_any_time_and_the_first_one_stands() -> None:
    talk = Talk()
    talk.asking = Asking(lambda _text: None, silence_ms=6000, has_model=True)  # the question is still being said
    talk.asking.key(is_yes=False)
    talk.asking.key(is_yes=True)
    assert talk.at(1000) is Verdict.NO
    assert talk.asking.by_key


def test_noise_without_words_puts_silence_off_but_not_for_ever() -> None:
    talk = Talk()
    talk.speak(10_000, 10_500)
    assert talk.at(12_000) is None
    assert talk.at(16_600) is Verdict.SILENCE
    assert talk.asking.verdict(31_000, 10_000, None) is Verdict.SILENCE  # a television
