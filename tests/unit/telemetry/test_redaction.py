"""What is taken out of texts, over a corpus of what people say on the telephone: nothing is missed."""

import random
import re
import sys
import time
from pathlib import Path

import pytest

from telemetry.redaction import Kind, checksums, find_spans, redact, redact_all

HERE = Path(__file__).parent
POSITIVES = [line.split("\t", 1) for line in (HERE / "redaction_positives.txt").read_text("utf-8").splitlines()]
"""Kind, and a line in which < and > stand around what has to go."""
HARMLESS = (HERE / "redaction_harmless.txt").read_text("utf-8").splitlines()
MOST_FALSE = 0.02
MOST_MS_A_LINE = 0.5


def tell(*lines: str) -> None:
    """Print it, whether or not the test passes: shown by pytest -s, and kept in its report."""
    sys.stdout.write("\n  ".join(lines) + "\n")


def plain(text: str) -> str:
    return text.replace("<", "").replace(">", "")


def test_the_corpus_is_large_and_has_every_kind() -> None:
    assert len(POSITIVES) >= 200
    assert len(HARMLESS) >= 150
    counts = {kind: sum(of == kind for of, _ in POSITIVES) for kind in Kind}
    assert min(counts.values()) >= 30, counts


def test_nothing_is_missed() -> None:
    wrong: list[str] = []
    for kind, text in POSITIVES:
        expected = re.sub(r"<[^>]*>", Kind(kind).placeholder, text)
        if (found := redact(plain(text))) != expected:
            wrong.append(f"{text} became {found}")
    tell(f"{len(POSITIVES) - len(wrong)} of {len(POSITIVES)} found")
    assert wrong == []


def test_little_else_goes() -> None:
    changed = [f"{text} became {found}" for text in HARMLESS if (found := redact(text)) != text]
    rate = len(changed) / len(HARMLESS)
    tell(f"false positives: {len(changed)} of {len(HARMLESS)} harmless lines, {rate:.1%}", *changed)
    assert rate <= MOST_FALSE


def test_a_line_takes_half_a_millisecond_at_most() -> None:
    lines = [*HARMLESS, *(plain(text) for _, text in POSITIVES)]
    for line in lines:
        redact(line)
    began = time.process_time()
    for line in lines:
        redact(line)
    took_ms = (time.process_time() - began) * 1000 / len(lines)
    tell(f"{took_ms:.3f} ms of CPU time for a line")
    assert took_ms <= MOST_MS_A_LINE


def test_redacted_text_stays_as_it_is() -> None:
    for _, text in POSITIVES:
        once = redact(plain(text))
        assert redact(once) == once


def test_only_the_kinds_that_are_asked_for_go() -> None:
    text = "4111 1111 1111 1111, +15551230199, jane@example.com, 219-09-9999"
    assert redact(text, {Kind.EMAIL}) == "4111 1111 1111 1111, +15551230199, [email], 219-09-9999"
    assert redact(text, {Kind.CARD, Kind.NATIONAL_ID}) == "[card], +15551230199, jane@example.com, [national id]"
    assert redact(text, ()) == text
    assert redact(text) == "[card], [phone], [email], [national id]"


def test_texts_inside_of_json_go_too() -> None:
    value = {"a": ["call +15551230199", 5551230199, None], "b": {"c": "4111111111111111", "d": True}}
    assert redact_all(value) == {"a": ["call [phone]", 5551230199, None], "b": {"c": "[card]", "d": True}}


@pytest.mark.parametrize(
    ("is_valid", "good"),
    [
        (checksums.is_card, "4111111111111111"),
        (checksums.is_steuer_id, "97041569232"),
        (checksums.is_nir, "101028404367367"),
        (checksums.is_bsn, "571603725"),
        (checksums.is_dni, "03805886F"),
        (checksums.is_codice_fiscale, "RSSMRA85M01H501Q"),
        (checksums.is_iban, "DE89370400440532013000"),
        (checksums.is_pesel, "82041982947"),
        (checksums.is_belgian, "88041382115"),
        (checksums.is_cpf, "23336943191"),
        (checksums.is_ahv, "7561067237585"),
        (checksums.is_personnummer, "8208119191"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_checksum_notices_every_wrong_last_character(is_valid: object, good: str) -> None:
    assert callable(is_valid)
    assert is_valid(good)
    others = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if good[-1].isalpha() else "0123456789"
    assert [last for last in others if is_valid(good[:-1] + last)] == [good[-1]]


def test_any_text_gives_spans_in_order_without_an_error() -> None:
    chance = random.Random(5)
    words = [
        *"0123456789abDE@.-+() ",
        "double",
        "vingt",
        "quatre",
        "dot",
        "at",
        "plus",
        "hundred",
        "\x00",
        "\ud800",
        "٣",
    ]
    for _ in range(400):
        text = " ".join(chance.choices(words, k=chance.randint(0, 40)))
        spans = find_spans(text)
        assert all(before.end <= after.start for before, after in zip(spans, spans[1:], strict=False)), text
        assert all(0 <= span.start < span.end <= len(text) for span in spans)
