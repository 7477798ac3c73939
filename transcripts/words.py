"""The words of a text, as transcripts are searched by them. Pure.

A word is letters, digits and their marks, with an apostrophe inside it, without regard to case and to the form of its
characters (NFKC). Nothing is cut off its end: whoever looks for *book* does not find *booked*.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable

HASH_BYTES = 16
"""Two words share a hash of so many bytes once in 2^64 words."""
_LONGEST_WORD = 64
_REDACTED = re.compile(r"\[[a-z_ ]{1,40}\]")
"""What stands in a transcript in place of what must not be written down: no word of anybody's."""
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u02bc": "'"})


def words_of(text: str) -> set[str]:
    """Return every word of a text, each once; those longer than 64 characters are left out."""
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_APOSTROPHES)
    # Folding the case may take characters apart that belong together.
    plain = unicodedata.normalize("NFKC", _REDACTED.sub(" ", plain))
    parts = "".join(char if _belongs_to_a_word(char) else " " for char in plain).split()
    words = (part.strip("'") for part in parts)
    return {word for word in words if 0 < len(word) <= _LONGEST_WORD}


def word_hash(key: bytes, word: str) -> bytes:
    """Return a word's hash by the key of this purpose."""
    return hmac.digest(key, word.encode("utf-8", "surrogatepass"), hashlib.sha256)[:HASH_BYTES]


def hashes_of(key: bytes, texts: Iterable[str]) -> set[bytes]:
    """Return the hashes of every word in these texts."""
    words = {word for text in texts for word in words_of(text)}
    return {word_hash(key, word) for word in words}


def _belongs_to_a_word(char: str) -> bool:
    return char == "'" or char.isalnum() or unicodedata.category(char)[0] == "M"
