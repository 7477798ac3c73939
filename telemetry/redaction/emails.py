"""E-mail addresses, written, or spoken: "jane dot doe at example dot com"."""

import re
from collections.abc import Iterator, Sequence

from telemetry.redaction.kinds import Kind, Span
from telemetry.redaction.numerals import WORDS
from telemetry.redaction.runs import Token

_WRITTEN = re.compile(r"[\w.+'%-]{1,64}(?:@|%40)(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}\b|[\w.+-]{1,64}@[\w-]{2,63}\b")
_AT = frozenset("at ät arroba arobase chiocciola apenstaartje klammeraffe apestaartje chiocciolina".split())
_DOT = frozenset("dot punkt punto point ponto punt".split())
_JOINTS = _DOT | frozenset(
    """
    underscore dash hyphen minus plus unterstrich bindestrich strich guion guión bajo tiret trattino streepje
    sublinhado basso bas laag hífen
    """.split()
)
_JOINTS_OF_TWO = frozenset({("guion", "bajo"), ("guión", "bajo"), ("trattino", "basso"), ("tiret", "bas")})
_TLDS = frozenset(
    """
    com net org de es fr it nl be at ch eu uk us info io dev app edu gov co me biz online shop email mail web cloud
    pt br pl se no dk fi ie ca au nz jp in ru cz hu ro gr mx ar cl tv example test
    """.split()
)
_PROVIDERS = frozenset(
    "gmail googlemail hotmail outlook yahoo icloud aol gmx web proton protonmail live msn orange libero".split()
)
"""Whose names need no dot before "com" to be known."""
_NOT_A_NAME = frozenset(
    """
    us me it them him her look online website site page visit is are and or you we i here there find found more
    only info's go come meet see available live open the a an this that
    uns mich hier mehr auf sind ist oder und nos aquí más y o nous ici plus et ou noi qui
    """.split()
)
_INTRODUCES = frozenset(
    """
    is to address email mail e it's its at my that's reads ist lautet an adresse unter es a correo dirección est à
    l'adresse adresse è indirizzo aan adres é endereço com write sent send also
    """.split()
)
_MAIL_WORD = re.compile(r"\be-?mails?\b|\bmail\w*\b|\bcorreo\b|\bcourriel\b|\badress\w*\b|\bwrite\b|\bsend\b", re.I)
_BLANK = re.compile(r"[\s().\-–,;:\[\]<>_+]{0,5}")
_MOST_WORDS = 12
_MOST_NAMES = 4


def find_emails(text: str, tokens: Sequence[Token]) -> Iterator[Span]:
    """Yield the addresses of a text."""
    if "@" in text or "%40" in text:
        for found in _WRITTEN.finditer(text):
            yield Span(found.start(), found.end(), Kind.EMAIL)
    words = {token.low for token in tokens}
    if not words & _AT and "@" not in text:
        return
    for position, token in enumerate(tokens):
        if token.low in _AT and position and position + 1 < len(tokens):
            span = _spoken(text, tokens, position, position)
            if span is not None:
                yield span
        elif "@" in text and position and text[tokens[position - 1].end : token.start].strip() == "@":
            span = _spoken(text, tokens, position, position - 1)
            if span is not None:
                yield span


def _spoken(text: str, tokens: Sequence[Token], after: int, before: int) -> Span | None:
    """Return the address around the word for @: `after` is that word, or the first behind the sign itself."""
    is_word = after == before
    end = _domain_end(text, tokens, after + 1 if is_word else after)
    if end is None:
        return None
    last_name = before - 1 if is_word else before
    if not _near(text, tokens[last_name].end, tokens[last_name + 1].start) and is_word:
        return None
    start = last_name
    has_joint = False
    while start > 0 and after - start < _MOST_WORDS:
        previous = tokens[start - 1]
        gap = text[previous.end : tokens[start].start]
        two_words = start > 2 and (tokens[start - 2].low, previous.low) in _JOINTS_OF_TWO
        if two_words and not gap.strip(" "):
            start -= 3
            has_joint = True
        elif gap and not gap.strip(" ") and previous.low in _JOINTS and start > 1:
            start -= 2
            has_joint = True
        elif gap in (".", "-", "_", "+"):
            start -= 1
            has_joint = True
        elif (
            len(tokens[start].low) == 1
            and len(previous.low) == 1
            and not gap.strip(" .-,")
            and not _is_ending(text, previous)
        ):
            start -= 1
        elif (tokens[start].low in WORDS or tokens[start].is_digits) and gap == " " and previous.low not in _INTRODUCES:
            start -= 1  # "jane ninety-nine at": the number belongs to the name
        else:
            break
    name = tokens[start].low
    is_written = text[tokens[end].start - 1] == "."
    if not has_joint and name in _NOT_A_NAME:
        return None
    if (
        is_written
        and is_word
        and not has_joint
        and not _MAIL_WORD.search(text, max(0, tokens[start].start - 64), tokens[start].start)
    ):
        return None  # "ask for me at example.com"
    first = _first_name(text, tokens, start) if is_word else start
    return Span(tokens[first].start, tokens[end].end, Kind.EMAIL)


def _first_name(text: str, tokens: Sequence[Token], start: int) -> int:
    """A name of several words, when it is clear from where on it is one: "my address is jane van doe at ..."."""
    for back in range(1, _MOST_NAMES):
        if start - back < 0 or text[tokens[start - back].end : tokens[start - back + 1].start].strip():
            return start
        if tokens[start - back].low in _INTRODUCES:
            return start - back + 1
    return start


def _domain_end(text: str, tokens: Sequence[Token], position: int) -> int | None:
    """Return the token that ends a domain's name which begins at a token; None when there is none."""
    end = None
    at = position
    while at < len(tokens) and at - position < _MOST_WORDS:
        if at + 1 >= len(tokens):
            break
        following = tokens[at + 1]
        gap = text[tokens[at].end : following.start]
        if gap in (".", "-"):
            at += 1
            if gap == "." and following.low in _TLDS:
                end = at
        elif following.low in _JOINTS and at + 2 < len(tokens) and _near(text, tokens[at].end, following.start):
            at += 2
            if following.low in _DOT and tokens[at].low in _TLDS:
                end = at
        elif tokens[at].low in _PROVIDERS and gap == " " and following.low in _TLDS:
            return at + 1
        elif end is None and not gap.strip(" -.,") and (len(tokens[at].low) == 1 or at - position < 3):
            at += 1  # spelled, or a name of several words: "g mail", "my company"
        else:
            break
    return end


def _is_ending(text: str, token: Token) -> bool:
    """Whether it is the end of a word: the s of "that's"."""
    return token.start > 0 and text[token.start - 1] in "'’"


def _near(text: str, end: int, start: int) -> bool:
    return _BLANK.fullmatch(text, end, start) is not None
