"""What processes ask of each other by way of the supervisor: two members and an exchange, over real sockets."""

import asyncio
import socket
import statistics
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from api.slots import is_over_share
from pipelines.live import LiveCalls
from switchboard.child import Child
from switchboard.exchange import Exchange
from switchboard.handing_over import make_passage
from switchboard.link import Link
from switchboard.member import Member
from switchboard.messages import Begin, Body, Go, Order, Placed, Up
from switchboard.placement import Placement
from switchboard.refusal import Refusal
from telemetry import metrics


@dataclass
class Office:
    """What a process has to say, as a test wants it."""

    instance: str
    full: str = ""
    delay_secs: float = 0.0
    calls: list[str] = field(default_factory=list[str])
    given_up: list[str] = field(default_factory=list[str])
    heard: list[str] = field(default_factory=list[str])
    followed: set[str] = field(default_factory=set[str])

    def refusal(self) -> str:
        return self.full

    async def reserve(self, order: Order) -> str:
        await asyncio.sleep(self.delay_secs)
        if not self.full:
            self.calls.append(order.call_id)
        return self.full

    async def run_errand(
        self, name: str, call_id: str, call_sid: str, details: Mapping[str, str]
    ) -> dict[str, str] | None:
        await asyncio.sleep(self.delay_secs)
        return {"by": self.instance, "did": name, **details} if call_id in self.calls or call_sid else None

    def give_up(self, call_id: str) -> None:
        self.given_up.append(call_id)

    def heard_from(self, call_sid: str) -> None:
        self.heard.append(call_sid)

    def follow(self, call_id: str, *, is_on: bool) -> None:
        (self.followed.add if is_on else self.followed.discard)(call_id)

    async def close_calls_of(self, instance: str) -> None:
        """Nothing here dies."""


@dataclass
class Street:
    """The supervisor's side and both processes."""

    exchange: Exchange
    placement: Placement
    members: list[Member]
    offices: list[Office]
    children: list[Child]

    async def settled(self) -> None:
        """Wait until what was told has arrived."""
        await asyncio.sleep(0.03)


def order(call_id: str) -> Order:
    started_at = "2026-01-01T00:00:00+00:00"
    return Order(call_id=call_id, call_sid=f"CA-{call_id}", agent_name="a", direction="inbound", started_at=started_at)


@asynccontextmanager
async def street(max_calls: int = 100) -> AsyncGenerator[Street]:
    placement, children = Placement(max_calls), list[Child]()
    exchange = Exchange(placement, lambda: children)
    async with AsyncExitStack() as closing:
        members, offices = list[Member](), list[Office]()
        for number, name in enumerate("ab", start=1):
            ours, theirs = socket.socketpair()
            giver, taker = make_passage()

            def hear(body: Body, at: int = number - 1) -> None:
                if isinstance(body, Up):
                    children[at].name = body.instance
                    exchange.welcome(children[at])
                else:
                    exchange.hear(children[at], body)

            async def answer(body: Body, at: int = number - 1) -> Body:
                return await exchange.answer(children[at], body)

            link = Link(ours, hear, answer)
            children.append(Child(number, cast(Any, None), link, giver))
            running = asyncio.create_task(link.run(), name="supervisor's end")
            closing.callback(giver.close)
            closing.push_async_callback(_end, running)
            begin = Begin(number=number, processes=2, settings={"max_calls": max_calls})
            member = Member(begin, theirs, taker)
            link.tell(Go())
            await closing.enter_async_context(member.connected(lambda _is_at_once: None))
            offices.append(Office(name))
            member.be_up(offices[-1], lambda connection: connection.close())
            members.append(member)
        async with asyncio.timeout(2):
            while len(placement.names) < 2:  # noqa: ASYNC110 - they come up by themselves
                await asyncio.sleep(0.005)
        yield Street(exchange, placement, members, offices, children)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_calls_are_placed_evenly_whoever_asks():
    async with street() as here:
        placed = await asyncio.gather(*(here.members[0].place(order(str(n))) for n in range(40)))
        assert all(placed)
        assert [len(office.calls) for office in here.offices] == [20, 20]


