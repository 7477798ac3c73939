"""A call, however it ends, leaves no task, no thread and no open file in the process."""

import asyncio
import gc
import os
import threading

import pytest

from tests.calls.every_ending import AGENTS, SLOW_BOT, Endings


def held() -> tuple[set[str], set[int], int]:
    """What the process holds: names of tasks, threads, and how many files are open."""
    gc.collect()
    tasks = {task.get_name() for task in asyncio.all_tasks()}
    # The pools of asyncio and of the database keep their threads; they are bounded, and no call's.
    shared = ("asyncio_", "AnyIO", "Thread-")
    threads = {thread.ident or 0 for thread in threading.enumerate() if not thread.name.startswith(shared)}
    files = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if is_open(name)]
    return tasks, threads, len([file for file in files if "trunkline.db" not in file])


def is_open(name: str) -> bool:
    """Whether it is more than the look at the folder itself."""
    return os.path.lexists(f"/proc/self/fd/{name}")


@pytest.mark.soak  # the ledger does the same from outside
async def test_calls_leave_nothing_behind(make_house, bots_with):
    house = await make_house(agents=AGENTS, bots_dir=bots_with("slow", SLOW_BOT), max_calls=10)
    live = house.server.services.live
    endings = Endings(house.twilio, house.gemini, house.store, house.server.base_url)

    async def ring_in_vain() -> None:
        await endings.ring_until_busy()
        live.give_up_ringing()  # which the first slot's own time would do after a while

    alone = (endings.outlive_a_stalled_model, endings.lose_the_model_for_good, ring_in_vain)
    # What is opened once and kept (pools, connections, first imports) is opened by a round of each kind at a time.
    await asyncio.gather(*(way() for way in endings.anytime()))
    before: tuple[set[str], set[int], int] | None = None
    for way in (*alone, *endings.anytime(), *alone):
        await way()
        async with asyncio.timeout(10):
            while live.count:  # noqa: ASYNC110 - the server tells nobody that it is idle
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        now = held()
        if before is not None:
            new_tasks = {name for name in now[0] - before[0] if not name.startswith("Task-")}
            assert not new_tasks, f"{way.__name__} leaves tasks"
            assert len(now[0]) <= len(before[0]), f"{way.__name__} leaves unnamed tasks"
            assert now[1] <= before[1], f"{way.__name__} leaves threads"
            assert now[2] <= before[2] + 1, f"{way.__name__} leaves files open"
        if way is alone[-1]:
            before = before or now
