"""The way of a call's turns and events into the database, without the call ever waiting for it.

While the database is away entries wait in memory, in order, however many; nothing is dropped. What still waits when the
process ends is kept in a file (`transcripts.backlog`). An entry is written between 0 and about 50 ms after it was told.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from loguru import logger

from storage import errors as storage_errors
from telemetry import metrics
from telemetry.event_counts import count_event
from telemetry.redaction import Kind
from transcripts.backlog import Backlog, WaitingEntry
from transcripts.call import CallEvent, Consent, EndReason, RecordingStatus, Turn
from transcripts.entries import (
    ConsentEntry,
    Entry,
    EventEntry,
    FinishEntry,
    ForgetWordsEntry,
    HandOverEntry,
    LessEntry,
    NextStepEntry,
    RecordingEntry,
    TransferAttemptsEntry,
    TurnEntry,
)
from transcripts.recent_turns import RecentTurn, RecentTurns
from transcripts.redacted import redacted
from transcripts.store import CallStore, Place
from transcripts.wordless import without_words
from transcripts.writing import write_entries

_GATHER_SECS = 0.2
_BATCH = 200
_FIRST_RETRY_SECS = 0.1
_LAST_RETRY_SECS = 5.0


Watch = Callable[["CallLog", CallEvent], None]
"""Takes an event as it is told. Called in the middle of a live call: it must be short, and never raises."""


def _count(log: "CallLog", event: CallEvent) -> None:
    count_event(event.kind, event.data, log.agent_name)


class CallLog:
    """One call's log. Everything but `flush` and `subscribe` is immediate; call it on the event loop's thread."""

    def __init__(self, call_id: str, writer: "LogWriter") -> None:
        self.call_id = call_id
        self.place: Place | None = None
        """Where the log goes on in the database; the writer finds out before the first entry is written."""
        self.is_finished = False
        self.pending_count = 0
        """How many of its entries wait for the database."""
        self.agent_name = ""
        self.started_at: datetime | None = None
        """When the call was written down; None where nobody has told."""
        self.is_searched = False
        """Whether the call is to be found by the words of its turns from now on."""
        self.step: dict[str, Any] | None = None
        """The last `next_step` told, for whoever must know it while the database is away."""
        self._left_out: set[Kind] = set()
        self._recent = RecentTurns()
        self._writer = writer
        self._events: list[CallEvent] = []
        self._turn_count = 0
        self._news = asyncio.Event()

    def belong_to(self, agent_name: str, *, is_searched: bool, started_at: datetime | None = None) -> None:
        """The call is that agent's from now on; `is_searched`: it is to be found by the words of its turns."""
        self.agent_name, self.is_searched = agent_name, is_searched
        self.started_at = started_at or self.started_at

    def leave_out(self, kinds: Collection[Kind]) -> None:
        """From now on keep these out of every turn and event, also out of what subscribers are told."""
        self._left_out.update(kinds)

    def event(self, kind: str, at_ms: int, /, **data: Any) -> None:
        """Tell that something happened at `at_ms` of call time. `data` is what JSON can hold."""
        event = CallEvent(kind, at_ms, redacted(data, kind, self._left_out) if self._left_out else data)
        seq = len(self._events)
        self._events.append(event)
        for watch in self._writer.watches:
            watch(self, event)
        self._announce()
        self._writer.enqueue(self, lambda place: EventEntry(self.call_id, place.seq + seq, event))

    def turn(self, turn: Turn) -> None:
        """Write a turn that has ended, and the event `turn.caller` or `turn.agent` at its start."""
        position = self._turn_count
        self._turn_count += 1
        is_searched, changed = self.is_searched, list[RecentTurn]()
        if self._left_out:
            left, changed = self._recent.hear(
                turn, position, len(self._events), self._left_out, is_searched=is_searched
            )
            turn = replace(turn, text=left)
        self._writer.enqueue(self, lambda place: TurnEntry(self.call_id, place.position + position, turn, is_searched))
        self.event(
            f"turn.{turn.speaker.value}",
            turn.start_ms,
            text=turn.text,
            end_ms=turn.end_ms,
            interrupted=turn.interrupted,
            **({"error": turn.error} if turn.error else {}),
        )
        for each in changed:
            self._write_anew(each)

    def recording(self, status: RecordingStatus, error: str | None = None) -> None:
        """Tell what became of the recording, or that it runs. The first `complete` or `failed` stands."""
        entry = RecordingEntry(self.call_id, status, error)
        self._writer.enqueue(self, lambda _place: entry)

    def consent(self, consent: Consent) -> None:
        """Write what the other side said to being recorded."""
        entry = ConsentEntry(self.call_id, consent)
        self._writer.enqueue(self, lambda _place: entry)

    def forget_words(self) -> None:
        """Take back every word that was told so far: turns go, events stay without what was said."""
        position, seq = self._turn_count, len(self._events)
        self._recent.forget()
        self._events = [replace(event, data=without_words(event.data, event.kind)) for event in self._events]
        self._writer.enqueue(
            self, lambda place: ForgetWordsEntry(self.call_id, place.position + position, place.seq + seq)
        )

    def next_step(self, step: dict[str, Any]) -> None:
        """Tell what Twilio shall do once the media stream has closed, as `telephony.next_step` writes it in JSON.

        Told before `finish`, it is in the database no later than the end; the last one stands.
        """
        self.step = step
        entry = NextStepEntry(self.call_id, step)
        self._writer.enqueue(self, lambda _place: entry)

    def transfer_attempts(self, attempts: list[dict[str, Any]]) -> None:
        """Tell who was rung for the caller so far, and what became of it; all of them, every time."""
        entry = TransferAttemptsEntry(self.call_id, attempts)
        self._writer.enqueue(self, lambda _place: entry)

    def finish(
        self,
        reason: EndReason,
        recording_status: RecordingStatus | None = None,
        recording_error: str | None = None,
    ) -> None:
        """End the call in the database and end every `subscribe`. The first reason stands."""
        if recording_status is not None:
            self.recording(recording_status, recording_error)
        entry = FinishEntry(self.call_id, reason, datetime.now(UTC))
        self.is_finished = True
        self._writer.enqueue(self, lambda _place: entry)
        self._announce()

    def hand_over(self) -> None:
        """Let the call go on at Twilio without us: it stays live, nobody's, and this log ends with what was told."""
        entry = HandOverEntry(self.call_id)
        self.is_finished = True
        self._writer.enqueue(self, lambda _place: entry)
        self._announce()

    async def subscribe(self) -> AsyncGenerator[CallEvent]:
        """Yield every event of this log from its first on, then each as it is told, until the call is finished."""
        seen = 0
        while True:
            while seen < len(self._events):
                seen += 1
                yield self._events[seen - 1]
            if self.is_finished:
                return
            await self._news.wait()

    async def flush(self, timeout_secs: float = 5.0) -> bool:
        """Wait until all that was told so far is in the database. Returns False when that took too long."""
        return await self._writer.flush(timeout_secs)

    def _write_anew(self, turn: RecentTurn) -> None:
        """Write less of a turn that was told already: it was a part of a number that only later turns showed."""
        data = {**self._events[turn.seq].data, "text": turn.left}
        self._events[turn.seq] = replace(self._events[turn.seq], data=data)
        text, position, seq, is_searched = turn.left, turn.position, turn.seq, turn.is_searched
        self._writer.enqueue(
            self,
            lambda place: LessEntry(self.call_id, place.position + position, place.seq + seq, text, data, is_searched),
        )

    def _announce(self) -> None:
        self._news.set()
        # Those who wait have been woken; the next news needs an event that is not set.
        self._news = asyncio.Event()


