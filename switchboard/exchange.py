"""What the processes ask of each other, answered or passed on: calls placed and counted, errands, metrics, news."""

import asyncio
from collections.abc import Callable, Iterable

from loguru import logger

from switchboard.child import Child
from switchboard.link import NoAnswer
from switchboard.messages import (
    Admit,
    AskOpen,
    Body,
    Done,
    Errand,
    Follow,
    Freed,
    GiveUp,
    Heard,
    IsOpen,
    Leaving,
    Metrics,
    Order,
    Placed,
    ReadMetrics,
    Result,
    Room,
    State,
    Took,
    Wrote,
)
from switchboard.placement import Placement
from switchboard.refusal import Refusal
from telemetry import merging, metrics
from telemetry.merging import Family

_OFFER_SECS = 0.5
"""How long one process may take to say whether it takes a call."""
_ERRAND_SECS = 7.0
_METRICS_SECS = 0.7
OWN_NAME = "supervisor"


class Exchange:
    """The supervisor's side of every conversation. `children` are those that live, by their instance names."""

    def __init__(self, placement: Placement, children: Callable[[], Iterable[Child]]) -> None:
        """Take the table, and where the processes that are up are to be found."""
        self._placement = placement
        self._children = children
        self._followers: dict[str, set[str]] = {}
        self._ended: list[Family] = []
        self._was_full = False
        self.is_stopping = False

    def welcome(self, child: Child) -> None:
        """A process is up: it is offered calls from now on."""
        self._placement.join(child.name)
        self._tell_room()
        if self._was_full:
            child.link.tell(Room(most=0))
        for call_id in self._followers:
            child.link.tell(Follow(call_id=call_id))

    def bid_farewell(self, child: Child) -> None:
        """A process has ended, or is about to: nothing is offered to it any more."""
        self._placement.leave(child.name)
        self._tell_room()
        for call_id in [call_id for call_id, names in self._followers.items() if child.name in names]:
            self._unfollow(child, call_id)

    def inherit(self, child: Child) -> None:
        """Keep what a process that has ended has counted."""
        self._ended = merging.merge({"": merging.without_life(child.families)}, self._ended)
        child.families = ()

    def hear(self, child: Child, body: Body) -> None:
        """Take what a process tells."""
        match body:
            case State(refusal=refusal):
                self._placement.note(child.name, refusal=refusal)
            case Took(call_id=call_id, call_sid=call_sid):
                self._placement.put(call_id, child.name, call_sid)
                self._tell_room()
            case Freed(call_id=call_id):
                self._placement.free(call_id, child.name)
                self._tell_room()
            case GiveUp(call_id=call_id):
                self._tell(self._placement.holder(call_id), body)
            case Heard():
                self._tell_others(child, body)
            case Follow(call_id=call_id, is_on=True):
                if not self._followers.setdefault(call_id, set()):
                    self._tell_others(None, body)
                self._followers[call_id].add(child.name)
            case Follow(call_id=call_id):
                self._unfollow(child, call_id)
            case Wrote(call_ids=call_ids):
                for name in {name for call_id in call_ids for name in self._followers.get(call_id, ())}:
                    if name != child.name:
                        self._tell(name, body)
            case Metrics(families=families):
                child.families = [Family.from_json(family) for family in families]
            case _:
                logger.bind(kind=body.kind).debug("a process tells something that is of no use here")

    async def answer(self, child: Child, body: Body) -> Body:
        """Answer what a process asks."""
        match body:
            case Order():
                return await self._place(body)
            case Admit(call_id=call_id, call_sid=call_sid):
                return self._admit(child, call_id, call_sid)
            case Errand():
                return await self._pass_on(child, body)
            case ReadMetrics():
                return await self._read_metrics()
            case AskOpen():
                return IsOpen(value=self._placement.is_open and not self.is_stopping)
            case Leaving():
                child.is_leaving = True
                self.bid_farewell(child)
                return Done()
            case _:
                return Done()

    async def _place(self, order: Order) -> Placed:
        """Offer the call to one process after the other, until one takes it."""
        refused: set[str] = set()
        if self.is_stopping:
            # One that rang before the signal keeps its place.
            holder = self._placement.holder(order.call_id) if self._placement.has(order.call_id) else None
            return Placed(instance=holder) if holder else Placed(refusal=Refusal.DRAINING)
        while True:
            if (refusal := self._placement.refusal(order.call_id)) is not None:
                return Placed(refusal=refusal)
            names = [name for name in self._placement.candidates(order.call_id) if name not in refused]
            if not names:
                return Placed(refusal=self._placement.common_refusal())
            # Counted before it is asked: of calls that come at the same moment each must see the others.
            self._placement.put(order.call_id, names[0], order.call_sid)
            self._tell_room()
            if await self._offer(names[0], order):
                return Placed(instance=names[0])
            self._placement.free(order.call_id, names[0])
            self._tell_room()
            refused.add(names[0])

    async def _offer(self, name: str, order: Order) -> bool:
        if (child := self._find(name)) is None:
            return False
        try:
            answer = await child.link.ask(order, Placed, _OFFER_SECS)
        except NoAnswer:
            child.link.tell(GiveUp(call_id=order.call_id))  # it may still come to it
            return False
        if answer.refusal:
            self._placement.note(name, refusal=answer.refusal)
        return not answer.refusal

    def _admit(self, child: Child, call_id: str, call_sid: str) -> Placed:
        if self.is_stopping and not self._placement.has(call_id):
            return Placed(refusal=Refusal.DRAINING)
        if (refusal := self._placement.refusal(call_id)) is not None:
            return Placed(refusal=refusal)
        holder = self._placement.holder(call_id)
        if holder is not None and holder != child.name:
            self._tell(holder, GiveUp(call_id=call_id))
        self._placement.put(call_id, child.name, call_sid)
        self._tell_room()
        return Placed(instance=child.name)

    async def _pass_on(self, child: Child, errand: Errand) -> Result:
        name = self._placement.holder(errand.call_id, errand.call_sid)
        holder = None if name is None else self._find(name)
        if holder is None or holder is child:
            return Result()
        try:
            return await holder.link.ask(errand, Result, _ERRAND_SECS)
        except NoAnswer:
            return Result()

    async def _read_metrics(self) -> Metrics:
        children = [child for child in self._children() if child.name]

        async def read(child: Child) -> None:
            try:
                self.hear(child, await child.link.ask(ReadMetrics(), Metrics, _METRICS_SECS))
            except NoAnswer:
                logger.bind(process=child.number).debug("a process tells no metrics now; its last ones stand")

        await asyncio.gather(*(read(child) for child in children))
        known: dict[str, list[Family]] = {}
        for child in children:
            # Of two with one number the older is about to end.
            known[str(child.number) if str(child.number) not in known else child.name] = list(child.families)
        own = merging.take(metrics.REGISTRY)
        merged = merging.merge({**known, OWN_NAME: own}, self._ended)
        return Metrics(families=[family.as_json() for family in merged])

    def _tell_room(self) -> None:
        """Tell all when the server has become full, or is so no more: who cannot ask in time must know."""
        is_full = self._placement.is_full
        if is_full == self._was_full:
            return
        self._was_full = is_full
        for child in self._children():
            if child.name:
                child.link.tell(Room(most=self._placement.count_of(child.name) if is_full else None))

    def _unfollow(self, child: Child, call_id: str) -> None:
        names = self._followers.get(call_id, set())
        names.discard(child.name)
        if not names and self._followers.pop(call_id, None) is not None:
            self._tell_others(None, Follow(call_id=call_id, is_on=False))

    def _find(self, name: str) -> Child | None:
        return next((child for child in self._children() if child.name == name and not child.link.is_closed), None)

    def _tell(self, name: str | None, body: Body) -> None:
        if name is not None and (child := self._find(name)) is not None:
            child.link.tell(body)

    def _tell_others(self, child: Child | None, body: Body) -> None:
        for other in self._children():
            if other is not child and other.name:
                other.link.tell(body)
