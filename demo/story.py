"""What the simulated caller says and does: one short story for each kind of bot."""

import asyncio
from collections.abc import Awaitable, Callable

from simulators.caller import CallOver
from simulators.clips import CLIP_RATE_HZ, caller_samples
from simulators.simulated_call import SimulatedCall

Story = Callable[[SimulatedCall], Awaitable[None]]

_PAUSE_MS = 1000
"""Quiet that ends the agent's turn for the caller; pauses between sentences are shorter."""
_BARGE_IN_SECS = 1.8


async def _hear_out(call: SimulatedCall) -> None:
    await call.wait_heard()
    await call.wait_quiet(quiet_ms=_PAUSE_MS)


async def _say(call: SimulatedCall, clip_id: str) -> None:
    await call.say(await asyncio.to_thread(caller_samples, clip_id), CLIP_RATE_HZ)


async def _front_desk(call: SimulatedCall) -> None:
    """Asks for opening hours, interrupts the answer, books an appointment, says goodbye."""
    await _hear_out(call)
    await _say(call, "ask-opening-hours")
    await call.wait_heard()
    await call.silence(_BARGE_IN_SECS)
    for clip in ("wait-book", "book-tuesday", "name-alex"):
        await _say(call, clip)
        await _hear_out(call)
    await _say(call, "goodbye")


async def _survey(call: SimulatedCall) -> None:
    """Answers three questions."""
    for clip in ("rate-four", "reason-waiting", "recommend-yes"):
        await _hear_out(call)
        await _say(call, clip)


async def _line_test(call: SimulatedCall) -> None:
    """Speaks, listens for its own voice, hangs up."""
    await call.silence(0.5)
    await _say(call, "ask-opening-hours")
    await call.silence(2.0)
    await call.hang_up()


async def _small_talk(call: SimulatedCall) -> None:
    """For any other bot: a question, something unexpected, goodbye."""
    await _hear_out(call)
    for clip in ("ask-opening-hours", "unknown-remark"):
        await _say(call, clip)
        await _hear_out(call)
    await _say(call, "goodbye")
    await _hear_out(call)
    await call.hang_up()


_STORIES: dict[str, Story] = {"receptionist": _front_desk, "survey": _survey, "echo": _line_test}


async def play(bot_name: str, call: SimulatedCall) -> None:
    """Play the story for a bot, until the call is over. An agent that ends the call first ends the story."""
    story = _STORIES.get(bot_name, _small_talk)
    try:
        await story(call)
    except CallOver:
        return
