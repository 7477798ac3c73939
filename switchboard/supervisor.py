"""The process above the others: has the port, starts them, replaces one that dies, and stops them in order.

It is small on purpose, and has no call: it loads no pipeline, so that nothing which goes wrong in one can reach it.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence

import uvloop
from loguru import logger

from config.errors import ConfigError
from config.settings import Settings
from switchboard.backoff import Backoff
from switchboard.child import Child, server_command, start_child
from switchboard.exchange import Exchange
from switchboard.messages import Begin, Body, CannotBegin, Died, Go, Up
from switchboard.placement import Placement
from switchboard.port import PortTaken, bind
from switchboard.reception import Reception
from switchboard.start_failure import CannotStart
from switchboard.usher import Usher
from telemetry import metrics

_SILENT_SECS = 3.0
"""A process that has said nothing for so long is stuck, or its machine is: it is given no more calls."""
_LOOK_SECS = 0.5
_GOODBYES_SECS = 45.0
"""What a process may take to end beyond `drain_secs`; then it is killed."""
_AT_ONCE_SECS = 15.0
_CRASHED = 1

LoadSettings = Callable[[], Settings]


class Supervisor:
    """Runs `count` processes of the server until it is told to stop."""

    def __init__(
        self,
        settings: Settings,
        count: int,
        *,
        reload: LoadSettings | None = None,
        command: Sequence[str] = (),
    ) -> None:
        """Take the settings (port 0 takes a free one) and how many processes.

        `reload` reads the settings anew for a rolling restart; `command` starts a process, and is the server's own.
        """
        self.settings = settings
        self._count = count
        self._reload = reload
        self._command = list(command) or server_command()
        self._children: list[Child] = []
        self._watching: set[asyncio.Task[None]] = set()
        self._placement = Placement(settings.max_calls)
        self._exchange = Exchange(self._placement, lambda: self._children)
        self._usher = Usher(self._placement, lambda: self._children)
        self._told = asyncio.Event()
        self._hurry = asyncio.Event()
        self._is_serving = False
        self._failure: CannotStart | None = None
        self._backoffs = {number: Backoff() for number in range(1, count + 1)}
        self._rolling: asyncio.Task[None] | None = None

    @property
    def base_url(self) -> str:
        """Where this machine reaches the server, whatever its public address is."""
        return self.settings.model_copy(update={"public_base_url": None}).effective_public_base_url

    def stop(self) -> None:
        """Let the calls end and stop then; asked a second time, stop at once."""
        if self._told.is_set():
            self._hurry.set()
        self._told.set()

    def restart(self) -> None:
        """Replace one process after the other, with the settings and files as they are now; calls are not cut off."""
        if self._is_serving and not self._told.is_set() and (self._rolling is None or self._rolling.done()):
            self._rolling = asyncio.create_task(self._roll(), name="rolling restart")

    async def run(self, on_ready: Callable[["Supervisor"], None]) -> None:
        """Serve until told to stop; `on_ready` is called once every process is up. Raises `CannotStart`."""
        try:
            listener = bind(self.settings.host, self.settings.port)
        except PortTaken as problem:
            raise CannotStart(str(problem), 2) from problem
        self.settings = self.settings.model_copy(update={"port": listener.getsockname()[1]})
        reception = Reception(listener, self._usher.hand_over)
        looking = asyncio.create_task(self._keep_looking(), name="look after the processes")
        try:
            await self._start_all()
            if not self._told.is_set():
                try:
                    reception.open()
                except OSError as error:
                    raise CannotStart(f"cannot listen on {listener.getsockname()} ({error.strerror})", 2) from error
                self._is_serving = True
                on_ready(self)
                await self._told.wait()
        finally:
            looking.cancel()
            await self._stop_all()
            reception.close()
            self._usher.close()
            listener.close()
            await asyncio.gather(looking, *self._watching, return_exceptions=True)
        if self._failure is not None:
            raise self._failure

    async def _start_all(self) -> None:
        """Load all of them side by side, but let the first one meet the database before the others do."""
        for number in self._backoffs:
            await self._start(number)
        first, *others = list(self._children)
        first.link.tell(Go())
        await self._wait_settled([first])
        for child in others:
            child.link.tell(Go())
        await self._wait_settled(others)

    async def _wait_settled(self, children: Sequence[Child]) -> None:
        settling = [asyncio.create_task(child.is_settled.wait(), name="a process starts") for child in children]
        told = asyncio.create_task(self._told.wait(), name="told to stop while starting")
        everyone = asyncio.gather(*settling)
        try:
            await asyncio.wait({everyone, told}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            everyone.cancel()
            await asyncio.gather(told, everyone, *settling, return_exceptions=True)
        if not self._told.is_set():
            for child in children:
                if not child.is_up:
                    raise self._why_not(child)

    def _why_not(self, child: Child) -> CannotStart:
        if child.problem is not None:
            return CannotStart(child.problem.problem, child.problem.exit_code)
        return CannotStart(f"a server process ended while it started (exit code {child.process.returncode})", _CRASHED)

    async def _start(self, number: int) -> Child:
        begin = Begin(number=number, processes=self._count, settings=self.settings.reveal())
        made: list[Child] = []

        def hear(body: Body) -> None:
            self._hear(made[0], body)

        async def answer(body: Body) -> Body:
            made[0].heard_at_secs = time.monotonic()
            return await self._exchange.answer(made[0], body)

        child = await start_child(self._command, begin, hear, answer)
        made.append(child)
        self._children.append(child)
        self._hold(asyncio.create_task(self._watch(child), name=f"process {number}"))
        if self._told.is_set():
            child.stop()
        return child

    async def _watch(self, child: Child) -> None:
        """Listen to a process for as long as it lives, and see what follows from its end."""
        await child.link.run()
        self._exchange.bid_farewell(child)
        self._usher.take_back(child)
        code = await child.process.wait()
        child.is_settled.set()
        self._children.remove(child)
        self._exchange.inherit(child)
        child.close()
        if not self._is_serving or self._told.is_set() or child.is_told_to_stop:
            return
        metrics.PROCESSES_RESTARTED_TOTAL.inc()
        if child.name and code != 0:
            logger.bind(process=child.number, instance=child.name, exit_code=code).error("a server process died")
            self._tell_of_death(child.name)
        await self._replace(child)

    def _tell_of_death(self, instance: str) -> None:
        for other in self._children:
            if other.is_up:
                other.link.tell(Died(instance=instance))
                return

    async def _replace(self, child: Child) -> None:
        lived_secs = 0.0 if child.up_at_secs is None else time.monotonic() - child.up_at_secs
        backoff = self._backoffs[child.number]
        wait_secs = backoff.after(lived_secs, is_hopeless=child.problem is not None)
        if child.problem is not None:
            if not any(other.is_up for other in self._children):
                # Nobody serves, and trying again would only say the same again.
                self._failure = self._why_not(child)
                self._told.set()
                return
            if backoff.is_new(child.problem.problem):
                logger.bind(process=child.number, problem=child.problem.problem).error("a server process cannot start")
        while not await self._is_told_within(wait_secs):
            try:
                successor = await self._start(child.number)
            except OSError as error:
                logger.bind(process=child.number, problem=str(error)).error("a server process cannot be started")
                wait_secs = backoff.after(0.0, is_hopeless=True)
            else:
                successor.link.tell(Go())
                return

    async def _is_told_within(self, wait_secs: float) -> bool:
        """Wait; returns True as soon as the whole server is told to stop."""
        try:
            async with asyncio.timeout(wait_secs):
                await self._told.wait()
        except TimeoutError:
            return False
        return True

    async def _roll(self) -> None:
        if self._reload is not None:
            try:
                fresh = self._reload()
            except ConfigError as error:
                logger.bind(problem=str(error)).error("the settings cannot be used; those of before stay")
                return
            kept = {"host": self.settings.host, "port": self.settings.port}
            self.settings = fresh.model_copy(update=kept)
            self._placement.max_calls = self.settings.max_calls
        logger.info("every process is replaced by a new one, one after the other")
        for old in [child for child in self._children if child.is_up]:
            if self._told.is_set() or not old.is_up:
                continue
            new = await self._start(old.number)
            new.is_told_to_stop = True  # until it is up, its end is ours to deal with
            new.link.tell(Go())
            await self._wait_for(new)
            if not new.is_up:
                problem = new.problem.problem if new.problem else "it died"
                logger.bind(process=new.number, problem=problem).error("a new process cannot start; the old ones stay")
                return
            new.is_told_to_stop = self._told.is_set()
            old.stop()
        logger.info("every process was replaced")

    async def _wait_for(self, child: Child) -> None:
        """Wait until a process is up, has failed, or nobody needs it any more."""
        while not child.is_settled.is_set() and not await self._is_told_within(_LOOK_SECS / 10):
            continue

    async def _stop_all(self) -> None:
        """Have every process end; those that do not are killed."""
        self._told.set()
        self._exchange.is_stopping = True
        for child in self._children:
            child.stop()
        ending = asyncio.create_task(self._wait_for_ends(), name="the processes end")
        hurrying = asyncio.create_task(self._hurry.wait(), name="a second signal")
        try:
            limit_secs = self.settings.drain_secs + _GOODBYES_SECS
            await asyncio.wait({ending, hurrying}, timeout=limit_secs, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                for child in self._children:
                    child.stop(is_at_once=True)
                await asyncio.wait({ending}, timeout=_AT_ONCE_SECS)
            if not ending.done():
                logger.error("a server process does not end and is killed")
                for child in self._children:
                    child.kill()
            await ending
        finally:
            hurrying.cancel()
            ending.cancel()
            await asyncio.gather(hurrying, ending, return_exceptions=True)

    async def _wait_for_ends(self) -> None:
        while self._watching:
            await asyncio.wait(set(self._watching))

    def _hear(self, child: Child, body: Body) -> None:
        child.heard_at_secs = time.monotonic()
        match body:
            case CannotBegin():
                child.problem = body
            case Up(instance=instance):
                child.name, child.up_at_secs = instance, time.monotonic()
                self._exchange.welcome(child)
                child.is_settled.set()
                self._usher.look()
                if self._is_serving:
                    logger.bind(process=child.number, instance=instance).info("a new server process is up")
            case _:
                self._exchange.hear(child, body)

    async def _keep_looking(self) -> None:
        while True:
            now_secs = time.monotonic()
            for child in self._children:
                if child.name:
                    self._placement.note(child.name, is_silent=now_secs - child.heard_at_secs > _SILENT_SECS)
            self._usher.look()
            await asyncio.sleep(_LOOK_SECS)

    def _hold(self, task: asyncio.Task[None]) -> None:
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)


async def _run_until_told(supervisor: Supervisor, on_ready: Callable[[Supervisor], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, supervisor.stop)
    loop.add_signal_handler(signal.SIGHUP, supervisor.restart)
    try:
        await supervisor.run(on_ready)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)


def supervise(
    settings: Settings, count: int, on_ready: Callable[[Supervisor], None], *, reload: LoadSettings | None = None
) -> None:
    """Run `count` processes as the whole work of this one, until SIGINT or SIGTERM. Raises `CannotStart`."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run_until_told(Supervisor(settings, count, reload=reload), on_ready))
