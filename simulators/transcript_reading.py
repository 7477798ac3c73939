"""Answers about the transcript of a call, by a response schema: what was said decides, the same every time. Pure.

A transcript is a JSON list of objects with a `speaker` and a `text`, anywhere in the request. What it does not tell is
null where null is allowed, as a careful model would have it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, cast

Schema = dict[str, Any]

_DULL = frozenset(
    "about agent after and any are asked call caller customer could did does for from has have her his how into it "
    "like many much name of one said say should that the their them then they this to want wanted was were what when "
    "where which who will with would you your".split()
)
_NUMBERS = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()
    )
}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_GLAD = ("thank you", "thanks", "recommend", "great", "perfect", "wonderful", "lovely", "yes, please")
_CROSS = ("stop", "complain", "too long", "bit long", "angry", "terrible", "bad", "hurting", "waited", "unacceptable")
_ACHIEVED = ("is booked", "is cancelled", "we are open", "we are closed", "all my questions", "will connect you")
_NOT_ACHIEVED = ("is taken", "could not find", "cannot", "went wrong")


@dataclass(frozen=True, slots=True)
class Said:
    """One utterance."""

    speaker: str
    text: str


def find_transcript(text: str) -> list[Said]:
    """The utterances of the first transcript in a text; none when there is none."""
    decoder, at = json.JSONDecoder(), text.find("[")
    while at >= 0:
        try:
            found, _end = decoder.raw_decode(text, at)
        except ValueError:
            found = None
        said = _utterances(found)
        if said:
            return said
        at = text.find("[", at + 1)
    return []


def answer_about(schema: Schema, said: Sequence[Said], task: str) -> Any:
    """A value of the schema's type about a transcript; `task` is what else the model was told."""
    return _answer(schema, list(said), task, name="")


def _utterances(found: Any) -> list[Said]:
    if not isinstance(found, list):
        return []
    items = cast(list[Any], found)
    if not all(isinstance(item, dict) and {"speaker", "text"} <= set(cast(Schema, item)) for item in items):
        return []
    return [Said(str(item["speaker"]).lower(), str(item["text"])) for item in items]


def _answer(schema: Schema, said: list[Said], task: str, *, name: str) -> Any:
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    kinds = [str(kind).lower() for kind in (cast(list[str], kinds) if isinstance(kinds, list) else [kinds])]
    may_be_null = "null" in kinds
    kind = next((kind for kind in kinds if kind != "null"), "string")
    question = f"{name.replace('_', ' ')} {schema.get('description') or ''}"
    if kind == "object":
        members = cast(dict[str, Schema], schema.get("properties") or {})
        return {key: _answer(inner, said, task, name=key) for key, inner in members.items()}
    if schema.get("enum"):
        members = [member for member in cast(list[Any], schema["enum"]) if member is not None]
        found = _member([str(member) for member in members], said, question)
        return found if found is not None or may_be_null else members[-1]
    value = _scalar(kind, schema, said, task, question, name)
    if value is None and not may_be_null:
        nothing: Schema = {"integer": 0, "number": 0.0, "boolean": False, "array": []}
        return nothing.get(kind, "Nothing was said of it.")
    return value


def _scalar(kind: str, schema: Schema, said: list[Said], task: str, question: str, name: str) -> Any:
    if kind == "boolean":
        return any(word in _heard(said) for word in _keys(question))
    if kind in ("integer", "number"):
        number = _number(said)
        return number if number is None or kind == "integer" else float(number)
    if kind == "array":
        found = [one.text for one in _callers(said) if any(word in one.text.lower() for word in _keys(question))]
        return found or None
    if schema.get("format") == "date":
        return _date(said, task)
    if name == "summary":
        return _summary(said)
    if name == "reason":
        return f'At the end it was said: "{said[-1].text}"' if said else "Nothing was said."
    return _text(said, question)


def _member(members: list[str], said: list[Said], question: str) -> str | None:
    words = " ".join(one.text for one in said).lower()
    if {"positive", "neutral", "negative"} <= set(members):
        heard = _heard(said)
        glad, cross = (sum(sign in heard for sign in signs) for signs in (_GLAD, _CROSS))
        return "positive" if glad > cross else "negative" if cross > glad else "neutral"
    if "unclear" in members and len(members) == 3:
        agents = " ".join(one.text for one in said if one.speaker == "agent").lower()
        yes, no = _yes_and_no([member for member in members if member != "unclear"])
        last = max((agents.rfind(sign), yes) for sign in _ACHIEVED)
        failed = max((agents.rfind(sign), no) for sign in _NOT_ACHIEVED)
        return "unclear" if max(last[0], failed[0]) < 0 else max(last, failed)[1]
    found = [(words.find(member.lower().replace("_", " ")), member) for member in members]
    return min(((at, member) for at, member in found if at >= 0), default=(0, None))[1]


def _yes_and_no(members: list[str]) -> tuple[str, str]:
    is_no = [member for member in members if member.lower().startswith(("no", "false", "un", "fail"))]
    no = is_no[0] if is_no else members[1]
    return next(member for member in members if member != no), no


def _number(said: list[Said]) -> int | None:
    for one in _callers(said):
        for word in re.findall(r"\d+|[a-z]+", one.text.lower()):
            if word.isdigit():
                return int(word)
            if word in _NUMBERS and word != "one":
                return _NUMBERS[word]
    return None


def _date(said: list[Said], task: str) -> str | None:
    stated = re.search(r"\d{4}-\d{2}-\d{2}", task)
    began = date.fromisoformat(stated[0]) if stated else date(2026, 1, 1)
    heard = " ".join(one.text for one in reversed(said)).lower()
    if "tomorrow" in heard:
        return (began + timedelta(days=1)).isoformat()
    named = [(heard.find(day), number) for number, day in enumerate(_DAYS) if day in heard]
    if not named:
        return None
    ahead = (min(named)[1] - began.weekday() - 1) % 7 + 1
    return (began + timedelta(days=ahead)).isoformat()


def _text(said: list[Said], question: str) -> str | None:
    if "name" in question.lower():
        named = re.search(r"[Mm]y name is ([A-Z][\w'-]*(?: [A-Z][\w'-]*)*)", " ".join(one.text for one in said))
        return named[1] if named else None
    keys = _keys(question)
    best = max(_callers(said), key=lambda one: sum(word in one.text.lower() for word in keys), default=None)
    return best.text if best is not None and any(word in best.text.lower() for word in keys) else None


def _summary(said: list[Said]) -> str:
    callers = [one.text for one in _callers(said)]
    agents = [one.text for one in said if one.speaker == "agent"]
    first = f'The caller said: "{callers[0]}"' if callers else "The caller said nothing."
    return f'{first} The agent said last: "{agents[-1]}"' if agents else first


def _callers(said: list[Said]) -> list[Said]:
    return [one for one in said if one.speaker != "agent"]


def _heard(said: list[Said]) -> str:
    return " ".join(one.text for one in _callers(said)).lower()


def _keys(question: str) -> list[str]:
    words = re.findall(r"[a-z]{3,}", question.lower())
    return [word.removesuffix("s") for word in words if word not in _DULL]
