"""Which process has which call, and which one takes the next: a table, without a socket or a clock."""

from collections import OrderedDict
from dataclasses import dataclass, field

from switchboard.refusal import Refusal

_MOST_REMEMBERED = 4000


@dataclass
class Member:
    """One process that is up. `refusal` is why it would take no call now, by its own word; empty: it would."""

    name: str
    calls: set[str] = field(default_factory=set[str])
    refusal: str = ""
    is_silent: bool = False
    last_call: int = 0
    last_connection: int = 0

    @property
    def takes_calls(self) -> bool:
        """Whether a further call may be offered to it."""
        return not self.refusal and not self.is_silent


class Placement:
    """The table. A call is in it from the moment it is offered to a process until that process lets it go."""

    def __init__(self, max_calls: int) -> None:
        """Take how many calls the whole server may have."""
        self.max_calls = max_calls
        self._members: dict[str, Member] = {}
        self._places: dict[str, str] = {}
        self._sids: OrderedDict[str, str] = OrderedDict()
        self._turn = 0

    @property
    def count(self) -> int:
        """How many calls there are: offered, ringing and live."""
        return len(self._places)

    @property
    def is_full(self) -> bool:
        """Whether the server has no room for a further call."""
        return self.count >= self.max_calls

    def count_of(self, name: str) -> int:
        """How many calls a process has."""
        return len(self._members[name].calls) if name in self._members else 0

    @property
    def names(self) -> list[str]:
        """The processes that are up."""
        return list(self._members)

    def join(self, name: str) -> None:
        """A process is up."""
        self._members[name] = Member(name)

    def leave(self, name: str) -> None:
        """A process is gone, and so are its calls."""
        for call_id in self._members.pop(name, Member(name)).calls:
            del self._places[call_id]

    def note(self, name: str, *, refusal: str | None = None, is_silent: bool | None = None) -> None:
        """Note what a process says of itself, or that it says nothing at all."""
        if (member := self._members.get(name)) is None:
            return
        member.refusal = member.refusal if refusal is None else refusal
        member.is_silent = member.is_silent if is_silent is None else is_silent

    def put(self, call_id: str, name: str, call_sid: str = "") -> None:
        """Note that this process has the call, and so no other. `call_sid` finds it for a while after its end, too."""
        if name not in self._members:
            return
        self._take_away(call_id)
        self._places[call_id] = name
        self._turn += 1
        member = self._members[name]
        member.calls.add(call_id)
        member.last_call = self._turn
        if call_sid:
            self._sids[call_sid] = name
            self._sids.move_to_end(call_sid)
            if len(self._sids) > _MOST_REMEMBERED:
                self._sids.popitem(last=False)

    def free(self, call_id: str, name: str) -> None:
        """Note that this process has the call no more. One that another process has by now stays there."""
        if self._places.get(call_id) == name:
            self._take_away(call_id)

    def holder(self, call_id: str, call_sid: str = "") -> str | None:
        """Name the process that has the call, or had it lately; None when it is not known, or not up any more."""
        name = self._places.get(call_id) or self._sids.get(call_sid)
        return name if name in self._members else None

    def has(self, call_id: str) -> bool:
        """Whether the call is counted already."""
        return call_id in self._places

    def candidates(self, call_id: str) -> list[str]:
        """Name the processes to offer the call to, the best first: where it is already, then the one with fewest.

        Of two with as many, the one whose last call is longer ago.
        """
        own = self._places.get(call_id)
        taking = [member for member in self._members.values() if member.takes_calls and member.name != own]
        ranked = [member.name for member in sorted(taking, key=lambda member: (len(member.calls), member.last_call))]
        return ranked if own is None else [own, *ranked]

    def refusal(self, call_id: str) -> Refusal | None:
        """Tell why no process needs to be asked about this call; None: they have to be."""
        if call_id not in self._places and self.is_full:
            return Refusal.MAX_CALLS
        return None

    def common_refusal(self) -> Refusal:
        """Tell why none of the processes takes a call: what most of them say of themselves."""
        said = [member.refusal for member in self._members.values() if member.refusal]
        known = [reason for reason in Refusal if reason in said]
        return max(known, key=said.count) if known else Refusal.SLOW

    @property
    def is_open(self) -> bool:
        """Whether any process is up that is not about to end. A full one says busy, which is an answer too."""
        return any(member.refusal != Refusal.DRAINING for member in self._members.values())

    def for_connection(self, stream_of: str | None) -> list[str]:
        """Name the processes to hand a connection to, the best first.

        `stream_of` is the process that the stream's path names. Any other connection goes to those that take calls
        first, and of these to the least loaded: a browser's call is taken where its offer comes.
        """
        own = [stream_of] if stream_of is not None and stream_of in self._members else []

        def rank(member: Member) -> tuple[bool, bool, bool, int, int]:
            is_leaving = member.refusal == Refusal.DRAINING
            return member.is_silent, is_leaving, bool(member.refusal), len(member.calls), member.last_connection

        others = [member.name for member in sorted(self._members.values(), key=rank) if member.name not in own]
        return own + others

    def handed_to(self, name: str) -> None:
        """Note that the process was given a connection."""
        if (member := self._members.get(name)) is not None:
            self._turn += 1
            member.last_connection = self._turn

    def _take_away(self, call_id: str) -> None:
        if (name := self._places.pop(call_id, None)) is not None and name in self._members:
            self._members[name].calls.discard(call_id)
