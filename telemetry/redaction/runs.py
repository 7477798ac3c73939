"""Digits that follow each other in a text, written or spoken: candidates for every kind of number."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from telemetry.redaction.numerals import FILLERS, LANGUAGES, WORDS, Language

_TOKEN = re.compile(r"\d+|[^\W\d_]+")
_GAP = re.compile(r"[\s\-‐‑–—.,;/()…*'\"]{0,5}")
_MOST_LANGUAGES = 2
_LEAST_DIGITS = 7


class Token(NamedTuple):
    """A word or a row of digits; `low` is the word in lower case."""

    start: int
    end: int
    low: str
    is_digits: bool


class Piece(NamedTuple):
    """Digits that belong together: a written row of them, or what one word or compound of words stands for."""

    start: int
    end: int
    digits: str
    is_spoken: bool


@dataclass(frozen=True)
class Run:
    """Pieces with nothing but blanks, punctuation and fillers between them. `has_plus`: a plus sign stands before."""

    pieces: Sequence[Piece]
    has_plus: bool

    @property
    def start(self) -> int:
        """Where its first digit is."""
        return self.pieces[0].start

    @property
    def end(self) -> int:
        """Where its last digit ends."""
        return self.pieces[-1].end

    @property
    def digits(self) -> str:
        """All of its digits."""
        return "".join(piece.digits for piece in self.pieces)

    @property
    def is_dictated(self) -> bool:
        """Whether somebody gave it digit by digit: most pieces are words or single digits."""
        single = sum(len(piece.digits) == 1 or piece.is_spoken for piece in self.pieces)
        return len(self.pieces) >= 4 and single * 3 >= len(self.pieces) * 2

    @property
    def is_counting(self) -> bool:
        """Whether it only counts up or down, as people do to try a line."""
        values = [int(piece.digits) for piece in self.pieces]
        steps = {after - before for before, after in zip(values, values[1:], strict=False)}
        return len(values) >= 3 and (steps == {1} or steps == {-1})

    def part(self, first: int, last: int) -> "Run":
        """Return the pieces [first, last); the plus sign belongs to the first."""
        return Run(self.pieces[first:last], self.has_plus and first == 0)


def tokens_of(text: str) -> list[Token]:
    """Return the words and rows of digits of a text, in order."""
    return [
        Token(found.start(), found.end(), found[0].lower(), found[0][0].isdecimal()) for found in _TOKEN.finditer(text)
    ]


def languages_of(tokens: Sequence[Token]) -> list[str]:
    """Return the languages whose words for numbers occur most, at most two; none when there are no such words."""
    counts: dict[str, int] = {}
    for token in tokens:
        for code in WORDS.get(token.low, ()) if token.low not in FILLERS else ():
            counts[code] = counts.get(code, 0) + 1
    return sorted(counts, key=lambda code: -counts[code])[:_MOST_LANGUAGES]


def find_runs(text: str, tokens: Sequence[Token], code: str | None, shut: Sequence[tuple[int, int]]) -> Iterator[Run]:
    """Yield the runs of a text that have seven digits or more.

    Args:
        text: the whole text.
        tokens: its tokens.
        code: whose words count, as in `LANGUAGES`; None: only written digits do.
        shut: parts of the text [start, end) whose digits belong to something else, in order.
    """
    language = LANGUAGES[code] if code is not None else None
    pieces: list[Piece] = []
    has_plus = False
    position = 0
    while position < len(tokens):
        token = tokens[position]
        piece, used = piece_at(text, tokens, position, language)
        if piece is not None and _is_shut(piece, shut):
            piece, used = None, 1
            yield from _whole(pieces, has_plus)
            pieces = []
        elif piece is not None:
            if pieces and not _joined(text, tokens, position, pieces[-1].end):
                yield from _whole(pieces, has_plus)
                pieces = []
            if not pieces:
                has_plus = _has_plus(text, tokens, position)
            pieces.append(piece)
        elif pieces and token.low not in FILLERS:
            yield from _whole(pieces, has_plus)
            pieces = []
        position += used
    yield from _whole(pieces, has_plus)


def _whole(pieces: list[Piece], has_plus: bool) -> Iterator[Run]:
    if pieces and sum(len(piece.digits) for piece in pieces) >= _LEAST_DIGITS:
        yield Run(tuple(pieces), has_plus)


def _is_shut(piece: Piece, shut: Sequence[tuple[int, int]]) -> bool:
    return any(start < piece.end and piece.start < end for start, end in shut)


def _joined(text: str, tokens: Sequence[Token], position: int, end: int) -> bool:
    """Whether between an earlier piece's end and this token there is nothing but blanks, marks and fillers."""
    before = position - 1
    start = tokens[position].start
    while True:
        if before < 0 or tokens[before].end <= end:
            return _GAP.fullmatch(text, end, start) is not None
        if tokens[before].low not in FILLERS or not _GAP.fullmatch(text, tokens[before].end, start):
            return False
        start = tokens[before].start
        before -= 1


