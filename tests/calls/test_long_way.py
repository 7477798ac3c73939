"""A caller far away: 80 ms each way between Twilio and the server, and still a transcript of what was heard."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from switchboard.port import bind

WAY_SECS = 0.08


class LongWay:
    """A TCP relay that delivers every byte `WAY_SECS` later, in both directions, at full rate."""

    def __init__(self) -> None:
        self.target_port = 0
        self._carrying: set[asyncio.Task[None]] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection's bytes both ways until either end is closed."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._carry(source, sink), name="long way")
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

    async def close(self) -> None:
        """Let what is on its way arrive."""
        await asyncio.gather(*self._carrying)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, chunk = await under_way.get()
                await asyncio.sleep(due - clock())
                if not chunk:
                    break
                sink.write(chunk)
            sink.close()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(deliver(), name="long way, far end")
            try:
                while chunk := await source.read(65536):
                    under_way.put_nowait((clock() + WAY_SECS, chunk))
            except ConnectionResetError:
                sink.transport.abort()
            finally:
                under_way.put_nowait((clock() + WAY_SECS, b""))


@asynccontextmanager
async def far_house(make_house) -> AsyncGenerator:
    """A house that the telephone network reaches over the long way."""
    way, door = LongWay(), bind("127.0.0.1", 0)
    relay = await asyncio.start_server(way.accept, sock=door)
    async with relay:
        public = f"http://127.0.0.1:{door.getsockname()[1]}"
        house = await make_house(public_base_url=public)
        way.target_port = house.server.settings.port
        yield house, public
        await way.close()


async def test_barge_in_is_cut_where_a_far_caller_stopped_hearing(make_house):
    async with far_house(make_house) as (house, public):
        call = await house.twilio.dial(
            to="+15551230100",
            from_="+15557654321",
            voice_url=f"{public}/twilio/voice",
            status_callback=f"{public}/twilio/status",
        )
        await call.connected()
        await house.hear_out(call)
        await house.say(call, "ask-opening-hours")
        began_ms = await call.wait_heard()
        await call.silence(4)
        await house.say(call, "wait-book")
        await house.hear_out(call)
        await call.hang_up()
        await call.ended()
        await house.ended_row(call)
        [clear] = call.clears
        heard_until_ms = max(heard.end_ms for heard in call.heard if heard.start_ms < clear.at_ms)
        [cut] = [turn for turn in await house.turns(call) if turn.interrupted]
        # The way is measured by marks, so it is not in the difference.
        assert abs(cut.end_ms - heard_until_ms) <= 120
        assert abs(cut.start_ms - began_ms) <= 120
        assert [event.at_ms for event in await house.events(call, "agent.interrupted")] == [cut.end_ms]
