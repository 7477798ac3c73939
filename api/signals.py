"""Ctrl-C and SIGTERM: the first one stops the server in order, a second one at once."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

import uvloop

from pipelines.housekeeping import settle


class Stoppable(Protocol):
    """Something that may wait for calls when its block ends."""

    def stop_at_once(self) -> None:
        """Let the end of the block wait for no call."""
        ...


_S = TypeVar("_S", bound=Stoppable)


async def run_until_told(server: AbstractAsyncContextManager[_S], on_ready: Callable[[_S], None]) -> None:
    """Enter `server`, call `on_ready`, and leave it on SIGINT or SIGTERM; also while it is still being entered.

    Returns normally in both cases: to be told to stop is no failure.
    """
    loop, told, starting = asyncio.get_running_loop(), asyncio.Event(), asyncio.current_task()
    ready: list[_S] = []

    def stop() -> None:
        if not ready:
            if starting is not None and not told.is_set():
                starting.cancel()  # for example while it waits for the database
        elif told.is_set():
            ready[0].stop_at_once()
        told.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        async with server as running:
            ready.append(running)
            on_ready(running)
            await told.wait()
    except asyncio.CancelledError:
        if not told.is_set():
            raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def run(server: AbstractAsyncContextManager[_S], on_ready: Callable[[_S], None]) -> None:
    """Run the server as the whole work of this process; see `run_until_told`."""

    def settled(running: _S) -> None:
        settle()
        on_ready(running)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_until_told(server, settled))
