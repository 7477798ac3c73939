"""A text without cards, telephone numbers, e-mail addresses and national ids. Pure, and quick for ordinary lines."""

import re
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any, cast

from telemetry.redaction import checksums, shields
from telemetry.redaction.emails import find_emails
from telemetry.redaction.kinds import ALL, Kind, Span
from telemetry.redaction.letters import find_spelled, find_written
from telemetry.redaction.numerals import LANGUAGES, WORDS
from telemetry.redaction.phones import is_abroad, is_national
from telemetry.redaction.runs import Run, Token, find_runs, languages_of, piece_at, tokens_of

_E164 = re.compile(r"(?<![\w+])(?:\+|%2B)[1-9]\d{6,14}(?!\d)", re.I)
_SSN = re.compile(r"(?<![\d-])\d{3}([- ])\d{2}\1\d{4}(?![\d-])")
_LOCAL = re.compile(r"[2-9]\d{2}-\d{4}")
_LEAD = re.compile(r"(?:(?:\+|%2B|\bplus|\bpiù|\bmais)\s?)?\(?$", re.I)
_SHORTEST = 6
_LONGEST = 19
_SPOKEN_FROM = 4
"""So many words for numbers may be a number; fewer are everyday talk, unless digits stand beside them."""
_SWEDISH = re.compile(r"(?<![\w-])(?:\d{2})?\d{6}[-+]\d{4}(?![\w-])")


def redact(text: str, kinds: Collection[Kind] = ALL) -> str:
    """Return the text with a placeholder for everything of these kinds; what is a placeholder already stays."""
    return _replaced(text, [span for span in find_spans(text) if span.kind in kinds])


def _replaced(text: str, spans: list[Span]) -> str:
    if not spans:
        return text
    parts, done = list[str](), 0
    for span in spans:
        parts += (text[done : span.start], span.kind.placeholder)
        done = span.end
    parts.append(text[done:])
    return "".join(parts)


def redact_with(text: str, others: Collection[Span], kinds: Collection[Kind]) -> str:
    """As `redact`, where other spans are known too, which go before what is found in the text alone."""
    others = [span for span in others if span.kind in kinds]
    alone = [span for span in find_spans(text) if span.kind in kinds and not _inside(span, [o[:2] for o in others])]
    return _replaced(text, _apart([*others, *alone]))


