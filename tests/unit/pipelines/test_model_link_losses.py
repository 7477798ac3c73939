"""Connections that break, block and come back: no sound is lost or out of order, and nothing piles up."""

import asyncio

from pipelines.link_listener import Cause, Resumption
from pipelines.model_failures import FailureKind
from tests.unit.pipelines.wire_model import (
    Line,
    Told,
    WireModel,
    link_to,
    numbered,
    spoken,
    until,
    wire_model,
)


async def keep(line: Line) -> None:
    """A model that takes everything, and gives a handle of its own number."""
    await line.begin()
    await line.give_handle(f"handle-{line.number}")
    await line.listen()


async def opened(model: WireModel, told: Told, **connection: float):
    """A link that is up, with a handle."""
    link = link_to(model.client, **connection)
    link.attach(told)
    link.open()
    await until(lambda: link.is_up and told.resumable)
    return link


async def test_nothing_is_lost_or_out_of_order_when_connections_break_in_the_middle(tmp_path):
    async def break_off(line: Line) -> None:
        await line.begin()
        await line.give_handle(f"handle-{line.number}")
        if line.number < 3:
            await line.hear(40)
            line.socket.transport.abort()
        else:
            await line.listen()

    async with wire_model(tmp_path, break_off) as model:
        told = Told()
        link = await opened(model, told)

        async def say_again() -> None:
            told.going_on = Resumption(model.lines[-1].numbers[-1] * 20.0)

        told.on_lost = say_again
        for number in range(300):
            link.send_audio(numbered(number))
            await asyncio.sleep(0.005)
        await until(lambda: len(model.lines) == 4 and model.lines[3].numbers[-1:] == [299])
        await link.close()
    heard = [line.numbers for line in model.lines]
    assert [number for numbers in heard for number in numbers] == list(range(300))
    assert [line.handle for line in model.lines] == [None, "handle-0", "handle-1", "handle-2"]
    assert [cause for cause, _ in told.lost] == [Cause.DROPPED] * 3


async def test_sound_is_sent_once_when_nothing_is_to_be_said_again(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        link = await opened(model, Told())
        for number in range(10):
            link.send_audio(numbered(number))
        await until(lambda: len(model.lines[0].numbers) == 10)
        link.renew(Cause.HANDOVER)
        for number in range(10, 20):
            link.send_audio(numbered(number))
        # What is added before the loop sees to the renewal may still go out on the first connection.
        await until(lambda: len(model.lines) == 2 and sum(len(line.numbers) for line in model.lines) >= 20)
        await asyncio.sleep(0.1)
        assert model.lines[0].numbers + model.lines[1].numbers == list(range(20))
        await link.close()


async def test_a_peer_that_reads_nothing_holds_nobody_up_and_costs_half_a_minute_of_sound_at_most(tmp_path):
    async def deaf(line: Line) -> None:
        await line.begin()
        await line.give_handle("handle")
        await line.play_dead()

    async with wire_model(tmp_path, deaf) as model:
        link = await opened(model, Told())
        began = asyncio.get_running_loop().time()
        second = b"\x01\x00" * 8000
        for number in range(1200):  # twenty minutes: far more than the sockets' buffers take
            audio = numbered(number)
            link.send_audio(type(audio)(second, 8000, number * 1000.0))
            await asyncio.sleep(0)
        waiting = link._outbox
        assert len(waiting) <= 31
        assert waiting.dropped_ms > 600_000
        link.send_audio(numbered(1))
        await link.close()
        assert asyncio.get_running_loop().time() - began < 6


async def test_a_message_that_is_never_dealt_with_does_not_keep_the_connection(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        told, cut_off = Told(), asyncio.Event()
        link = await opened(model, told)

        async def hang(message) -> None:
            if message.server_content is None:
                return
            try:
                await asyncio.Event().wait()
            finally:
                cut_off.set()

        told.on_message = hang
        await model.lines[0].say(spoken("One."))
        await until(lambda: told.texts)
        link.renew(Cause.STALLED)
        await until(lambda: len(told.ready) == 2)
        assert cut_off.is_set()
        await link.close()


async def test_connections_that_do_not_last_are_not_made_again_without_a_pause(tmp_path):
    async def quit_soon(line: Line) -> None:
        await line.begin()
        await line.socket.close(1011, "Internal error encountered.")

    async with wire_model(tmp_path, quit_soon) as model:
        told, link = Told(), link_to(model.client)
        link.attach(told)
        link.open()
        await asyncio.sleep(1.5)
        assert 2 <= len(model.lines) <= 5
        assert told.failed == []
        await link.close()


async def test_a_model_that_becomes_ready_and_then_refuses_is_lost(tmp_path):
    async def spend_quota(line: Line) -> None:
        await line.begin()
        await line.socket.close(1011, "You exceeded your current quota.")

    async with wire_model(tmp_path, spend_quota) as model:
        told, link = Told(), link_to(model.client)
        link.attach(told)
        link.open()
        await until(lambda: told.failed)
        [(cause, failure)] = told.failed
        assert (cause, failure.kind) == (Cause.DROPPED, FailureKind.OTHER_MODEL)
        await asyncio.sleep(0.3)
        assert len(model.lines) == 1
        await link.close()
