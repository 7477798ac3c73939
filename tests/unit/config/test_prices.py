"""The price table: what is shipped, and what a wrong one is told."""

from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from config.prices import PriceErrors, Sourced, load_prices

UNITS = {
    "twilio_incoming_call": "started minute",
    "twilio_outgoing_call": "started minute",
    "twilio_media_stream": "started minute",
    "gemini_audio_in": "million tokens",
    "gemini_audio_out": "million tokens",
    "gemini_text_in": "million tokens",
    "core": "hour",
    "gemini_text_out": "million tokens",
    "gemini_text_model_in": "million tokens",
    "gemini_text_model_out": "million tokens",
    "gemini_text_model_cached": "million tokens",
    "twilio_conference": "started minute",
    "twilio_machine_detection": "call",
    "twilio_message": "segment",
}
FACTS = (
    "gemini_audio_tokens_per_sec",
    "gemini_sessions_per_project",
    "gemini_tokens_per_minute",
    "twilio_outgoing_calls_per_sec",
)


def make_table() -> str:
    """A right table: price number N is N dollars, of day N of January, and entry number N begins in line 5 * N - 3."""
    text = "prices:\n"
    for number, (name, unit) in enumerate(UNITS.items(), 1):
        text += f"  {name}:\n    usd: {number}\n    per: {unit}\n    date: 2026-01-{number:02}\n"
        text += f"    source: https://example.com/{number}\n"
    text += "facts:\n"
    for number, name in enumerate(FACTS, 1):
        text += f"  {name}:\n    value: 10{number}\n    date: 2026-02-{number:02}\n    source: https://example.org/\n"
    return text


TABLE = make_table()


def errors_of(file: Path, text: str) -> list[str]:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PriceErrors) as caught:
        load_prices(file)
    return [line.removeprefix(f"{file}: ") for line in str(caught.value).splitlines()]


def test_every_shipped_price_has_its_page_and_the_table_knows_its_oldest() -> None:
    table = load_prices()
    entries = [entry for section in (table.prices, table.facts) for _, entry in section]
    assert all(isinstance(entry, Sourced) for entry in entries)
    assert all(entry.source.scheme == "https" and entry.note for entry in entries)
    assert table.oldest == min(price.date for _, price in table.prices)
    assert table.oldest > date(2026, 1, 1)
    with pytest.raises(ValidationError, match="frozen"):
        table.prices.core.usd = 1.0


def test_a_table_is_read_as_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(TABLE, encoding="utf-8")
    table = load_prices(file)
    assert [price.usd for _, price in table.prices] == list(range(1, 15))
    assert table.oldest == date(2026, 1, 1)
    assert table.facts.twilio_outgoing_calls_per_sec.value == 104


@pytest.mark.parametrize(
    ("find", "put", "error"),
    [
        ("usd: 4", "usd: -3", "line 18: prices.gemini_audio_in.usd: must be >= 0 (got -3)"),
        ("usd: 4", "usd: free", "line 18: prices.gemini_audio_in.usd: must be a number (got 'free')"),
        ("usd: 4", "usd: 1e999", "line 18: prices.gemini_audio_in.usd: must be a number (got inf)"),
        ("per: hour", "per: month", "line 34: prices.core.per: must be 'hour' (got 'month')"),
        ("value: 101", "value: 0", "line 74: facts.gemini_audio_tokens_per_sec.value: must be > 0 (got 0)"),
        ("2026-01-07", "April", "line 35: prices.core.date: must be a date (got 'April'); write it as 2026-09-18"),
        ("2026-01-07", "2026-02-30", "line 35: prices.core.date: must be a date (got '2026-02-30'); write it as"),
        ("https://example.com/7", "aws", "line 36: prices.core.source: must be a whole URL such as https://example"),
        ("    usd: 7\n", "", "line 32: prices.core.usd: is missing; add it"),
        ("usd: 7\n", "usd: 7\n    usd: 8\n", "prices.core.usd: is given twice (lines 33 and 34); keep one of them"),
        ("prices:\n", "prices:\n\ta: 1\n", "is not YAML at line 2, column 1 (found character"),
    ],
)
def test_a_wrong_value_is_named_with_its_line_and_its_cure(tmp_path: Path, find: str, put: str, error: str) -> None:
    assert TABLE.count(find) == 1
    [line] = errors_of(tmp_path / "prices.yaml", TABLE.replace(find, put))
    assert line.startswith(error)


def test_a_wrong_name_is_told_the_nearest_and_every_problem_at_once(tmp_path: Path) -> None:
    text = TABLE.replace("gemini_text_in:", "gemini_text:").replace("usd: 5", "euro: 5")
    assert errors_of(tmp_path / "prices.yaml", text) == [
        "line 22: prices.gemini_audio_out.usd: is missing; add it",
        "line 23: prices.gemini_audio_out.euro: unknown name; names are date, note, per, source, usd.",
        "line 1: prices.gemini_text_in: is missing; add it",
        "line 27: prices.gemini_text: unknown name; did you mean 'gemini_text_in'?",
    ]


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("", ["prices: is missing; add it", "facts: is missing; add it"]),
        ("- 1", ["must be a mapping of names to values (got a list)"]),
        ("7", ["must be a mapping of names to values (got 7)"]),
        (
            "prices: 1\nfacts: 2",
            [
                "line 1: prices: must be a mapping of names to values (got 1)",
                "line 2: facts: must be a mapping of names to values (got 2)",
            ],
        ),
    ],
)
def test_a_file_that_is_no_table_at_all(tmp_path: Path, text: str, errors: list[str]) -> None:
    assert errors_of(tmp_path / "prices.yaml", text) == errors


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PriceErrors, match=r"nothing\.yaml: cannot be read .*; name a readable UTF-8 file"):
        load_prices(tmp_path / "nothing.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(PriceErrors, match=r"bytes\.yaml: cannot be read"):
        load_prices(tmp_path / "bytes.yaml")
