"""The people this process rings for callers: asked by the calls, and by Twilio's webhooks about them.

Here is what a move of `transcripts.transfer.NEXT` leads to. The rows in the database follow, so that other processes
can answer for a transfer whose process is gone.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from loguru import logger

from config.settings import Settings
from config.twilio_credentials import twilio_credentials
from pipelines.transfer_attempt import DECIDED, Attempt
from storage.engine import Database
from storage.errors import DatabaseAway
from telephony import transfer_twiml
from telephony.rest import DialRequest, Repeat, TwilioFailed, TwilioRest, open_rest
from telephony.transfer_twiml import TransferUrls
from transcripts.log import CallLog
from transcripts.transfer import TransferEvent, TransferStatus, after
from transcripts.transfer_store import TransferStore

_DATABASE_SECS = 1.5
_SAVE_SECS = 15.0
_RING_SPARE_SECS = 12.0
"""Twilio lets a phone ring up to five seconds longer than it was told, and then has to say so."""
_DECIDE_SECS = 120.0
"""From the answer to a decision: a long summary, and two times of asking."""
_DOUBT_SECS = 8.0
"""A phone that may have been rung: so long a webhook is waited for that would tell."""
_RETRY_SECS = 0.4
_MOVE_SECS = 15.0
"""From a decision to the caller in the room, with every repetition there is."""
_REQUEST_SECS = 3.0
"""Short, because a person waits meanwhile; and two of them are less than another process waits for this one."""
_TALK_LIMIT_SECS = 4 * 3600
_HAND_OVER_SECS = 15.0
_MOST_MOVED = 500
_ROOM_OPEN = frozenset({TransferStatus.ACCEPTED, TransferStatus.JOINED})


class TransferDesk:
    """One for each process. Without a client of Twilio's REST API nobody can be rung."""

    def __init__(self, rest: TwilioRest | None, store: TransferStore, base_url: str) -> None:
        """Take Twilio's REST API, the rows, and our public address."""
        self.rest = rest
        self._store = store
        self._base_url = base_url
        self.moved: OrderedDict[str, str] = OrderedDict()
        """Calls whose caller was moved into a room lately, and which: nothing of ours may cut that off."""
        self._attempts: dict[str, Attempt] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._watches: set[asyncio.Task[None]] = set()

    @property
    def can_ring(self) -> bool:
        """Whether there is a Twilio to ask."""
        return self.rest is not None

    @property
    def store(self) -> TransferStore:
        """The rows."""
        return self._store

    def find(self, transfer_id: str) -> Attempt | None:
        """The attempt with this id, while it is this process's business."""
        return self._attempts.get(transfer_id)

    def urls_of(self, transfer_id: str, call_id: str) -> TransferUrls:
        """Where Twilio asks about a transfer of this call."""
        return TransferUrls(self._base_url, transfer_id, call_id)

    async def ring(self, attempt: Attempt) -> TransferStatus:
        """Ring one person; returns when it is decided: `JOINED`, or how it ended otherwise.

        Whoever waits may be cancelled; the attempt then goes on until it is told that the caller left.
        """
        self._attempts[attempt.transfer_id] = attempt
        task = self._spawn(self._ring(attempt), f"rings for {attempt.call.call_id}")
        await asyncio.shield(task)
        return attempt.status

    def tell(self, attempt: Attempt, event: TransferEvent) -> bool:
        """Make the move that follows from an event, and what it leads to. Returns whether there is one."""
        before, now = attempt.status, after(attempt.status, event)
        if now is before:
            return False
        attempt.status = now
        attempt.was_answered = attempt.was_answered or event in (TransferEvent.ANSWERED, TransferEvent.ACCEPT)
        self._note(attempt, before)
        if event is TransferEvent.MOVED:
            self.moved[attempt.call.call_id] = attempt.transfer_id
            if len(self.moved) > _MOST_MOVED:
                self.moved.popitem(last=False)
        if now is TransferStatus.ACCEPTED:
            self._spawn(self._move_caller(attempt), "moves a caller into a room")
        else:
            self._spawn(self._save(attempt), "saves a transfer")
        if attempt.is_over:
            self._wind_up(attempt, before, event)
        attempt.changed()
        return True

    def hand_over(self, attempt: Attempt, log: CallLog) -> None:
        """The call is Twilio's once its log is written: from then on any process looks after it, by its rows."""
        self._spawn(self._hand_over(attempt, log), "hands a call over")

    async def is_with_a_person(self, call_id: str) -> bool:
        """Whether the caller of a process that died is in a room with somebody."""
        try:
            async with asyncio.timeout(_DATABASE_SECS):
                row = await self._store.find_open(call_id)
            if row is None or row.leg_sid is None or self.rest is None or TransferStatus(row.status) not in _ROOM_OPEN:
                return False
            leg = await self.rest.fetch(row.leg_sid)
        except (DatabaseAway, TimeoutError, TwilioFailed) as error:
            logger.bind(call_id=call_id, problem=str(error)).warning("nobody knows if a caller talks with a person")
            return False
        return leg is not None and leg.status == "in-progress"

    async def let_go(self, call_id: str) -> None:
        """Whoever is rung for the caller of a process that died is rung no more, or told that it is over."""
        try:
            row = await self._store.find_open(call_id)
            if row is None or self.rest is None or TransferStatus(row.status) in _ROOM_OPEN:
                return
            await self._store.tell(row.transfer_id, TransferEvent.CALLER_LEFT)
            if row.leg_sid is not None and not await self.rest.cancel(row.leg_sid):
                await self.send_off(row.leg_sid, "gone", row.language)
        except (DatabaseAway, TwilioFailed) as error:
            logger.bind(call_id=call_id, problem=str(error)).warning("a phone may ring for a caller who is gone")

    async def close(self) -> None:
        """Give up what is under way. People who talk with a caller go on: Twilio holds their room."""
        for task in self._watches:
            task.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        for attempt in list(self._attempts.values()):
            self.tell(attempt, TransferEvent.WITHDRAW)
        if self._tasks:
            _done, late = await asyncio.wait(set(self._tasks), timeout=3.0)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # ---- one attempt ----

    async def _ring(self, attempt: Attempt) -> None:
        await self._open(attempt)
        sid = None if attempt.is_over else await self._place(attempt)
        if sid is not None:
            attempt.leg_sid = sid
            self.tell(attempt, TransferEvent.PLACED)
            if attempt.is_over:
                await self._release(attempt)  # it was over before Twilio had said which call it is
                return
            await self._save(attempt)
        if await self._wait_answered(attempt) and not attempt.is_over:
            if not await attempt.wait_for(DECIDED, _DECIDE_SECS):
                is_undecided = self.tell(attempt, TransferEvent.SILENCE)
                if is_undecided:
                    await self._release(attempt)
                await attempt.wait_for(DECIDED, _MOVE_SECS)

    async def _wait_answered(self, attempt: Attempt) -> bool:
        if attempt.status is TransferStatus.CALLING and not attempt.is_over:
            # Nobody knows whether a phone rings. Twilio would tell.
            ringing = frozenset(set(TransferStatus) - {TransferStatus.CALLING})
            if not await attempt.wait_for(ringing, _DOUBT_SECS):
                self.tell(attempt, TransferEvent.LEG_FAILED)
                return False
        answered = frozenset(set(TransferStatus) - {TransferStatus.CALLING, TransferStatus.RINGING})
        if not await attempt.wait_for(answered, attempt.ring_secs + _RING_SPARE_SECS):
            self.tell(attempt, TransferEvent.LEG_NO_ANSWER)
            await self._release(attempt)
            return False
        return True

    async def _open(self, attempt: Attempt) -> None:
        try:
            async with asyncio.timeout(_DATABASE_SECS):
                await self._store.open(attempt.as_row())
        except (DatabaseAway, TimeoutError):
            # Only a process that has to answer in our place would need the row.
            logger.bind(call_id=attempt.call.call_id).warning("a transfer cannot be written down; it goes on")

    async def _place(self, attempt: Attempt) -> str | None:
        """Have the phone rung; None when it was not, or nobody knows (the attempt is then still `CALLING`)."""
        urls = self.urls_of(attempt.transfer_id, attempt.call.call_id)
        further: dict[str, str | int] = {}
        if attempt.looks_for_machine:
            further = {
                "machine_detection": "Enable",
                "async_amd": "true",
                "async_amd_status_callback": urls.at("machine"),
                "async_amd_status_callback_method": "POST",
            }
        request = DialRequest(
            to_number=attempt.address,
            from_number=attempt.from_number,
            voice_url=urls.at("briefing"),
            status_url=urls.at("leg"),
            ring_secs=attempt.ring_secs,
            time_limit_secs=_TALK_LIMIT_SECS,
            further=further,
        )
        for is_last in (False, True):
            assert self.rest is not None, "nobody is rung without it"
            try:
                return await self.rest.place(request)
            except TwilioFailed as error:
                told = logger.bind(call_id=attempt.call.call_id, problem=str(error), code=error.code)
                if error.repeat is Repeat.PERHAPS:
                    told.warning("nobody knows whether Twilio rings a person; its webhooks will tell")
                    return None
                if is_last or error.repeat is Repeat.NEVER or attempt.is_over:
                    told.warning("Twilio does not ring the person a caller is to be put through to")
                    attempt.tell("transfer.not_dialled", destination=attempt.destination, problem=str(error))
                    self.tell(attempt, TransferEvent.LEG_FAILED)
                    return None
                await asyncio.sleep(min(2.0, error.retry_after_secs or _RETRY_SECS))
        return None

    async def _move_caller(self, attempt: Attempt) -> None:
        """Take the caller out of his stream and into the room."""
        # Before: should this process die now, others must know where the caller may be.
        await self._save(attempt, limit_secs=_DATABASE_SECS)
        room = transfer_twiml.room(self.urls_of(attempt.transfer_id, attempt.call.call_id), "caller")
        for is_last in (False, True):
            assert self.rest is not None, "nobody is rung without it"
            try:
                is_there = await self.rest.redirect(attempt.call_sid, room)
            except TwilioFailed as error:
                if error.repeat is Repeat.NEVER or is_last:
                    logger.bind(call_id=attempt.call.call_id, problem=str(error)).error("a caller cannot be moved")
                    # A stream that is over says that Twilio did what it gave no answer to.
                    is_moved = attempt.is_stream_over and error.repeat is Repeat.PERHAPS
                    self.tell(attempt, TransferEvent.MOVED if is_moved else TransferEvent.NOT_MOVED)
                    return
                await asyncio.sleep(_RETRY_SECS)
            else:
                self.tell(attempt, TransferEvent.MOVED if is_there else TransferEvent.CALLER_LEFT)
                return

    def _wind_up(self, attempt: Attempt, before: TransferStatus, event: TransferEvent) -> None:
        """It has ended: let nobody wait at Twilio for somebody who does not come."""
        if before is TransferStatus.DESERTED and event is TransferEvent.MOVED:
            self._spawn(self.send_off(attempt.call_sid, "deserted", attempt.language), "sends a caller off")
        elif event in (TransferEvent.CALLER_LEFT, TransferEvent.WITHDRAW, TransferEvent.MACHINE):
            # Before the person was asked for a decision; one who has just given it is told in the answer to it.
            if before is not TransferStatus.ACCEPTED:
                self._spawn(self._release(attempt), "releases a person who was rung")
        # Webhooks about it may still come; after a while its row answers them.
        asyncio.get_running_loop().call_later(_DOUBT_SECS, self._attempts.pop, attempt.transfer_id, None)

    async def _release(self, attempt: Attempt) -> None:
        """Stop the phone from ringing; a person who has answered is told, a machine is hung up on."""
        sid, rest = attempt.leg_sid, self.rest
        if sid is None or rest is None:
            return
        try:
            if attempt.status is TransferStatus.MACHINE:
                await rest.hang_up(sid)
                return
            # An answer may be on its way to us: then there is no phone to stop, but a person to tell.
            if attempt.was_answered or not await rest.cancel(sid):
                kind = "gone" if attempt.status is TransferStatus.CALLER_LEFT else "taken"
                await self.send_off(sid, kind, attempt.language)
        except TwilioFailed as error:
            logger.bind(call_id=attempt.call.call_id, problem=str(error)).warning(
                "a phone that was rung for a caller cannot be stopped; who answers it is told"
            )

    async def send_off(self, call_sid: str, kind: str, language: str) -> None:
        """Say a known sentence to somebody who waits for nothing, and hang up; see `transfer_twiml.sentence`."""
        if self.rest is None:
            return
        try:
            await self.rest.redirect(call_sid, transfer_twiml.sentence(kind, language))
        except TwilioFailed as error:
            logger.bind(call_sid=call_sid, problem=str(error)).warning(
                "somebody who waits cannot be told that it is over"
            )

    async def _save(self, attempt: Attempt, limit_secs: float = _SAVE_SECS) -> None:
        try:
            async with asyncio.timeout(limit_secs), attempt.saving:
                await self._store.keep(attempt.transfer_id, attempt.status, attempt.leg_sid)
        except (DatabaseAway, TimeoutError):
            logger.bind(call_id=attempt.call.call_id).warning("how a transfer stands cannot be written down")

    async def _hand_over(self, attempt: Attempt, log: CallLog) -> None:
        await self._save(attempt)
        while not await log.flush(_HAND_OVER_SECS):
            logger.bind(call_id=attempt.call.call_id).warning("a call that goes on at Twilio is not yet written down")
        attempt.handed_over.set()
        self._attempts.pop(attempt.transfer_id, None)

    def _note(self, attempt: Attempt, before: TransferStatus) -> None:
        """Write the move into the call's events; what happens in the room is written by whoever is told of it."""
        names = {
            TransferStatus.RINGING: "transfer.ringing",
            TransferStatus.BRIEFING: "transfer.briefed",
            TransferStatus.ACCEPTED: "transfer.accepted",
            TransferStatus.JOINED: "transfer.moved",
        }
        known: dict[str, Any] = {"destination": attempt.destination, "address": attempt.address}
        if attempt.is_over and before is not TransferStatus.JOINED:
            attempt.tell("transfer.attempt", **known, outcome=attempt.status.value)
        elif attempt.status in names:
            attempt.tell(names[attempt.status], **known)

    def watch(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Look after something until the server ends."""
        task = asyncio.create_task(work, name=name)
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Do what must be done also when the server is about to end."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


@asynccontextmanager
async def open_transfer_desk(settings: Settings, database: Database) -> AsyncGenerator[TransferDesk]:
    """Yield the desk of a server, with a client of Twilio's REST API where the settings have credentials."""
    async with open_rest(twilio_credentials(settings), settings.twilio_api_base, timeout_secs=_REQUEST_SECS) as rest:
        desk = TransferDesk(rest, TransferStore(database), settings.effective_public_base_url)
        try:
            yield desk
        finally:
            await desk.close()
