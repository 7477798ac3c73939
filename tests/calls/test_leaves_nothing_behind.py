"""A call, however it ends, leaves no task, no thread and no open file in the process."""

import asyncio
import gc
import os
import threading

SLOW_BOT = '''
import asyncio

from pipelines import Bot, end_call

async def opening_hours(params, day: str) -> None:
    """Tell when the office is open, after a long while.

    Args:
        params: Given.
        day: Weekday.
    """
    await asyncio.sleep(30)
    await params.result_callback({"open": "09:00", "close": "17:00"})

async def book_appointment(params, day: str, time: str, name: str) -> None:
    """Book.

    Args:
        params: Given.
        day: Weekday.
        time: Hour.
        name: Name.
    """
    await params.result_callback({"booked": True})

bot = Bot(tools=[opening_hours, book_appointment, end_call])
'''


def held() -> tuple[set[str], set[int], int]:
    """What the process holds: names of tasks, threads, and how many files are open."""
    gc.collect()
    tasks = {task.get_name() for task in asyncio.all_tasks()}
    # The pools of asyncio and of the database keep their threads; they are bounded, and no call's.
    shared = ("asyncio_", "AnyIO", "Thread-")
    threads = {thread.ident or 0 for thread in threading.enumerate() if not thread.name.startswith(shared)}
    return tasks, threads, len(os.listdir("/proc/self/fd"))


async def hang_up_at_once(house) -> None:
    call = await house.dial()
    await call.hang_up()
    await call.ended()


async def hang_up_in_the_greeting(house) -> None:
    call = await house.dial()
    await call.wait_heard()
    await call.hang_up()
    await call.ended()


async def lose_the_line(house) -> None:
    call = await house.dial()
    await call.wait_heard()
    call.caller.socket.abort()
    await call.ended()


async def hang_up_while_a_tool_runs(house) -> None:
    call = await house.dial()
    await house.say(call, "ask-opening-hours")
    async with asyncio.timeout(10):
        while not await house.events(call, "tool.called"):  # noqa: ASYNC110 - a database has no event to wait for
            await asyncio.sleep(0.05)
    await call.hang_up()
    await call.ended()
    await house.ended_row(call)
    assert await house.events(call, "tool.cancelled")


async def hang_up_in_the_goodbye(house) -> None:
    call = await house.dial()
    await house.say(call, "goodbye")
    await call.wait_heard()
    await call.hang_up()
    await call.ended()


async def hear_the_goodbye_out(house) -> None:
    call = await house.dial()
    await house.say(call, "goodbye")
    await call.ended()


async def test_calls_leave_nothing_behind(make_house, bots_with):
    house = await make_house(agents={"front-desk": {"bot": "slow"}}, bots_dir=bots_with("slow", SLOW_BOT))
    ways = (
        hang_up_at_once,
        hang_up_in_the_greeting,
        lose_the_line,
        hang_up_while_a_tool_runs,
        hang_up_in_the_goodbye,
        hear_the_goodbye_out,
    )
    # What is opened once and kept (pools, connections, first imports) is opened by a round of each kind at a time.
    await asyncio.gather(*(way(house) for way in ways))
    before: tuple[set[str], set[int], int] | None = None
    for way in ways:
        await way(house)
        async with asyncio.timeout(10):
            while house.server.services.live.count:  # noqa: ASYNC110 - the server tells nobody that it is idle
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        now = held()
        if before is not None:
            new_tasks = {name for name in now[0] - before[0] if not name.startswith("Task-")}
            assert not new_tasks, f"{way.__name__} leaves tasks"
            assert len(now[0]) <= len(before[0]), f"{way.__name__} leaves unnamed tasks"
            assert now[1] <= before[1], f"{way.__name__} leaves threads"
            assert now[2] <= before[2] + 1, f"{way.__name__} leaves files open"
        before = before or now
