"""What ends a server: Ctrl-C and SIGTERM, the first in order, a second one at once; or its supervisor's word."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Protocol, TypeVar

import uvloop

from pipelines.housekeeping import settle
from switchboard.member import Member
from switchboard.start_failure import CannotStart


class Stoppable(Protocol):
    """Something that may wait for calls when its block ends."""

    def stop_at_once(self) -> None:
        """Let the end of the block wait for no call."""
        ...


_S = TypeVar("_S", bound=Stoppable)
_R = TypeVar("_R")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Stopping(Generic[_S]):
    """Whether the server was told to stop, and what that means at each moment of its life."""

    def __init__(self) -> None:
        self._starting = asyncio.current_task()
        self._told = asyncio.Event()
        self._ready: _S | None = None

    def stop(self) -> None:
        """Stop in order; also while it is still being started, for example while it waits for the database."""
        if self._ready is None and self._starting is not None and not self._told.is_set():
            self._starting.cancel()
        self._told.set()

    def stop_at_once(self) -> None:
        self.stop()
        if self._ready is not None:
            self._ready.stop_at_once()

    def stop_faster(self) -> None:
        """Stop in order when told for the first time, then at once."""
        (self.stop_at_once if self._told.is_set() else self.stop)()

    async def serve(self, server: AbstractAsyncContextManager[_S], on_ready: Callable[[_S], None]) -> None:
        try:
            async with server as running:
                self._ready = running
                on_ready(running)
                await self._told.wait()
        except asyncio.CancelledError:
            if not self._told.is_set():
                raise


async def run_until_told(server: AbstractAsyncContextManager[_S], on_ready: Callable[[_S], None]) -> None:
    """Enter `server`, call `on_ready`, and leave it on SIGINT or SIGTERM; also while it is still being entered.

    Returns normally in both cases: to be told to stop is no failure.
    """
    loop, stopping = asyncio.get_running_loop(), _Stopping[_S]()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopping.stop_faster)
    try:
        await stopping.serve(server, on_ready)
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def run_as_member(member: Member, server: AbstractAsyncContextManager[Stoppable]) -> int:
    """Enter `server` when the supervisor says so and leave it when it says so; returns the exit code.

    A signal only ever means to stop in order: an init system may send it to all processes, and the supervisor as well.
    """
    loop, stopping = asyncio.get_running_loop(), _Stopping[Stoppable]()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopping.stop)
    # Ctrl-C and a closed terminal are the supervisor's business.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    try:
        async with member.connected(lambda is_at_once: (stopping.stop_at_once if is_at_once else stopping.stop)()):
            try:
                await stopping.serve(server, lambda _running: settle())
            except CannotStart as error:
                member.cannot_begin(str(error), error.exit_code)
                return error.exit_code
    except asyncio.CancelledError:
        return 0  # told to stop before it had begun
    finally:
        for number in (*_SIGNALS, signal.SIGHUP):
            loop.remove_signal_handler(number)
    return 0


def run(server: AbstractAsyncContextManager[_S], on_ready: Callable[[_S], None]) -> None:
    """Run the server as the whole work of this process; see `run_until_told`."""

    def settled(running: _S) -> None:
        settle()
        on_ready(running)

    run_on_loop(run_until_told(server, settled))


def run_on_loop(work: Coroutine[Any, Any, _R]) -> _R:
    """Run a coroutine as the whole work of this process, on the loop that calls are made for."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
