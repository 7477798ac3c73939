"""National ids and accounts that have letters in them, written, or spelled letter by letter."""

import re
from collections.abc import Callable, Iterator, Sequence

from telemetry.redaction import checksums
from telemetry.redaction.kinds import Kind, Span
from telemetry.redaction.numerals import FILLERS
from telemetry.redaction.runs import Piece, Token

_GAP = r"[\s.\-/]{0,2}"


def _spread(pattern: str) -> str:
    """Let blanks and dashes stand between the characters of a pattern; `_` is where they may."""
    return pattern.replace("_", _GAP)


_SIX = "_".join([r"\d"] * 6)
_WRITTEN: Sequence[tuple[re.Pattern[str], Callable[[str], bool]]] = [
    (re.compile(_spread(pattern), re.I), is_id)
    for pattern, is_id in (
        (rf"\b[A-Z]{{2}}_{_SIX}_[A-D]\b", checksums.is_nino),
        (r"\b\d\d_\d{3}_\d{3}_[A-Z]\b|\b[XYZ]_\d_\d{3}_\d{3}_[A-Z]\b", checksums.is_dni),
        (
            r"\b[A-Z]{3}_[A-Z]{3}_[0-9LMNP-V]{2}_[A-Z]_[0-9LMNP-V]{2}_[A-Z]_[0-9LMNP-V]{3}_[A-Z]\b",
            checksums.is_codice_fiscale,
        ),
        (r"\b[1-4]_\d\d_\d\d_2[AB]_\d{3}_\d{3}_\d\d\b", checksums.is_nir),
    )
]
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}\b", re.I)
_SPELLED_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
_SPELLED: Sequence[tuple[re.Pattern[str], Callable[[str], bool]]] = [
    (re.compile(rf"(?=({pattern}))"), is_id)
    for pattern, is_id in (
        (r"[A-Z]{2}\d{6}[A-D]", checksums.is_nino),
        (r"(?:\d{8}|[XYZ]\d{7})[A-Z]", checksums.is_dni),
        (r"[A-Z]{6}[0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]", checksums.is_codice_fiscale),
        (r"\d{5}2[AB]\d{8}", checksums.is_nir),
    )
]
_ALPHABET = {
    word: word[0].upper()
    for word in """
    alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar papa
    quebec romeo sierra tango uniform victor whiskey xray yankee zulu anton berta cäsar dora emil friedrich gustav
    heinrich ida julius kaufmann ludwig martha nordpol otto paula quelle richard samuel siegfried theodor ulrich
    viktor wilhelm xanthippe ypsilon zacharias
    """.split()
}
_SHORTEST = 9


def find_written(text: str) -> Iterator[Span]:
    """Yield ids that stand there as they are written on paper, with blanks, dots or dashes."""
    for pattern, is_id in _WRITTEN:
        for found in pattern.finditer(text):
            if is_id(_bare(found[0])):
                yield Span(found.start(), found.end(), Kind.NATIONAL_ID)
    for found in _IBAN.finditer(text):
        length = checksums.iban_length(found[0][:2].upper())
        end = _end_of(found[0], length) if length else 0
        if end and checksums.is_iban(_bare(found[0][:end])):
            yield Span(found.start(), found.start() + end, Kind.NATIONAL_ID)


def find_spelled(tokens: Sequence[Token], piece_at: Callable[[int], tuple[Piece | None, int]]) -> Iterator[Span]:
    """Yield ids that are spelled: single letters, or words of a spelling alphabet, between digits.

    `piece_at` gives for the position of a token the piece that begins there, if one does, and how many tokens it takes.
    """
    if not any(map(_letter, tokens)):
        return
    spelled, places = "", list[tuple[int, int]]()
    position = 0
    while position < len(tokens):
        token = tokens[position]
        letter = _letter(token)
        piece, used = piece_at(position)
        if piece is not None and token.low != "o":
            spelled += piece.digits
            places += [(piece.start, piece.end)] * len(piece.digits)
        elif letter:
            spelled += letter
            places += [(token.start, token.end)] * len(letter)
        elif token.low not in FILLERS:
            yield from _in_row(spelled, places)
            spelled, places = "", []
        position += used
    yield from _in_row(spelled, places)


def _letter(token: Token) -> str:
    if len(token.low) == 1 and token.low.isascii() and token.low.isalpha():
        return token.low.upper()
    if len(token.low) == 2 and checksums.iban_length(token.low.upper()):
        return token.low.upper()  # the country of an IBAN, said as a word
    return _ALPHABET.get(token.low, "")


def _in_row(row: str, places: Sequence[tuple[int, int]]) -> Iterator[Span]:
    if len(row) < _SHORTEST or row.isdigit():
        return
    for pattern, is_id in _SPELLED:
        for found in pattern.finditer(row):
            if is_id(found[1]):
                yield Span(places[found.start()][0], places[found.start() + len(found[1]) - 1][1], Kind.NATIONAL_ID)
    for start in range(len(row) - _SHORTEST):
        length = checksums.iban_length(row[start : start + 2])
        if length and _SPELLED_IBAN.match(row, start) and checksums.is_iban(row[start : start + length]):
            yield Span(places[start][0], places[start + length - 1][1], Kind.NATIONAL_ID)


def _bare(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", text).upper()


def _end_of(text: str, length: int) -> int:
    """Return where the character ends that is the `length`th letter or digit; 0 when there are fewer."""
    seen = 0
    for position, letter in enumerate(text):
        seen += letter.isalnum()
        if seen == length:
            return position + 1
    return 0
