"""Placing calls: written down, dialled once, and looked after until they are live or over."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from loguru import logger

from calling import rules
from calling.errors import (
    NoSuchAgent,
    NoSuchCall,
    NotPlaced,
    NoTwilio,
    OverBudget,
    OverLimit,
    SameKeyOtherRequest,
    TwilioRefuses,
    TwilioUnusable,
)
from calling.placing import Lines, Patience, Placing, Spending, lacking
from calling.progress import MOVES, State, after
from calling.request import CallRequest
from calling.schedule import Timers, check_time
from config.agent import AgentConfig
from config.agents_folder import AgentCatalog
from config.overrides import with_overrides
from storage.errors import DatabaseAway
from telephony.rest import TwilioFailed, TwilioRest
from transcripts.call import Call, CallStatus, Direction, EndReason
from transcripts.models import CallRow
from transcripts.outcomes import count_end
from transcripts.outgoing import NoRoom, Order, OtherRequest, Outgoing, OutgoingStore, Room

_ANSWER_SECS = 20.0
"""How long somebody who asks for a call waits to hear whether Twilio took it."""
_CLOSING_SECS = 3.0
_TIMERS_LATEST_SECS = 15.0
_AWAY_SECS = 2.0
# Errors of the account, not of the call that was asked for.
_ACCOUNT_CODES = range(10_000, 21_000)


class Dialler:
    """Places calls for one server process."""

    def __init__(
        self,
        store: OutgoingStore,
        rest: TwilioRest | None,
        lines: Lines,
        agents: Callable[[], Awaitable[AgentCatalog]],
        *,
        base_url: str,
        owner: str,
        room: Room,
        patience: Patience | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take what it needs.

        Args:
            store: where calls are written down.
            rest: Twilio; None without credentials, and no call can be placed.
            lines: who has room.
            agents: returns the agents as their files are now.
            base_url: our public address.
            owner: this process's name.
            room: the limits.
            patience: how long is waited for what.
            now: the time, aware.
        """
        self._store, self._rest, self._lines, self._agents = store, rest, lines, agents
        self._owner, self._room, self._now = owner, room, now
        self._patience = patience or Patience()
        self._one = Placing(
            store, rest, lines, agents, base_url=base_url, owner=owner, room=room, patience=self._patience, now=now
        )
        self._placing: dict[str, asyncio.Task[None]] = {}
        self._spending: Spending | None = None
        self.timers: Timers | None = None
        """Have calls placed at their time; without them the sweep does."""

    # ---- what is asked for ----

    async def place(
        self, request: CallRequest, *, requested_by: str = "", idempotency_key: str | None = None
    ) -> tuple[Outgoing, bool]:
        """Write a call down and place it, or have it placed when its time comes.

        Returns the call and whether it is new; the same idempotency key with the same request is the same call. When
        Twilio is slow the call is returned as it is, still queued.

        Raises:
            NotPlaced: one of its kinds says why; nothing was dialled.
            DatabaseAway: it is not written down, or nobody knows; ask again with the same idempotency key.
        """
        if self._rest is None:
            raise NoTwilio
        try:
            if idempotency_key is not None:
                known = await self._store.find_repeated(requested_by, idempotency_key, request.fingerprint)
                if known is not None:
                    return known, False
            agent, order = await self._read(request, requested_by, idempotency_key)
            await self._check_budget(agent, order)
            outgoing, is_new = await self._store.open(
                order, self._room, owner=None if order.due_at else self._owner, now=self._now()
            )
        except OtherRequest as error:
            raise SameKeyOtherRequest from error
        except NoRoom as error:
            raise OverLimit(lacking(error.lack)) from error
        call_id = outgoing.call.call_id
        if is_new:
            logger.bind(call_id=call_id, agent=agent.name, is_scheduled=order.due_at is not None).info("call asked for")
        if order.due_at is not None:
            if is_new and self.timers is not None:
                await self.timers.set(call_id, order.due_at, self._now())
            return outgoing, is_new
        if is_new:
            task = self._begin(call_id)
            await asyncio.wait({task}, timeout=_ANSWER_SECS)
            outgoing = await self._get(call_id)
            _raise_if_refused(outgoing)
        return outgoing, is_new

    async def place_now(self, call_id: str) -> Outgoing:
        """Place a call that was written down, now; returns it as it is then. Any number of times, from any process.

        A call that is placed, called off or over stays as it is; one that another process is placing is left to that.
        """
        await asyncio.wait({self._begin(call_id)})
        return await self._get(call_id)

    async def find(self, call_id: str) -> Outgoing | None:
        """Return a placed call as it is."""
        return await self._store.find(call_id)

    async def call_off(self, call_id: str, reason: EndReason = EndReason.CANCELLED) -> None:
        """End a call that is not live yet; a phone that rings falls silent. Does nothing to any other.

        Raises:
            TwilioUnusable: it is called off here, but Twilio could not be told; whoever answers is hung up on.
        """
        is_first = await self._store.end_unplaced(call_id, reason)
        self._lines.give_up(call_id)
        outgoing = await self._get(call_id)
        if is_first:
            count_end(reason, outgoing.call.agent_name)
        if outgoing.order.due_at is not None and self.timers is not None:
            await self.timers.cancel(call_id)
        if outgoing.call.status == CallStatus.ENDED and outgoing.call.call_sid is not None:
            await self.hang_up(outgoing.call.call_sid, call_id)

    async def hang_up(self, call_sid: str, call_id: str) -> None:
        """Have Twilio end a call. Raises `TwilioUnusable`, `NoTwilio`."""
        await self._one.hang_up(call_sid, call_id)

    # ---- what Twilio tells ----

    async def take_webhook(self, call_id: str, call_sid: str) -> CallRow | None:
        """Return the row of the call that a request of Twilio's is about, which thereby is known to be placed.

        None when there is no such call, or when it is another of Twilio's calls than ours: that one is ended.
        """
        return await self._one.take_webhook(call_id, call_sid)

    async def note_ringing(self, call_id: str) -> bool:
        """A phone rings, or was answered; False when that is old news."""
        return await self._store.note_ringing(call_id)

    async def take_status(self, row: CallRow, status: str, duration_secs: int | None = None) -> None:
        """Move a row as Twilio's word for its status says. What comes late, twice or out of order changes nothing."""
        is_final = status in MOVES and MOVES[status].reason is not None
        if duration_secs is not None and is_final:
            await self._store.note_answered_secs(row.call_id, duration_secs)
        before = State(CallStatus(row.status), None if row.end_reason is None else EndReason(row.end_reason))
        later = after(before, status)
        if later == before:
            return
        # The row may have moved since it was read: each statement says from where it moves.
        if later.reason is None:
            await self._store.note_ringing(row.call_id)
        elif await self._store.end_unplaced(row.call_id, later.reason):
            self._lines.give_up(row.call_id)
            count_end(later.reason, row.agent_name)
            logger.bind(call_id=row.call_id, reason=later.reason.value).info("placed call ended without a conversation")

    # ---- what is left behind ----

    async def sweep(self) -> None:
        """Go on with the calls of processes that are gone, place what is due, and ask about calls that went silent."""
        if self._rest is None:
            return
        # Timers have their moment first.
        due_at = self._now() - timedelta(seconds=0.0 if self.timers is None else _TIMERS_LATEST_SECS)
        for call_id in await self._store.list_orphans(due_at):
            if call_id not in self._placing and await self._store.adopt(call_id, self._owner):
                self._begin(call_id)
        for row in await self._store.list_silent(self._now() - timedelta(seconds=self._patience.silent_secs)):
            await self._ask_about(row, self._rest)

    async def run(self) -> None:
        """Sweep at once, and from then on, until cancelled."""
        is_away = False
        while True:
            try:
                await self.sweep()
                is_away = False
            except DatabaseAway as error:
                if not is_away:
                    logger.bind(problem=str(error)).warning("calls that are due cannot be looked for now")
                is_away = True
            await asyncio.sleep(self._patience.sweep_secs)

    async def close(self) -> None:
        """Let what is being dialled be dialled; what is left then is found by the next process."""
        tasks = {*self._placing.values(), *self._one.errands}
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=_CLOSING_SECS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # ---- dialling ----

    async def _read(
        self, request: CallRequest, requested_by: str, idempotency_key: str | None
    ) -> tuple[AgentConfig, Order]:
        catalog = await self._agents()
        agent = catalog.by_name(request.agent)
        if agent is None:
            raise NoSuchAgent
        if request.at is not None:
            check_time(request.at, self._now())
        overrides = request.overrides.as_json()
        agent = with_overrides(agent, overrides)
        is_unwanted = await self._store.is_unwanted(request.to)
        wish = rules.Wish(request.to, request.from_number, request.variables, request.at or self._now(), is_unwanted)
        from_number = await asyncio.to_thread(rules.check, agent, wish, catalog.numbers())
        call = Call(
            call_id=uuid4().hex,
            call_sid=None,
            agent_name=agent.name,
            direction=Direction.OUTBOUND,
            from_number=from_number,
            to_number=request.to,
            variables=dict(request.variables),
            started_at=self._now(),
            overrides=overrides,
        )
        order = Order(
            call,
            ring_secs=request.ring_secs or agent.outbound.ring_secs,
            request_hash=request.fingerprint,
            requested_by=requested_by,
            idempotency_key=idempotency_key,
            due_at=request.at,
        )
        return agent, order

    def know_spending(self, spending: Spending) -> None:
        """Place no call of an agent that has cost what it may, from now on."""
        self._spending = self._one.spending = spending

    async def _check_budget(self, agent: AgentConfig, order: Order) -> None:
        """Raise `OverBudget` for a call that is due now; one for later is looked at when its time has come."""
        if self._spending is not None and order.due_at is None:
            if problem := await self._spending.problem_of(agent):
                raise OverBudget(problem)

    def _begin(self, call_id: str) -> asyncio.Task[None]:
        """Start to place a call, unless this process is at it already."""
        task = self._placing.get(call_id)
        if task is None:
            task = asyncio.create_task(self._place(call_id), name=f"place call {call_id}")
            self._placing[call_id] = task
            task.add_done_callback(lambda done: self._ended(call_id, done))
        return task

    async def _place(self, call_id: str) -> None:
        while True:
            try:
                await self._one.place(call_id)
                return
            except DatabaseAway as error:
                logger.bind(call_id=call_id, problem=str(error)).warning("a call waits for the database to be placed")
                await asyncio.sleep(_AWAY_SECS)

    def _ended(self, call_id: str, task: asyncio.Task[None]) -> None:
        self._placing.pop(call_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.bind(call_id=call_id).opt(exception=error).error(
                "a call could not be placed by a fault of the server"
            )

    async def _ask_about(self, row: CallRow, rest: TwilioRest) -> None:
        """Ask Twilio how a call stands whose last word never came."""
        try:
            call = await rest.fetch(row.call_sid or "")
        except TwilioFailed as error:
            logger.bind(call_id=row.call_id, problem=str(error)).warning("Twilio does not say how a call stands")
            return
        if call is None:
            await self._one.give_up(row.call_id, EndReason.FAILED_TO_DIAL, "Twilio knows nothing of it any more.")
        else:
            await self.take_status(row, call.status, call.duration_secs)

    async def _get(self, call_id: str) -> Outgoing:
        outgoing = await self._store.find(call_id)
        if outgoing is None:
            raise NoSuchCall
        return outgoing


def _raise_if_refused(outgoing: Outgoing) -> None:
    row, order = outgoing.call, outgoing.order
    if row.status != CallStatus.ENDED or order.problem is None:
        return
    kind: type[NotPlaced] = TwilioRefuses
    if row.end_reason in (EndReason.REFUSED, EndReason.REFUSED_BUSY):
        kind = OverLimit
    elif order.problem_code is None or order.problem_code in _ACCOUNT_CODES:
        kind = TwilioUnusable
    raise kind(order.problem, call_id=row.call_id, code=order.problem_code)