async def test_placing_takes_about_a_millisecond():
    async with street() as here:
        took = list[float]()
        for number in range(50):
            began = time.perf_counter()
            await here.members[number % 2].place(order(str(number)))
            took.append(time.perf_counter() - began)
        assert statistics.median(took) < 0.005


async def test_a_repeated_webhook_finds_the_place_that_the_call_has():
    async with street() as here:
        first, *others = await asyncio.gather(*(member.place(order("x")) for member in here.members * 3))
        assert first is not None
        assert all(other == first for other in others)
        assert here.placement.count == 1


async def test_one_that_refuses_is_followed_by_the_next_and_then_it_is_busy():
    async with street() as here:
        here.offices[0].full = Refusal.SLOW
        placed = await here.members[0].place(order("1"))
        assert placed == Placed(instance="b")
        here.offices[1].full = Refusal.PROCESS_FULL
        placed = await here.members[0].place(order("2"))
        assert placed is not None
        assert (placed.instance, placed.refusal in ("slow", "process_full")) == ("", True)
        assert here.placement.count == 1
        here.offices[0].full = ""
        await asyncio.sleep(0.15)  # it says so by itself
        assert await here.members[1].place(order("2")) == Placed(instance="a")


async def test_the_limit_is_one_for_all_and_a_freed_slot_can_be_had_by_the_other():
    async with street(max_calls=2) as here:
        one, other = here.members
        assert await one.place(order("1")) == Placed(instance="a")
        assert await one.admit("2") == Placed(instance="a")
        for member in (one, other):
            assert await member.place(order("3")) == Placed(refusal="max_calls")
            assert await member.admit("4") == Placed(refusal="max_calls")
        one.freed("1")
        await here.settled()
        assert await other.admit("4") == Placed(instance="b")


async def test_one_that_does_not_answer_in_time_is_passed_over(monkeypatch: Any):
    monkeypatch.setattr("switchboard.exchange._OFFER_SECS", 0.1)
    async with street() as here:
        here.offices[0].delay_secs = 0.3
        assert await here.members[1].place(order("1")) == Placed(instance="b")
        await here.settled()
        assert here.offices[0].given_up == ["1"], "it will not keep a slot for a call that is elsewhere"


async def test_a_supervisor_that_is_gone_leaves_each_process_its_share():
    async with street(max_calls=11) as here:
        for child in here.children:
            child.link.close()
        await here.settled()
        member = here.members[0]
        assert await member.place(order("1")) is None
        assert await member.admit("2") is None
        assert await member.is_open() is None
        assert await member.read_metrics() is None
        assert await member.run_errand("next", call_sid="CA", timeout_secs=1) is None
        assert member.share == 5


async def test_a_process_that_gets_no_answer_knows_that_the_whole_server_is_full(monkeypatch: Any):
    """The calls are never spread quite evenly: its own share alone would let one more in."""
    async with street(max_calls=10) as here:
        here.offices[0].full = "slow"
        for number in range(7):
            assert await here.members[1].place(order(str(number)))
        here.offices[0].full = ""
        await asyncio.sleep(0.15)  # until it has said so
        for number in range(7, 10):
            assert await here.members[1].place(order(str(number)))
        await here.settled()
        assert [len(office.calls) for office in here.offices] == [3, 7]
        assert [member.share for member in here.members] == [3, 7]
        with monkeypatch.context() as patched:
            patched.setattr("switchboard.member._PLACE_SECS", 0.0)
            assert await here.members[0].place(order("one too many")) is None
        live = LiveCalls(max_calls=10)
        for call_id in here.offices[0].calls:
            assert live.admit(call_id)
        assert is_over_share(here.members[0], live)
        here.members[0].freed("one too many")
        here.members[1].freed("3")
        await here.settled()
        assert [member.share for member in here.members] == [5, 5]
        assert not is_over_share(here.members[0], live)
        assert await here.members[0].place(order("again"))
        for child in here.children:
            child.link.close()
        await here.settled()
        assert sum(member.share or 0 for member in here.members) == 10, "also when nobody is there to ask"


