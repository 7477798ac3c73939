"""Numbers dictated a few digits at a time, over a corpus of dialogues: none is missed, answers to questions stay."""

import re
import sys
import time
from pathlib import Path

import pytest

from telemetry.redaction import Kind, redact_with
from telemetry.redaction.kinds import Span
from telemetry.redaction.over_turns import Said, find_number

_TEXT = (Path(__file__).parent / "redaction_dialogues.txt").read_text("utf-8")
DIALOGUES = [
    (block.splitlines()[0], [Said(line[0], line[3:]) for line in block.splitlines()[1:]])
    for block in re.sub(r"^#.*\n", "", _TEXT).strip().split("\n\n")
]
GIVEN = [(Kind(kind), turns) for kind, turns in DIALOGUES if kind != "-"]
HARMLESS = [turns for kind, turns in DIALOGUES if kind == "-"]


def plain(turns: list[Said]) -> list[Said]:
    return [Said(turn.speaker, re.sub("[<>]", "", turn.text)) for turn in turns]


def heard(turns: list[Said]) -> list[str]:
    """What is left of each turn once all were heard, one after the other."""
    spans: dict[int, list[Span]] = {}
    for count in range(1, len(turns) + 1):
        number = find_number(turns[:count])
        for at, span in number.parts if number else ():
            spans.setdefault(at, []).insert(0, span)
    return [redact_with(turn.text, spans.get(at, []), list(Kind)) for at, turn in enumerate(turns)]


@pytest.mark.parametrize(("kind", "turns"), GIVEN)
def test_no_part_of_a_number_stays(kind: Kind, turns: list[Said]) -> None:
    assert heard(plain(turns)) == [re.sub("<[^>]*>", kind.placeholder, turn.text) for turn in turns]


def test_answers_to_questions_stay() -> None:
    changed = [
        f"{turn.text} became {left}"
        for turns in HARMLESS
        for turn, left in zip(turns, heard(turns), strict=True)
        if turn.text != left
    ]
    sys.stdout.write(
        f"{len(changed)} turns changed of {sum(map(len, HARMLESS))} in {len(HARMLESS)} harmless dialogues\n"
    )
    assert changed == []


def test_a_turn_takes_a_few_milliseconds_at_most() -> None:
    turns = [turn for _, given in GIVEN for turn in plain(given)]
    began = time.process_time()
    for count in range(1, len(turns) + 1):
        find_number(turns[max(0, count - 32) : count])
    assert (time.process_time() - began) * 1000 / len(turns) < 5
