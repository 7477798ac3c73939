"""Two ends of a line: questions, answers, and an end that is gone."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from switchboard.link import Link, NoAnswer
from switchboard.messages import Body, Done, Envelope, Errand, Heard, Result, State, encode


class End:
    """One end, which keeps what it hears and answers errands with their names."""

    def __init__(self, sock: socket.socket) -> None:
        self.heard: list[Body] = []
        self.link = Link(sock, self.heard.append, self.answer)

    async def answer(self, body: Body) -> Body:
        assert isinstance(body, Errand)
        if body.name == "sleep":
            await asyncio.sleep(5)
        if body.name == "fail":
            raise ValueError("no")
        return Result(value={"name": body.name})


@asynccontextmanager
async def line() -> AsyncGenerator[tuple[End, End]]:
    one, other = (End(sock) for sock in socket.socketpair())
    running = [asyncio.create_task(end.link.run(), name="line") for end in (one, other)]
    try:
        yield one, other
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_both_ends_ask_and_answer_at_the_same_time():
    async with line() as (one, other):
        asked = [end.link.ask(Errand(name=f"n{n}"), Result, 5) for n in range(50) for end in (one, other)]
        answers = await asyncio.gather(*asked)
    assert [answer.value for answer in answers] == [{"name": f"n{n}"} for n in range(50) for _ in range(2)]


async def test_what_is_told_arrives_in_order_however_much_it_is():
    async with line() as (one, other):
        told = [Heard(call_sid=f"CA{number}" + "x" * 5000) for number in range(500)]  # more than a socket holds
        for body in told:
            one.link.tell(body)
        assert await one.link.ask(Errand(name="last"), Result, 5) == Result(value={"name": "last"})
        assert other.heard == told


async def test_an_answer_that_does_not_come_in_time_is_none():
    async with line() as (one, _other):
        with pytest.raises(NoAnswer):
            await one.link.ask(Errand(name="sleep"), Result, 0.05)
        assert (await one.link.ask(Errand(name="next"), Result, 1)).value == {"name": "next"}


async def test_an_answer_of_another_kind_or_a_fault_is_none():
    async with line() as (one, _other):
        with pytest.raises(NoAnswer):
            await one.link.ask(Errand(name="a"), Done, 1)
        with pytest.raises(NoAnswer):
            await one.link.ask(Errand(name="fail"), Result, 1)


async def test_an_end_that_dies_in_the_middle_of_a_message_leaves_nobody_waiting():
    ours, theirs = socket.socketpair()
    end = End(ours)
    running = asyncio.create_task(end.link.run(), name="line")
    waiting = asyncio.create_task(end.link.ask(Errand(name="x"), Result, 5), name="asks")
    await asyncio.sleep(0.05)
    theirs.sendall(encode(Envelope(body=State(refusal="slow"))) + b'{"body": {"ki')
    theirs.close()
    async with asyncio.timeout(2):
        await running
        with pytest.raises(NoAnswer):
            await waiting
    assert end.heard == [State(refusal="slow")]
    assert end.link.is_closed
    end.link.tell(State(refusal=""))
    with pytest.raises(NoAnswer):
        await end.link.ask(Errand(name="x"), Result, 5)


async def test_garbage_closes_the_line():
    ours, theirs = socket.socketpair()
    end = End(ours)
    with theirs:
        theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(2):
            await end.link.run()
    assert end.link.is_closed
    assert end.heard == []
