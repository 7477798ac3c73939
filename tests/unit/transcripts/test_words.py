"""Which words a text has, and what is kept of them."""

import pytest

from transcripts.words import HASH_BYTES, hashes_of, word_hash, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, HELLO hello!", {"hello"}),
        ("book booked", {"book", "booked"}),
        ("Don\u2019t 'quote' O'Brien", {"don't", "quote", "o'brien"}),
        ("Stra\u00dfe STRASSE", {"strasse"}),
        ("\ufb01ne \uff21\uff22", {"fine", "ab"}),
        ("caf\u00e9 cafe\u0301", {"caf\u00e9"}),
        ("\u0928\u092e\u0938\u094d\u0924\u0947", {"\u0928\u092e\u0938\u094d\u0924\u0947"}),
        ("half-past 9:30, snake_case", {"half", "past", "9", "30", "snake", "case"}),
        ("my card is [card] and [phone number]", {"my", "card", "is", "and"}),
        ("x" * 65, set[str]()),
        ("... -- ' \x00 \ud800", set[str]()),
    ],
)
def test_words_are_whole_folded_and_each_there_once(text: str, words: set[str]) -> None:
    assert words_of(text) == words


def test_a_hash_is_short_and_of_its_key() -> None:
    hashes = hashes_of(b"k" * 32, ["one two", "two three"])
    assert {len(each) for each in hashes} == {HASH_BYTES}
    assert len(hashes) == 3
    assert word_hash(b"k" * 32, "two") in hashes
    assert word_hash(b"l" * 32, "two") not in hashes