async def test_a_call_that_comes_elsewhere_moves_and_its_old_slot_is_given_up():
    async with street() as here:
        await here.members[0].place(order("1"))
        assert await here.members[1].admit("1", "CA-1") == Placed(instance="b")
        await here.settled()
        assert here.offices[0].given_up == ["1"]
        here.members[0].freed("1")
        await here.settled()
        assert here.placement.holder("1") == "b"


async def test_errands_are_run_where_the_call_is():
    async with street() as here:
        await here.members[0].place(order("1"))
        told = await here.members[1].run_errand("hang_up", call_id="1", timeout_secs=1, why="test")
        assert told == {"by": "a", "did": "hang_up", "why": "test"}
        assert await here.members[1].run_errand("next", call_sid="CA-1", timeout_secs=1) == {"by": "a", "did": "next"}
        assert await here.members[0].run_errand("hang_up", call_id="1", timeout_secs=1) is None, "it is here"
        assert await here.members[0].run_errand("hang_up", call_id="2", timeout_secs=1) is None, "it is nowhere"
        here.offices[0].delay_secs = 1
        assert await here.members[1].run_errand("next", call_sid="CA-1", timeout_secs=0.1) is None


async def test_what_twilio_asked_one_is_told_to_the_others():
    async with street() as here:
        here.members[0].heard_from("CA-1")
        await here.settled()
        assert [office.heard for office in here.offices] == [[], ["CA-1"]]


async def test_who_follows_a_call_is_told_of_new_rows_and_nobody_else():
    async with street() as here:
        one, other = here.members
        with one.following("1") as news:
            with one.following("1") as too:
                await here.settled()
                assert here.offices[1].followed == {"1"}
                other.wrote(["1"])
                async with asyncio.timeout(1):
                    await asyncio.gather(news.wait(), too.wait())
            news.clear()
            other.wrote(["2"])
            await here.settled()
            assert not news.is_set()
            assert here.offices[1].followed == {"1"}
        await here.settled()
        assert here.offices[1].followed == set()


async def test_metrics_of_all_never_go_down():
    async with street() as here:

        def total(text: bytes | None) -> float:
            assert text is not None
            (line,) = [
                line for line in text.decode().splitlines() if line.startswith("trunkline_loop_lag_seconds_count")
            ]
            return float(line.split()[1])

        metrics.LOOP_LAG_SECONDS.observe(0.01)
        # On a busy machine a process may be late with its figures; nothing was counted until it has told them once.
        while (first := await here.members[0].read_metrics()) is None:
            pass
        both = total(first)
        gone = here.children.pop()
        here.exchange.bid_farewell(gone)
        here.exchange.inherit(gone)
        assert total(await here.members[0].read_metrics()) == both
        gone.close()


async def test_a_server_that_stops_places_nothing_new_and_is_not_open():
    async with street() as here:
        await here.members[0].place(order("1"))
        assert await here.members[1].is_open() is True
        here.exchange.is_stopping = True
        assert await here.members[1].is_open() is False
        assert await here.members[1].place(order("1")) == Placed(instance="a"), "it rang before"
        assert await here.members[1].place(order("2")) == Placed(refusal="draining")
        assert await here.members[1].admit("3") == Placed(refusal="draining")
        assert await here.members[1].admit("1", "CA-1") == Placed(instance="b")


async def test_a_process_that_leaves_is_offered_nothing_more():
    async with street() as here:
        await here.members[0].leave()
        assert here.placement.names == ["b"]
        assert await here.members[0].place(order("1")) == Placed(instance="b")