def redact_all(value: Any, kinds: Collection[Kind] = ALL) -> Any:
    """Return a value as JSON holds it, with every text in it redacted; numbers, names of fields and the rest stay."""
    if isinstance(value, str):
        return redact(value, kinds)
    if isinstance(value, Mapping):
        return {key: redact_all(below, kinds) for key, below in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [redact_all(below, kinds) for below in cast(list[Any], value)]
    return value


def find_spans(text: str) -> list[Span]:
    """Return what is found of all kinds, in order; no two share a character."""
    if len(text) < _SHORTEST:
        return []
    tokens = tokens_of(text)
    digits = sum(token.end - token.start for token in tokens if token.is_digits)
    words = sum(token.low in WORDS for token in tokens)
    spans = list(find_emails(text, tokens))
    if digits >= _SHORTEST or words >= _SPOKEN_FROM or (words and digits + words >= _SHORTEST):
        spans += _numbers(text, tokens, has_words=words > 0)
    return _apart(spans)


def _apart(spans: list[Span]) -> list[Span]:
    kept = list[Span]()
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if kept and span.start < kept[-1].end:
            last = kept[-1]
            kept[-1] = Span(last.start, max(last.end, span.end), last.kind)
        else:
            kept.append(span)
    return kept


def _numbers(text: str, tokens: list[Token], *, has_words: bool) -> Iterator[Span]:
    found = [Span(match.start(), match.end(), Kind.PHONE) for match in _E164.finditer(text)]
    shut = sorted([*shields.shut_parts(text), *(span[:2] for span in found)])
    found += [span for span in find_written(text) if not _inside(span, shut)]
    for pattern, is_id in ((_SSN, checksums.is_ssn), (_SWEDISH, checksums.is_personnummer)):
        found += [
            Span(match.start(), match.end(), Kind.NATIONAL_ID)
            for match in pattern.finditer(text)
            if is_id(re.sub(r"\D", "", match[0])) and not shields.is_of_a_thing(text, match.start(), match.end())
        ]
    shut = sorted([*shut, *(span[:2] for span in found)])
    for code in (languages_of(tokens) if has_words else []) or [None]:
        language = LANGUAGES[code] if code is not None else None
        spelled = [
            span
            for span in find_spelled(tokens, partial(piece_at, text, tokens, language=language))
            if not _inside(span, shut)  # a date is no id because of the word behind it
        ]
        found += spelled
        closed = sorted([*shut, *(span[:2] for span in spelled)])
        for run in find_runs(text, tokens, code, closed):
            found += _of_run(text, run)
    yield from found


def _inside(span: Span, parts: list[tuple[int, int]]) -> bool:
    return any(start < span.end and span.start < end for start, end in parts)


def _of_run(text: str, run: Run) -> Iterator[Span]:
    """Yield what a run is, part after part."""
    digits = run.digits
    if len(digits) < 7 or run.is_counting:
        return
    found = _window(text, run)
    if found is None:
        yield from _rest(text, run)
        return
    first, last, kind = found
    if run.is_dictated and len(digits) > _LONGEST:
        first, last = 0, len(run.pieces)  # what is left and right of it belongs to it, misheard or not
    start = run.pieces[first].start
    yield Span(_with_lead(text, start, kind) if first == 0 else start, run.pieces[last - 1].end, kind)
    for part in (run.part(0, first), run.part(last, len(run.pieces))):
        if part.pieces:
            yield from _of_run(text, part)


def _with_lead(text: str, start: int, kind: Kind) -> int:
    """Return where a number begins with its plus sign or bracket."""
    lead = _LEAD.search(text, 0, start) if kind is Kind.PHONE else None
    return lead.start() if lead else start


def _window(text: str, run: Run) -> tuple[int, int, Kind] | None:
    """Return the pieces [first, last) that are one number for certain, and what it is; the longest first."""
    count = len(run.pieces)
    if run.has_plus and 7 <= len(run.digits) <= 15:
        return 0, count, Kind.PHONE
    is_id_spoken_of = shields.has_id_word(text, run.start)
    is_thing = not is_id_spoken_of and shields.is_of_a_thing(text, run.start, run.end)
    windows = _windows(run)
    if run.is_dictated and len(run.digits) <= _LONGEST:
        # Whoever dictates does not mix in what belongs to something else; one digit misheard must not keep the others.
        windows = [window for window in windows if window[1] - window[0] == count]
    for first, last, digits in windows:
        if checksums.is_card(digits):
            return first, last, Kind.CARD
        if shields.has_card_word(text, run.start) and len(digits) >= 13 and checksums.may_be_card(digits):
            return first, last, Kind.CARD  # one digit misheard is no reason to keep the fifteen others
    if is_thing:
        return None
    for first, last, digits in windows:
        if last - first == count or last - first == 1 or is_id_spoken_of:
            if checksums.is_national_id(digits) and not (
                digits[0] == "0" and not is_id_spoken_of and is_national(digits)
            ):
                return first, last, Kind.NATIONAL_ID
            if (
                is_id_spoken_of
                and len(digits) in (9, 10, 12)
                and (checksums.is_ssn(digits) or checksums.is_personnummer(digits))
            ):
                return first, last, Kind.NATIONAL_ID
    for first, last, digits in windows:
        if (run.has_plus and first == 0 and 9 <= len(digits) <= 15) or is_abroad(digits):
            return first, last, Kind.PHONE
        if is_national(digits) and not _is_bare(text, run.part(first, last), digits):
            return first, last, Kind.PHONE
    return None


def _windows(run: Run) -> list[tuple[int, int, str]]:
    """Return all rows of pieces of 9 to 19 digits, the longest first: first, last and digits."""
    windows = list[tuple[int, int, str]]()
    for first in range(len(run.pieces)):
        digits = ""
        for last in range(first, len(run.pieces)):
            digits += run.pieces[last].digits
            if len(digits) > _LONGEST:
                break
            if len(digits) >= 9:
                windows.append((first, last + 1, digits))
    return sorted(windows, key=lambda window: (-len(window[2]), window[0]))


def _is_bare(text: str, run: Run, digits: str) -> bool:
    """Whether only its length says that somebody could be called there: nine digits, or grouped as nobody does."""
    if digits[0] == "0" or run.is_dictated or shields.has_phone_word(text, run.start):
        return False
    lengths = [len(piece.digits) for piece in run.pieces if not piece.is_spoken]
    if len(lengths) > 1 and (max(lengths) < 3 or min(lengths[1:]) < 2 or len(lengths) > 5):
        return True
    is_odd = lengths[:1] == [1] and digits[0] != "1"
    return is_odd or (len(run.pieces) == 1 and len(digits) < 10)


def _rest(text: str, run: Run) -> Iterator[Span]:
    """What no rule knows for certain, and people say nevertheless: numbers without a code, and misheard ones."""
    count = len(run.digits)
    is_id_spoken_of = shields.has_id_word(text, run.start)
    if not is_id_spoken_of and shields.is_of_a_thing(text, run.start, run.end):
        return
    if run.is_dictated:
        kind = Kind.CARD if count >= 16 else Kind.PHONE
    elif count <= 13 and shields.has_phone_word(text, run.start) or _LOCAL.fullmatch(text, run.start, run.end):
        kind = Kind.PHONE
    else:
        return
    if is_id_spoken_of and count in (9, 11, 13, 15):
        kind = Kind.NATIONAL_ID
    yield Span(_with_lead(text, run.start, kind), run.end, kind)
