"""Numbers that somebody gives a few digits at a time, over several turns, while the other side says "go on". Pure.

No turn of them shows anything, all of them together do. What each may be is judged more strictly than in one text: who
answers several questions in a row gives digits too.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from telemetry.redaction import checksums, shields
from telemetry.redaction.kinds import Kind, Span
from telemetry.redaction.numerals import FILLERS, LANGUAGES, Language
from telemetry.redaction.phones import is_abroad, is_national
from telemetry.redaction.runs import Piece, languages_of, piece_at, tokens_of

MOST_TURNS = 32
"""So many turns are looked at together: a card, digit by digit, with an answer to each."""
_EDGE_WORDS = 6
_INSIDE_WORDS = 3
_BETWEEN_WORDS = 20
_PROMPT_WORDS = 5
_MOST_WITHOUT_DIGITS = 2
_ECHO_DIGITS = 3
_WEAK_CARD_DIGITS = 8
_PHONE = re.compile(
    r"\b(?:(?:tele)?phone|mobile|cell\w*|whatsapp|handy\w*|telefon\w*|mobil\w*|rückruf\w*|call\s?back|m[oó]vil"
    r"|tel[eé]fono|t[eé]l[eé]phone|portable|cellulare|telefoon\w*|telefone|telem[oó]vel|celular)\b",
    re.I,
)
_SUBJECT = re.compile(
    r"\b(?:years?|zip|postal|postcode|codes?|dates?|days?|months?|times?|hours?|old|age|many|much|people|guests|nights|amount|price"
    r"|street|house|floor|rooms?|birth\w*|size|weight|height|jahr\w*|postleitzahl|plz|datum|uhr\w*|personen|leute|tage?|monat\w*|alt"
    r"|alter|viele|geburt\w*|hausnummer|año|fecha|horas?|personas|edad|código|cuánt\w+|année|heures?|personnes|âge|combien"
    r"|anno|data|ora|persone|cap|età|quant\w+|jaar|tijd|leeftijd|hoeveel|ano|pessoas|idade)\b",
    re.I,
)


class Said(NamedTuple):
    """A turn: who said it, and the whole of its text."""

    speaker: str
    text: str


class Number(NamedTuple):
    """A number over several turns: what it is, its digits, and its parts as (index of the turn, span)."""

    kind: Kind
    digits: str
    parts: tuple[tuple[int, Span], ...]


class _Group(NamedTuple):
    turn: int
    start: int
    end: int
    digits: str


class _Pieces(NamedTuple):
    """What a turn has of digits: rows of pieces, and how many other words stand before, between and behind them."""

    rows: list[list[Piece]]
    lead: int
    inside: int
    tail: int
    words: int


def find_number(said: Sequence[Said]) -> Number | None:
    """Return the number that the last turn ends or goes on with, together with earlier ones of its speaker."""
    if not said:
        return None
    speaker = said[-1].speaker
    tokens = [token for turn in said if turn.speaker == speaker for token in tokens_of(turn.text)]
    for code in languages_of(tokens) or [None]:
        language = LANGUAGES[code] if code is not None else None
        groups = _chain(said, language)
        for first in range(len(groups) - 1):
            kind = _judge(said, groups[first:])
            if kind is not None:
                return _number(said, groups[first:], kind, language)
    return None


def find_echo(text: str, number: Number) -> list[Span]:
    """Return where a text of the other side repeats a part of a number."""
    found: list[Span] = []
    for code in languages_of(tokens_of(text)) or [None]:
        rows = _pieces(text, LANGUAGES[code] if code is not None else None).rows
        for row in rows:
            digits = "".join(piece.digits for piece in row)
            if len(digits) >= _ECHO_DIGITS and digits in number.digits:
                found.append(Span(row[0].start, row[-1].end, number.kind))
    return found


def _number(said: Sequence[Said], groups: Sequence[_Group], kind: Kind, language: Language | None) -> Number:
    digits = "".join(group.digits for group in groups)
    number = Number(kind, digits, tuple((group.turn, Span(group.start, group.end, kind)) for group in groups))
    echoes = [
        (at, span)
        for at in range(groups[0].turn, len(said))
        if said[at].speaker != said[-1].speaker
        for span in find_echo(said[at].text, number)
    ]
    return number._replace(parts=(*number.parts, *echoes))


def _chain(said: Sequence[Said], language: Language | None) -> list[_Group]:
    """Return the groups of digits that the last turn may go on with, in order, itself the last one."""
    groups: list[_Group] = []
    silent = 0
    for at in range(len(said) - 1, max(-1, len(said) - 1 - MOST_TURNS), -1):
        pieces = _pieces(said[at].text, language)
        if said[at].speaker != said[-1].speaker:
            if pieces.words > _BETWEEN_WORDS:
                break
            continue
        if not pieces.rows:
            silent += 1
            if not groups or silent > _MOST_WITHOUT_DIGITS or pieces.words > _EDGE_WORDS:
                break
            continue
        silent = 0
        if groups and pieces.tail > _EDGE_WORDS:
            break
        is_apart = pieces.inside > _INSIDE_WORDS
        rows = pieces.rows if not is_apart else [pieces.rows[-1 if groups else 0]]
        is_first = pieces.lead > _EDGE_WORDS or (is_apart and bool(groups))
        if not groups and pieces.lead > _EDGE_WORDS:
            break
        digits = "".join(piece.digits for row in rows for piece in row)
        groups.append(_Group(at, rows[0][0].start, rows[-1][-1].end, digits))
        if is_first:
            break
    return groups[::-1]


def _pieces(text: str, language: Language | None) -> _Pieces:
    tokens, shut = tokens_of(text), shields.shut_parts(text)
    rows: list[list[Piece]] = []
    at: list[tuple[int, int]] = []  # how many other words stand before a row, and before what follows it
    others = position = 0
    is_open = False
    while position < len(tokens):
        piece, used = piece_at(text, tokens, position, language)
        if piece is not None and not any(start < piece.end and piece.start < end for start, end in shut):
            if not is_open:
                rows.append([])
                at.append((others, others))
            rows[-1].append(piece)
            is_open = True
        elif tokens[position].low not in FILLERS:
            others += 1
            is_open = False
        position += used
    if others:
        # "One moment", "oh, yes": a word for a digit that stands alone among others is none.
        kept = [n for n, row in enumerate(rows) if len(row) > 1 or not row[0].is_spoken or len(row[0].digits) > 1]
        rows, at = [rows[n] for n in kept], [at[n] for n in kept]
    if not rows:
        return _Pieces([], 0, 0, 0, others)
    return _Pieces(rows, at[0][0], at[-1][0] - at[0][0], others - at[-1][0], others)


def _judge(said: Sequence[Said], groups: Sequence[_Group]) -> Kind | None:
    """Return what these groups are together; None: nothing that is known for certain enough."""
    digits = "".join(group.digits for group in groups)
    if len(digits) < 7 or digits in "01234567890" or digits in "09876543210":
        return None
    if _is_card(groups):
        return Kind.CARD
    lengths = [len(group.digits) for group in groups]
    context = " ".join(_context(said, groups))
    if shields.speaks_of_card(context):
        is_dictated = min(lengths[:-1]) >= 3 and _WEAK_CARD_DIGITS <= len(digits) <= 24
        return Kind.CARD if is_dictated else None
    if min(lengths) < 2:
        return None
    if shields.speaks_of_id(context):
        return Kind.NATIONAL_ID if len(digits) <= 15 else None
    if _PHONE.search(context):
        return Kind.PHONE if len(digits) <= 15 else None
    if shields.speaks_of_thing(context) or not all(_is_prompt(text) for text in _between(said, groups)):
        return None
    if len(digits) > 9 and checksums.is_national_id(digits):
        return Kind.NATIONAL_ID
    return Kind.PHONE if is_abroad(digits) or (max(lengths) >= 3 and is_national(digits)) else None


def _is_card(groups: Sequence[_Group]) -> bool:
    texts = [group.digits for group in groups]
    # A group that was not understood is said again.
    once = [text for before, text in zip(["", *texts], texts, strict=False) if text != before]
    return any(checksums.is_card(digits) for digits in ("".join(texts), "".join(once)) if len(digits) >= 12)


def _context(said: Sequence[Said], groups: Sequence[_Group]) -> Iterator[str]:
    """Yield what was said just before a number, and around its first digits."""
    first = groups[0]
    if first.turn > 0:
        yield said[first.turn - 1].text[-160:]
    yield said[first.turn].text[: first.start][-160:]
    yield said[first.turn].text[first.end :][:80]


def _between(said: Sequence[Said], groups: Sequence[_Group]) -> Iterator[str]:
    for at in range(groups[0].turn + 1, groups[-1].turn):
        if said[at].speaker != said[-1].speaker:
            yield said[at].text


def _is_prompt(text: str) -> bool:
    """Whether it only says that the other one may go on, and asks for nothing else."""
    words = sum(not token.is_digits for token in tokens_of(text))
    return words <= _PROMPT_WORDS and not _SUBJECT.search(text)
