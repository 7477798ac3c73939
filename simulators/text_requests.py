"""What a text from the client asks for: a passage to be spoken word for word, or an answer to what the caller said."""

from __future__ import annotations

import re

from simulators.clips import caller_clips, plain

_QUOTED = re.compile(r"[\"“„«]([^\"“”„«»]+)[\"”“»]")
# An order to speak, where a clause begins: "Greet with exactly this:", "... on the line. Say", "please read aloud".
_ORDER = re.compile(
    r"(?:^|[.!?:;,\n]\s*|\b(?:please|and|then|now)\s+)(?:say|speak|read|repeat|greet|announce|tell)\b", re.IGNORECASE
)
_REPORT = re.compile(r"\b(?:said|says|saying|asked|asks|told|heard|answered|words)\b", re.IGNORECASE)


def passages(text: str) -> list[str]:
    """The passages in double quotes, straight or typographic."""
    return [str(passage).strip() for passage in _QUOTED.findall(text)]


def passage_to_speak(text: str) -> str | None:
    """The passage that a text orders to be spoken: the last one in quotes; None when it orders nothing of the kind.

    The order stands in the sentence that leads to the quote, or before it in a text that reports nobody's words:
    `The caller had said: "...". Tell him more.` orders nothing to be spoken word for word.
    """
    found = list(_QUOTED.finditer(text))
    if not found:
        return None
    before = _QUOTED.sub('""', text[: found[-1].start()])
    sentence = re.split(r"[.!?\n]\s", before)[-1]
    is_ordered = _ORDER.search(sentence) or (_ORDER.search(before) and not _REPORT.search(before))
    return str(found[-1][1]).strip() if is_ordered else None


def passage_to_read(text: str) -> str:
    """What a text gives to somebody who only reads aloud: all between its outermost quotes, or all of it."""
    found = re.search(r"[\"“„«](.+)[\"”“»]", text, re.DOTALL)
    return str(found[1]).strip() if found else text


def clips_in(text: str) -> list[str]:
    """The caller clips whose words stand in a text, in their order there. Case and punctuation do not matter."""
    words = f" {plain(text)} "
    found = [(words.find(f" {plain(clip.text)} "), clip_id) for clip_id, clip in caller_clips().items()]
    return [clip_id for place, clip_id in sorted(found) if place >= 0]


def reported_clips(text: str) -> list[str]:
    """The caller clips that a text quotes, in order."""
    return [clip_id for passage in passages(text) for clip_id in clips_in(passage)]
