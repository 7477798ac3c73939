"""Calls of the playground: admitted like phone calls, each in a task of its own until it has ended."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from loguru import logger

from api.errors import LinesBusy, PhoneOnly, RoomsOff
from api.slots import admit
from config.agent import AgentConfig
from config.settings import Settings
from net.daily_rooms import DailyRooms
from net.outgoing import open_outgoing
from pipelines.answering import Answering
from pipelines.guest import GuestBot
from pipelines.live import LiveCall
from pipelines.transports import CallTransport, answer_browser, browser_transport, load_webrtc, room_transport
from switchboard.colleagues import Colleagues
from switchboard.refusal import Refusal
from telemetry.logs import in_call
from transcripts.call import Call, Direction, EndReason
from transcripts.log import CallLog
from transcripts.outcomes import count_end, count_refusal
from transcripts.store import CallStore

_CONNECT_SECS = 15.0
"""How long a browser may take from our answer to audio that flows."""
_EMPTY_ROOM_SECS = 120.0
"""How long the agent waits alone in a Daily room."""
_ROOM_SPARE_SECS = 300
"""A room outlives the longest call in it by this much."""

Bring = Callable[[], Coroutine[Any, Any, CallTransport | None]]
"""Waits for the caller; None when nobody came."""


@dataclass
class Talk:
    """One call of the playground while it is held here."""

    call: Call
    log: CallLog
    live: LiveCall
    voice: CallTransport | None = None
    task: asyncio.Task[None] | None = None

    def hang_up(self) -> None:
        """The caller wants no more."""
        if self.voice is not None:
            self.voice.line.is_hung_up = True
        self.live.end(EndReason.CALLER_HUNG_UP)


class Talks:
    """The calls of the playground in this process."""

    def __init__(
        self, answering: Answering, store: CallStore, rooms: DailyRooms | None, owner: str, colleagues: Colleagues
    ) -> None:
        """Take what runs calls and where they are written down; `rooms` is None without a Daily key.

        `owner` is this process's name, `colleagues` are the other ones.
        """
        self._colleagues = colleagues
        self._answering = answering
        self._store = store
        self._owner = owner
        self._rooms = rooms
        self._held: dict[str, Talk] = {}
        self._loading: asyncio.Task[None] | None = None
        self.refuses: Callable[[AgentConfig], Awaitable[bool]] | None = None
        """Says that an agent has cost what it may today, and is not to be called."""

    def prepare(self) -> None:
        """Begin to load what a browser's call needs, so that its offer does not wait for it. Returns at once."""
        if self._loading is None:
            self._loading = asyncio.create_task(load_webrtc(), name="load WebRTC")

    @property
    def has_rooms(self) -> bool:
        """Whether Daily rooms can be made."""
        return self._rooms is not None

    def get(self, call_id: str) -> Talk | None:
        """The call with this id, if it is in progress here."""
        return self._held.get(call_id)

    def is_phone_only(self, agent: AgentConfig) -> bool:
        """Whether the agent's bot takes a telephone line and nothing else."""
        return isinstance(self._answering.bots.get(agent.bot), GuestBot)

    async def answer_browser(self, agent: AgentConfig, sdp: str, kind: str) -> tuple[str, str]:
        """Take a browser's offer; returns the call's id and our session description.

        Raises `PhoneOnly`, `LinesBusy`, `pipelines.transports.BadOffer`, `storage.errors.DatabaseAway`.
        """
        await self._check(agent)
        peer, answer = await answer_browser(sdp, kind)

        async def bring() -> CallTransport | None:
            return browser_transport(peer) if await peer.wait_connected(_CONNECT_SECS) else None

        try:
            talk = await self._open(agent)
        except BaseException:
            await peer.close()
            raise
        self._start(talk, agent, bring, peer.close)
        return talk.call.call_id, answer

    async def open_room(self, agent: AgentConfig) -> tuple[str, str]:
        """Have the agent wait in a new Daily room; returns the call's id and the address that lets the caller in.

        Raises `RoomsOff`, `PhoneOnly`, `LinesBusy`, `net.daily_rooms.DailyFailed`, `storage.errors.DatabaseAway`.
        """
        if self._rooms is None:
            raise RoomsOff
        await self._check(agent)
        expires_at = int(time.time() + _EMPTY_ROOM_SECS + agent.limits.max_call_secs + _ROOM_SPARE_SECS)
        room = await self._rooms.create_room(expires_at=expires_at)
        own_token = await self._rooms.create_token(room, user_name=agent.name, is_owner=True)
        callers_url = room.url_for(await self._rooms.create_token(room, user_name="Caller"))

        async def bring() -> CallTransport | None:
            return room_transport(room.url, own_token, agent.name)

        async def leave() -> None:
            """The transport leaves the room; the room ends by itself when it expires."""

        talk = await self._open(agent)
        self._start(talk, agent, bring, leave)
        return talk.call.call_id, callers_url

    async def close(self) -> None:
        """Cut off what the end of the server left over."""
        if self._loading is not None:
            # A thread that imports cannot be cut off, and the interpreter must not end under it.
            await asyncio.gather(self._loading, return_exceptions=True)
        tasks = [talk.task for talk in self._held.values() if talk.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _check(self, agent: AgentConfig) -> None:
        if self.is_phone_only(agent):
            raise PhoneOnly
        if self.refuses is not None and await self.refuses(agent):
            raise LinesBusy
        if (refusal := self._answering.live.refusal()) is not None:
            call = _new_call(agent)
            await self._store.open_call(call)
            await self._refuse(call, refusal)

    async def _refuse(self, call: Call, refusal: Refusal) -> None:
        await self._store.finish_call(call.call_id, EndReason.REFUSED_BUSY, ended_at=datetime.now(UTC))
        count_refusal(refusal.value)
        logger.bind(call_id=call.call_id, reason=refusal.value).warning("call refused: there is no room for it")
        raise LinesBusy

    async def _open(self, agent: AgentConfig) -> Talk:
        call = _new_call(agent)
        await self._store.open_call(call)
        live = await admit(self._colleagues, self._answering.live, call.call_id)
        if isinstance(live, Refusal):
            await self._refuse(call, live)
            raise LinesBusy
        return Talk(call, self._answering.log_writer.open(call.call_id), live)

    def _start(self, talk: Talk, agent: AgentConfig, bring: Bring, leave: Callable[[], Awaitable[None]]) -> None:
        self._held[talk.call.call_id] = talk
        talk.task = asyncio.create_task(
            self._run(talk, agent, bring, leave), name=f"playground call {talk.call.call_id}"
        )

    async def _run(self, talk: Talk, agent: AgentConfig, bring: Bring, leave: Callable[[], Awaitable[None]]) -> None:
        call_id = talk.call.call_id
        with in_call(call_id):
            try:
                reason = await self._talk(talk, agent, bring)
                count_end(reason, agent.name)
                logger.bind(agent=agent.name, reason=reason.value).info("call ended")
            except asyncio.CancelledError:
                talk.log.finish(EndReason.DRAINED)
                raise
            except Exception:
                # A fault of ours must neither leave the row live for ever nor take a slot with it.
                logger.exception("call ended by a fault of the server")
                talk.log.finish(EndReason.FAILED)
                count_end(EndReason.FAILED, agent.name)
            finally:
                self._answering.live.release(call_id)
                await leave()
                self._held.pop(call_id, None)

    async def _talk(self, talk: Talk, agent: AgentConfig, bring: Bring) -> EndReason:
        asked: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()

        def end(reason: EndReason) -> None:
            if not asked.done():
                asked.set_result(reason)

        talk.live.on_end(end)
        coming = asyncio.create_task(bring(), name=f"caller of {talk.call.call_id} comes")
        try:
            await asyncio.wait({coming, asked}, return_when=asyncio.FIRST_COMPLETED)
            talk.voice = None if asked.done() else coming.result()
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        if talk.voice is None:
            reason = asked.result() if asked.done() else EndReason.NEVER_CONNECTED
            talk.log.event("call.ended", 0, reason=reason.value)
            talk.log.finish(reason)
            return reason
        await self._store.go_live(talk.call.call_id, owner=self._owner)
        alone = asyncio.get_running_loop().call_later(_EMPTY_ROOM_SECS, _end_if_alone, talk)
        try:
            return await self._answering.run_voice(talk.voice, talk.call, agent)
        finally:
            alone.cancel()


@asynccontextmanager
async def open_talks(
    settings: Settings, answering: Answering, store: CallStore, *, owner: str, colleagues: Colleagues
) -> AsyncGenerator[Talks]:
    """Yield the playground's calls; at the end of the block those left over are cut off. `owner` is this process."""
    async with AsyncExitStack() as closing:
        rooms = None
        if settings.daily_api_key is not None:
            outgoing = await closing.enter_async_context(open_outgoing())
            api_key = settings.daily_api_key.get_secret_value()
            rooms = DailyRooms(outgoing, api_base=settings.daily_api_base, api_key=api_key)
        talks = Talks(answering, store, rooms, owner, colleagues)
        closing.push_async_callback(talks.close)
        yield talks


def _new_call(agent: AgentConfig) -> Call:
    return Call(
        call_id=uuid4().hex,
        call_sid=None,
        agent_name=agent.name,
        agent_version=agent.origin.version,
        direction=Direction.BROWSER,
        from_number=None,
        to_number=None,
        variables={},
        started_at=datetime.now(UTC),
    )


def _end_if_alone(talk: Talk) -> None:
    if talk.voice is not None and talk.voice.line.clock.is_held:
        talk.live.end(EndReason.NEVER_CONNECTED)