def _has_plus(text: str, tokens: Sequence[Token], position: int) -> bool:
    before = text[max(0, tokens[position].start - 6) : tokens[position].start].rstrip(" (")
    if before.endswith("+"):
        return not before[:-1][-1:].isalnum()
    return position > 0 and tokens[position - 1].low in ("plus", "più", "mais")


def piece_at(text: str, tokens: Sequence[Token], position: int, language: Language | None) -> tuple[Piece | None, int]:
    """Return the piece that begins with this token, if one does, and how many tokens it takes."""
    token = tokens[position]
    if token.is_digits:
        glued_before = token.start > 0 and (text[token.start - 1].isalpha() or text[token.start - 1] == "_")
        glued_after = token.end < len(text) and (text[token.end].isalpha() or text[token.end] == "_")
        if glued_before or glued_after or not token.low.isascii():
            return None, 1
        return Piece(token.start, token.end, token.low, False), 1
    if language is None:
        return None, 1
    if token.low in language.times:
        inner, used = piece_at(text, tokens, position + 1, language) if position + 1 < len(tokens) else (None, 1)
        if inner is not None and len(inner.digits) == 1:
            return Piece(token.start, inner.end, inner.digits * language.times[token.low], True), used + 1
        return None, 1
    return _spoken(tokens, position, language)


def _spoken(tokens: Sequence[Token], position: int, language: Language) -> tuple[Piece | None, int]:
    def low(offset: int) -> str:
        return tokens[position + offset].low if position + offset < len(tokens) else ""

    word, start = low(0), tokens[position].start

    def made(value: int | str, used: int) -> tuple[Piece, int]:
        return Piece(start, tokens[position + used - 1].end, str(value), True), used

    if word in language.ones:
        one = language.ones[word]
        if low(1) in language.hundreds and one:
            return made(f"{one}00", 2)
        if language.adds_teens and one == 4 and low(1) in ("vingt", "vingts"):
            return _added(made, 80, 2, low, language, with_teens=True)
        return made(one, 1)
    if word in language.teens:
        value = language.teens[word]
        if language.adds_teens and value == 10 and language.ones.get(low(1), 0) in (7, 8, 9):
            return made(10 + language.ones[low(1)], 2)
        return made(value, 1)
    if word in language.tens:
        value = language.tens[word]
        return _added(made, value, 1, low, language, with_teens=language.adds_teens and value == 60)
    if word in language.hundreds:
        return made(100, 1)
    return None, 1


def _added(
    made: Callable[[int, int], tuple[Piece, int]],
    value: int,
    used: int,
    low: Callable[[int], str],
    language: Language,
    *,
    with_teens: bool,
) -> tuple[Piece, int]:
    """Add what may follow a word for tens: a one, in French also a teen, with or without a conjunction."""
    joint = 1 if low(used) == language.conjunction else 0
    after = low(used + joint)
    if with_teens and language.teens.get(after, 0) >= 10:
        low_value, extra = language.teens[after], 1
        if low_value == 10 and language.ones.get(low(used + joint + 1), 0) in (7, 8, 9):
            low_value, extra = 10 + language.ones[low(used + joint + 1)], 2
        return made(value + low_value, used + joint + extra)
    if after in language.ones and language.ones[after]:
        return made(value + language.ones[after], used + joint + 1)
    return made(value, used)
