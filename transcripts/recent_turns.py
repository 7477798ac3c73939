"""The last turns of a call whose agent leaves numbers out, as they were really said, and what is left of each.

They are kept in memory only, and only so long: a turn that has been written shows to be a part of a card's number when
the next ones are heard. Then what is left of it is another text, and it is written anew.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

from telemetry.redaction import Kind, redact, redact_with
from telemetry.redaction.kinds import Span
from telemetry.redaction.over_turns import MOST_TURNS, Number, Said, find_echo, find_number
from transcripts.call import Turn

_ECHO_TURNS = 4
"""So many turns after it, a part of a number that the other side repeats belongs to it."""


@dataclass(slots=True)
class RecentTurn:
    """A turn that may have to be written anew. `position` and `seq` are those of this log, not of the database."""

    said: Said
    position: int
    seq: int
    is_searched: bool
    left: str
    """Its text as it is written."""
    spans: list[Span] = field(default_factory=list[Span])


class RecentTurns:
    """The last turns of one call, in the order in which they ended."""

    def __init__(self) -> None:
        """Know none yet."""
        self._turns: deque[RecentTurn] = deque(maxlen=MOST_TURNS)
        self._number: tuple[Number, str, int] | None = None
        self._count = 0

    def hear(
        self, turn: Turn, position: int, seq: int, kinds: Collection[Kind], *, is_searched: bool
    ) -> tuple[str, list[RecentTurn]]:
        """Take the next turn. Returns what is left of its text, and the earlier ones of which now less is left."""
        heard = RecentTurn(Said(turn.speaker.value, turn.text), position, seq, is_searched, redact(turn.text, kinds))
        self._turns.append(heard)
        self._count += 1
        said = [each.said for each in self._turns]
        number = find_number(said)
        if number is not None:
            self._number = (number, heard.said.speaker, self._count)
            for at, span in number.parts:
                self._turns[at].spans.insert(0, span)
        elif self._number is not None:
            earlier, speaker, count = self._number
            if speaker != heard.said.speaker and self._count - count <= _ECHO_TURNS:
                heard.spans = find_echo(turn.text, earlier)
        changed: list[RecentTurn] = []
        for each in self._turns:
            left = redact_with(each.said.text, each.spans, kinds) if each.spans else each.left
            if left != each.left:
                each.left = left
                changed += [each] if each is not heard else []
        return heard.left, changed

    def forget(self) -> None:
        """Forget all of them: nothing of them is to be written any more."""
        self._turns.clear()
        self._number = None
