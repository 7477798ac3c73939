"""A process's end of the switchboard: what it asks and is asked, and the connections that it is given."""

import asyncio
import socket
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager

from loguru import logger

from switchboard.colleagues import Office
from switchboard.handing_over import Taking
from switchboard.link import Link, NoAnswer
from switchboard.messages import (
    Admit,
    AskOpen,
    Begin,
    Body,
    CannotBegin,
    Died,
    Done,
    Errand,
    Follow,
    Freed,
    GiveUp,
    Go,
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
    Stop,
    Took,
    Up,
    Wrote,
)
from telemetry import merging, metrics

_STATE_SECS = 0.5
_SNAPSHOT_EVERY = 10
"""With every so many states the metrics go along: what a process that dies has counted is lost for 5 s at most."""
_PLACE_SECS = 2.0
"""A webhook that nobody answers in this time is answered by its own process alone: Twilio gives it 15 s."""
_ADMIT_SECS = 1.0
_ASK_SECS = 1.5
_LAST_SECS = 0.1
"""A connection that was handed over in the last moment has this long to be read from."""


class Member:
    """One process of several. `Colleagues` for its routes; its supervisor asks it by what `serving` is given.

    `begin` is what the supervisor told first.
    """

    def __init__(self, begin: Begin, messages: socket.socket, passage: socket.socket) -> None:
        """Take both sockets to the supervisor, which are then this object's own."""
        self.begin = begin
        self._link = Link(messages, self._hear, self._answer)
        self._taking = Taking(passage, self._take)
        self._go = asyncio.Event()
        self._office: Office | None = None
        self._take_connection: Callable[[socket.socket], None] | None = None
        self._followers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._stopping: Callable[[bool], None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._telling: asyncio.Task[None] | None = None
        self._told_state: State | None = None
        self._most_while_full: int | None = None

    @property
    def share(self) -> int | None:
        """Its part of the server's calls; while the whole server is full, those that it had when it became so."""
        if self._most_while_full is not None:
            return self._most_while_full
        return max(1, int(self.begin.settings["max_calls"]) // self.begin.processes)

    @asynccontextmanager
    async def connected(self, on_stop: Callable[[bool], None]) -> AsyncGenerator[None]:
        """Be in touch with the supervisor for the length of the block, and wait for its word to go on.

        `on_stop` is called when the process shall end, with whether it shall do so at once. A supervisor that is gone
        is such a word too: nobody will bring connections any more.
        """
        self._stopping = on_stop
        running = asyncio.create_task(self._run(), name="line to the supervisor")
        try:
            await self._go.wait()
            yield
        finally:
            tasks = [running, *self._closing, *([self._telling] if self._telling else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._link.tell(_own_metrics())
            self._link.close()
            self._taking.close()

    def cannot_begin(self, problem: str, exit_code: int) -> None:
        """Leave it to the supervisor to say, once, why the server does not come up."""
        self._link.tell(CannotBegin(problem=problem, exit_code=exit_code))

    def be_up(self, office: Office, take: Callable[[socket.socket], None]) -> None:
        """Be up until the block of `connected` ends: asked by the others, by `office`, and given connections."""
        self._office, self._take_connection = office, take
        self._taking.begin()
        self._link.tell(Up(instance=office.instance))
        self._telling = asyncio.create_task(self._keep_telling(office), name="state of this process")

    async def leave(self) -> None:
        """Be given no more connections; returns when the last one has had time to say what it wants."""
        try:
            await self._link.ask(Leaving(), Done, _ASK_SECS)
        except NoAnswer:
            logger.debug("nobody hands connections over any more")
        self._taking.take_all()
        await asyncio.sleep(_LAST_SECS)

    async def place(self, order: Order) -> Placed | None:
        """See `Colleagues`."""
        try:
            return await self._link.ask(order, Placed, _PLACE_SECS)
        except NoAnswer:
            logger.bind(call_id=order.call_id).warning("a call could not be placed in time: this process decides alone")
            self._link.tell(Took(call_id=order.call_id, call_sid=order.call_sid))
            return None

    async def admit(self, call_id: str, call_sid: str = "") -> Placed | None:
        """See `Colleagues`."""
        try:
            return await self._link.ask(Admit(call_id=call_id, call_sid=call_sid), Placed, _ADMIT_SECS)
        except NoAnswer:
            self._link.tell(Took(call_id=call_id, call_sid=call_sid))
            return None

    def freed(self, call_id: str) -> None:
        """See `Colleagues`."""
        self._link.tell(Freed(call_id=call_id))

    def give_up(self, call_id: str) -> None:
        """See `Colleagues`."""
        self._link.tell(GiveUp(call_id=call_id))

    async def run_errand(
        self, name: str, *, call_id: str = "", call_sid: str = "", timeout_secs: float, **details: str
    ) -> Mapping[str, str] | None:
        """See `Colleagues`."""
        errand = Errand(name=name, call_id=call_id, call_sid=call_sid, details=details)
        try:
            return (await self._link.ask(errand, Result, timeout_secs)).value
        except NoAnswer:
            logger.bind(errand=name).warning("the process that has a call did not answer")
            return None

    def heard_from(self, call_sid: str) -> None:
        """See `Colleagues`."""
        self._link.tell(Heard(call_sid=call_sid))

    @contextmanager
    def following(self, call_id: str) -> Generator[asyncio.Event]:
        """See `Colleagues`."""
        news = asyncio.Event()
        self._followers[call_id].add(news)
        self._link.tell(Follow(call_id=call_id))
        try:
            yield news
        finally:
            self._followers[call_id].discard(news)
            if not self._followers[call_id]:
                del self._followers[call_id]
                self._link.tell(Follow(call_id=call_id, is_on=False))

    def wrote(self, call_ids: Collection[str]) -> None:
        """See `Colleagues`."""
        self._link.tell(Wrote(call_ids=list(call_ids)))

    async def read_metrics(self) -> bytes | None:
        """See `Colleagues`."""
        try:
            answer = await self._link.ask(ReadMetrics(), Metrics, _ASK_SECS)
        except NoAnswer:
            return None
        return await asyncio.to_thread(lambda: merging.render(map(merging.Family.from_json, answer.families)))

    async def is_open(self) -> bool | None:
        """See `Colleagues`."""
        try:
            return (await self._link.ask(AskOpen(), IsOpen, _ASK_SECS)).value
        except NoAnswer:
            return None

    async def _run(self) -> None:
        await self._link.run()
        logger.error("the supervisor is gone: this process lets its calls end, and ends")
        self._stop(is_at_once=False)

    def _stop(self, *, is_at_once: bool) -> None:
        if self._stopping is not None:
            self._stopping(is_at_once)

    async def _keep_telling(self, office: Office) -> None:
        count = 0
        while True:
            state = State(refusal=office.refusal())
            # A change of mind is told at once, as far as half a tenth of a second is.
            if state != self._told_state or count % 10 == 0:
                self._link.tell(state)
                self._told_state = state
            if count % (10 * _SNAPSHOT_EVERY) == 0:
                self._link.tell(_own_metrics())
            count += 1
            await asyncio.sleep(_STATE_SECS / 10)

    def _take(self, connection: socket.socket) -> None:
        if self._take_connection is None:
            connection.close()
        else:
            self._take_connection(connection)

    def _hear(self, body: Body) -> None:
        office = self._office
        match body:
            case Go():
                self._go.set()
            case Stop(is_at_once=is_at_once):
                self._stop(is_at_once=is_at_once)
            case Room(most=most):
                self._most_while_full = most
            case Wrote(call_ids=call_ids):
                for news in [news for call_id in call_ids for news in self._followers.get(call_id, ())]:
                    news.set()
            case GiveUp(call_id=call_id) if office is not None:
                office.give_up(call_id)
            case Heard(call_sid=call_sid) if office is not None:
                office.heard_from(call_sid)
            case Follow(call_id=call_id, is_on=is_on) if office is not None:
                office.follow(call_id, is_on=is_on)
            case Died(instance=instance) if office is not None:
                closing = asyncio.create_task(office.close_calls_of(instance), name="close calls of a dead process")
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
            case _:
                logger.bind(kind=body.kind).debug("the supervisor tells something that is of no use here")

    async def _answer(self, body: Body) -> Body:
        office = self._office
        match body:
            case Order() if office is not None:
                if refusal := await office.reserve(body):
                    self._told_state = None  # the supervisor has noted it; that it is over must be told as well
                return Placed(instance="" if refusal else office.instance, refusal=refusal)
            case Errand() if office is not None:
                return Result(value=await office.run_errand(body.name, body.call_id, body.call_sid, body.details))
            case ReadMetrics():
                return _own_metrics()
            case _:
                return Done()


def _own_metrics() -> Metrics:
    metrics.TASKS.set(len(asyncio.all_tasks()))
    return Metrics(families=[family.as_json() for family in merging.take(metrics.REGISTRY)])