class LogWriter:
    """Writes the logs of all calls of this process, in the order in which things were told.

    One process at a time may hold a call's log. What cannot be written before the end goes to the `backlog`; without
    one it is lost.
    """

    def __init__(self, store: CallStore, backlog: Backlog | None = None) -> None:
        self._store = store
        self._backlog = backlog
        self._logs: dict[str, CallLog] = {}
        self._queue: deque[tuple[CallLog, Callable[[Place], Entry]]] = deque()
        self.followed: set[str] = set()
        """Calls whose entries somebody waits for: they are written at once, and `on_written` is told of them."""
        self.watches: list[Watch] = [_count]
        """Who is told of every event of every call, at once."""
        self.on_written: Callable[[set[str]], None] = lambda _call_ids: None
        self._told = 0
        self._written = 0
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._progress = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def backlog(self) -> int:
        """How many entries wait for the database."""
        return len(self._queue)

    async def start(self) -> None:
        """Begin to write. Entries told before wait."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="log-writer")

    def open(self, call_id: str) -> CallLog:
        """Return the call's log: the same object for as long as it is open or not yet written.

        A log opened again later goes on after the last entry in the database. The call's row must exist.
        """
        if call_id not in self._logs:
            self._logs[call_id] = CallLog(call_id, self)
        return self._logs[call_id]

    def enqueue(self, log: CallLog, make: Callable[[Place], Entry]) -> None:
        """Take an entry whose place in the call is settled when it is written."""
        # A log whose end has been written is no longer held; what is told late is held again until it is written.
        self._logs.setdefault(log.call_id, log)
        self._queue.append((log, make))
        self._told += 1
        log.pending_count += 1
        metrics.LOG_BACKLOG.set(len(self._queue))
        self._wake.set()
        if log.call_id in self.followed:
            self._hurry.set()

    async def flush(self, timeout_secs: float) -> bool:
        """Wait until all that was told so far is in the database. Returns False when that took too long."""
        target = self._told
        if self._queue:
            self._hurry.set()
        try:
            async with asyncio.timeout(timeout_secs):
                while self._written < target:
                    await self._progress.wait()
        except TimeoutError:
            return False
        return True

    async def close(self, timeout_secs: float = 5.0) -> int:
        """Write what is left and stop. Returns how many entries could not be written in time.

        They are kept in a file for the next process; the log says when they are lost instead.
        """
        await self.flush(timeout_secs)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._queue:
            await self._keep()
        return len(self._queue)

    async def _keep(self) -> None:
        waiting = [WaitingEntry(make(log.place or Place()), log.place is not None) for log, make in self._queue]
        problem = "there is no folder to keep them in"
        if self._backlog is not None:
            try:
                kept = await self._backlog.keep(waiting)
            except OSError as error:
                problem = str(error)
            else:
                logger.bind(entries=kept).warning("the database did not come back: log entries wait in a file")
                return
        logger.bind(entries=len(waiting), problem=problem).error("the database did not come back: log entries are lost")

    async def _run(self) -> None:
        retry_secs = _FIRST_RETRY_SECS
        is_away = False
        while True:
            await self._wake.wait()
            await self._gather()
            batch = list(islice(self._queue, _BATCH))
            try:
                await self._write(batch)
            except Exception as error:
                # A row's own faults were dealt with in _write; whatever else it is, the entries wait for its cure.
                if not is_away:
                    is_known = storage_errors.is_away(error)
                    logger.opt(exception=None if is_known else error).bind(
                        entries=len(self._queue), problem=str(error) if is_known else type(error).__name__
                    ).warning("the database takes no log entries; they wait in memory")
                is_away = True
                await asyncio.sleep(retry_secs * random.uniform(0.8, 1.2))
                retry_secs = min(retry_secs * 2, _LAST_RETRY_SECS)
                continue
            if is_away:
                logger.bind(entries=len(self._queue)).info("the database takes log entries again")
            is_away, retry_secs = False, _FIRST_RETRY_SECS
            self._settle(batch)

    async def _gather(self) -> None:
        """Let a moment's entries come together in one transaction, unless somebody waits for them."""
        try:
            async with asyncio.timeout(_GATHER_SECS):
                await self._hurry.wait()
        except TimeoutError:
            return

    async def _write(self, batch: list[tuple[CallLog, Callable[[Place], Entry]]]) -> None:
        unplaced = {log.call_id: log for log, _make in batch if log.place is None}
        if unplaced:
            places = await self._store.find_places(list(unplaced))
            for call_id, log in unplaced.items():
                log.place = places[call_id]
        entries = [make(log.place or Place()) for log, make in batch]
        await write_entries(self._store, entries)

    def _settle(self, batch: list[tuple[CallLog, Callable[[Place], Entry]]]) -> None:
        for log, _make in batch:
            self._queue.popleft()
            log.pending_count -= 1
            if log.is_finished and log.pending_count == 0:
                self._logs.pop(log.call_id, None)
        self._written += len(batch)
        if news := self.followed.intersection(log.call_id for log, _make in batch):
            self.on_written(news)
        metrics.LOG_BACKLOG.set(len(self._queue))
        if not self._queue:
            self._wake.clear()
            self._hurry.clear()
        self._progress.set()
        self._progress = asyncio.Event()
