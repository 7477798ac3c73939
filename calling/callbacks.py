"""Calls back that an agent arranges in a call: placed as any other call for a later time, by the same rules."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from loguru import logger

from calling.errors import NotPlaced
from calling.request import CallRequest
from config.agent import AgentConfig
from config.overrides import Overrides
from storage.errors import DatabaseAway
from transcripts.call import Call, Direction
from transcripts.outgoing import Outgoing

_ASKED_BY = "callback"
_LONGEST_REASON = 300
_MOST_REMEMBERED = 1000


class TakesRequests(Protocol):
    """Who takes requests for calls; `calling.dialler.Dialler`."""

    async def place(
        self, request: CallRequest, *, requested_by: str = "", idempotency_key: str | None = None
    ) -> tuple[Outgoing, bool]:
        """Write a call down; returns it and whether it is new. Raises `NotPlaced` and `DatabaseAway`."""
        ...

    async def call_off(self, call_id: str) -> None:
        """End a call that is not live yet. Raises `NotPlaced` and `DatabaseAway`."""
        ...


Refuse = Callable[[str], Exception]
"""Makes of one sentence what the model's tool raises."""


class CallsBack:
    """Arranges calls back. Implements `pipelines.callbacks.Callbacks`, of which it knows no more than how to refuse."""

    def __init__(self, refuse: Refuse) -> None:
        """Take how a refusal is told. `dialler`, which places calls, is there once they can be placed."""
        self.dialler: TakesRequests | None = None
        self._refuse = refuse
        self._arranged: OrderedDict[str, tuple[str, datetime]] = OrderedDict()

    async def arrange(self, call: Call, agent: AgentConfig, number: str, at: datetime, reason: str) -> str:
        """Have `number` called by the same agent at that time (aware), from the number of this call."""
        dialler = self.dialler
        if dialler is None:
            raise self._refuse("Nobody can be called back from here.")
        earlier = self._arranged.get(call.call_id)
        if earlier is not None and earlier[1] == at:
            return earlier[0]
        ours = call.from_number if call.direction is Direction.OUTBOUND else call.to_number
        request = CallRequest.model_validate(
            {
                "agent": agent.name,
                "to": number,
                "from": ours,
                "variables": dict(call.variables),
                "overrides": Overrides(instructions=instructions_for(agent, reason)),
                "at": at,
            }
        )
        try:
            outgoing, _is_new = await dialler.place(request, requested_by=_ASKED_BY)
        except NotPlaced as error:
            raise self._refuse(str(error)) from error
        except DatabaseAway as error:
            raise self._refuse("Nothing can be written down at the moment; he may call again later.") from error
        self._arranged[call.call_id] = (outgoing.call.call_id, at)
        if len(self._arranged) > _MOST_REMEMBERED:
            self._arranged.popitem(last=False)
        if earlier is not None:
            await _call_off(dialler, earlier[0])
        return outgoing.call.call_id


async def _call_off(dialler: TakesRequests, call_id: str) -> None:
    try:
        await dialler.call_off(call_id)
    except (NotPlaced, DatabaseAway) as error:
        logger.bind(call_id=call_id, problem=str(error)).error("an earlier call back could not be called off")


def instructions_for(agent: AgentConfig, reason: str) -> str:
    """Return what the agent is told when it calls back: what it always is, and why it calls."""
    # Whatever stands in braces would be taken for a variable.
    said = " ".join(reason.split())[:_LONGEST_REASON].replace("{", "(").replace("}", ")")
    return f"{agent.instructions}\n\nYou call this person back because he asked for it. It is about: {said}".strip()
