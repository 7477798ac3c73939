"""A place for a call that rings, at this process or another one: kept, and its model connected meanwhile."""

from dataclasses import dataclass
from typing import Protocol

from api.orders import order_for
from api.slots import is_over_share
from config.agent import AgentConfig
from pipelines.answering import Answering
from pipelines.live import LiveCalls
from switchboard.colleagues import Colleagues
from switchboard.messages import Placed
from switchboard.refusal import Refusal
from transcripts.call import Call


class House(Protocol):
    """What a place is found with; `api.deps.Services` is one."""

    @property
    def live(self) -> LiveCalls:
        """The calls of this process."""
        ...

    @property
    def answering(self) -> Answering:
        """Who connects models."""
        ...

    @property
    def colleagues(self) -> Colleagues:
        """The other processes."""
        ...

    @property
    def instance(self) -> str:
        """This process's name."""
        ...


async def place(house: House, call: Call, agent: AgentConfig, secs: float | None = None) -> Placed:
    """Find the process that takes the call and have its place kept; while nobody can be asked, it is this one or none.

    `agent` is the agent as it is for this call. `secs`: how long the place is kept, when not as usual.
    """
    placed = await house.colleagues.place(order_for(call, keep_secs=secs))
    if placed is not None:
        return placed
    if not house.live.is_reserved(call.call_id) and is_over_share(house.colleagues, house.live):
        refusal = Refusal.MAX_CALLS
    else:
        refusal = reserve(house, call, agent, secs)
    if refusal is not None:
        house.colleagues.freed(call.call_id)
    return Placed(refusal=refusal or "", instance="" if refusal else house.instance)


def reserve(house: House, call: Call, agent: AgentConfig, secs: float | None = None) -> Refusal | None:
    """Keep a slot here for a call that rings and have its model connected meanwhile; returns why there is no slot.

    Returns at once. A repeated webhook keeps the slot and the connection that the call has. Not collected in time,
    both are given up by themselves.
    """
    is_first = not house.live.is_reserved(call.call_id) and not house.live.holds(call.call_id)
    if (refusal := keep_slot(house, call.call_id, secs)) is None and is_first:
        house.answering.expect(call, agent)
    return refusal


def keep_slot(house: House, call_id: str, secs: float | None = None) -> Refusal | None:
    """Keep a slot here for a call that rings; returns why there is none."""
    if house.live.reserve(call_id, house.answering.forget, secs):
        return None
    return house.live.refusal() or Refusal.MAX_CALLS


def give_up(house: House, call_id: str) -> None:
    """Give back the slot of a call that rang and whose stream will not come; one in progress is left alone."""
    if house.live.is_reserved(call_id):
        house.live.release(call_id)
        house.answering.forget(call_id)


@dataclass(frozen=True, slots=True)
class OutgoingLines:
    """Places for calls that we make, see `calling.dialler.Lines`."""

    live: LiveCalls
    answering: Answering
    colleagues: Colleagues
    instance: str

    async def keep(self, call: Call, agent: AgentConfig, secs: float) -> str:
        """Keep a place for as long as the phone may ring; returns why there is none."""
        return (await place(self, call, agent, secs)).refusal

    def give_up(self, call_id: str) -> None:
        """Give the place back, wherever it is."""
        give_up(self, call_id)
        self.colleagues.give_up(call_id)
