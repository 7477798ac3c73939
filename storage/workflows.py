"""Work that outlives its process: done at a given time, or at once, and done again when a process dies over it.

The only file that knows DBOS. It is started when there is work, not before: by the first `schedule`, or when this or
another process has left some. DBOS works in threads of its own; every step runs on our event loop, like anything else.
A step may be carried out twice (its process died before that it was done could be written), and must bear it.
"""

import asyncio
import concurrent.futures
import contextvars
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from loguru import logger
from sqlalchemy.exc import SQLAlchemyError

from storage.errors import DatabaseAway, is_away
from storage.workflow_tables import SCHEMA, WorkflowTables
from telemetry.request_note import RequestNote, begin_note, end_note
from telemetry.traces import now_ns

if TYPE_CHECKING:
    from dbos import DBOS

Step = Callable[[str], Awaitable[str]]
"""One step of a work: takes what the work is about, by its id, and returns one word of how it went. Nothing else is
written down. A step that raises `DatabaseAway` is tried again until it does not; anything else ends the work."""

P = ParamSpec("P")
T = TypeVar("T")

_APP = "trunkline"
_ASIDE = "trunkline-aside"
"""The queue of work that may be slow and is in no hurry: it holds up no other."""
# One for all times: with another one, work of earlier versions would never be found again.
_VERSION = "1"
_WORKFLOW = "carry_out"
_LOOK_SECS = 10.0
_MOST_AT_ONCE = 16
_RETRY_SECS, _LONGEST_RETRY_SECS = 1.0, 30.0
_GRACE_SECS = 2.0
_PURGE_SECS = 24 * 3600.0
_KEPT = timedelta(days=7)
_PURGED_AT_ONCE = 500
_FINISHED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]

_one_at_a_time = threading.Lock()


class WorkflowsElsewhere(RuntimeError):
    """Durable work is carried out by another server in this same Python process: there can be one only."""


class StepFailed(RuntimeError):
    """A step has raised what it should not have; the text is that exception's name."""


class _Stopped(BaseException):
    """The process ends: the work stays as it is, for another one. (An `Exception` would end it as failed.)"""


@dataclass(frozen=True, slots=True)
class _Running:
    dbos: "type[DBOS]"


StepWatch = Callable[[str, RequestNote, int, str, bool], None]
"""Takes the kind of work, what was found out about it, when the step began (ns), what came of it, whether it failed."""


class Workflows:
    """The durable work of one process.

    Args:
        tables: where it is kept.
        executor: this process's name, unlike that of any other one, dead ones too.
        poll_secs: how often is looked for work that is due; it is begun up to twice as late.
    """

    def __init__(self, tables: WorkflowTables, executor: str, *, poll_secs: float = 1.0) -> None:
        self._tables = tables
        self._executor = executor
        self._poll_secs = poll_secs
        self._works: dict[str, Sequence[Step]] = {}
        self._aside: set[str] = set()
        self._running: _Running | None = None
        self._launching = asyncio.Lock()
        self._steps: set[asyncio.Task[object]] = set()
        self._is_closing = False
        self._loop = asyncio.get_running_loop()
        self._purge_at_secs = 0.0
        self.watch: StepWatch | None = None
        """Who is told of every step that has ended."""

    def add(self, work: str, steps: Sequence[Step], *, is_aside: bool = False) -> None:
        """Say what a kind of work consists of. Its name and the number of its steps may never change in meaning.

        `is_aside`: it waits for others' servers, and only for work like itself when many of them are slow.
        """
        self._works[work] = steps
        if is_aside:
            self._aside.add(work)

    async def schedule(self, work: str, key: str, *, delay_secs: float = 0.0) -> None:
        """Have a work done about `key` (an id, nothing personal), in so many seconds. Asked twice, it is done once.

        Raises:
            DatabaseAway: it was not written down, as far as anyone knows; it may be asked for again.
        """
        if work not in self._works:
            raise ValueError(f"there is no durable work {work}")
        running = await self._launch()
        # A step may ask for more work. Its own place in DBOS's books goes with its context, and work that is asked for
        # there would be a part of it: this is work of its own.
        await _in_thread(contextvars.Context().run, self._enqueue, running, work, key, delay_secs)

    async def cancel(self, work: str, key: str) -> None:
        """Do not begin a work; one that is being done goes on to the end of its step. Raises `DatabaseAway`."""
        running = await self._launch()
        await _in_thread(running.dbos.cancel_workflow, _id(work, key))

    async def list_executors(self) -> set[str]:
        """Name the processes that are doing work, dead or alive. Raises `DatabaseAway`."""
        return await _in_thread(self._tables.list_executors)

    async def take_over(self, executor: str) -> None:
        """Have the work of a process that is proven dead done by a living one. Any number may ask: it is done once.

        Raises:
            DatabaseAway: it may be repeated.
        """
        if executor in await self.list_executors():
            running = await self._launch()
            await _in_thread(_recover, running.dbos, executor)

    async def look(self, now_secs: float) -> None:
        """Start if there is work anywhere, and now and then forget what is long done. `now_secs` is monotonic.

        Raises:
            DatabaseAway: nobody can say.
        """
        if self._running is None and await _in_thread(self._tables.has_unfinished):
            await self._launch()
        if self._running is not None and now_secs >= self._purge_at_secs:
            await self.purge(datetime.now(UTC) - _KEPT)
            self._purge_at_secs = now_secs + _PURGE_SECS

    async def purge(self, before: datetime) -> int:
        """Forget work that was finished before then (aware); returns how much. Raises `DatabaseAway`."""
        running, count = await self._launch(), 0
        while found := await _in_thread(_purge_some, running.dbos, before):
            count += found
        return count

    @property
    def is_started(self) -> bool:
        """Whether this process carries out durable work by now."""
        return self._running is not None

    @asynccontextmanager
    async def carrying_out(self, look_secs: float = _LOOK_SECS) -> AsyncGenerator[None]:
        """Look for work at once and from then on, for the length of the block; then leave what is not done."""
        looking = asyncio.create_task(self._keep_looking(look_secs), name="durable work")
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            await self._close()

    # ---- in our event loop ----

    async def _keep_looking(self, look_secs: float) -> None:
        is_away = False
        while True:
            try:
                await self.look(self._loop.time())
                is_away = False
            except DatabaseAway as error:
                if not is_away:
                    logger.bind(problem=str(error)).warning("durable work cannot be looked for now")
                is_away = True
            except Exception:
                logger.exception("durable work could not be started; it is tried again")
            await asyncio.sleep(look_secs)

    async def _launch(self) -> _Running:
        async with self._launching:
            if self._running is None:
                if self._is_closing:
                    raise DatabaseAway("The server stops; durable work is not taken any more.")
                self._running = await _in_thread(self._start)
                logger.bind(executor=self._executor).info("durable work is carried out from now on")
            return self._running

    async def _close(self) -> None:
        self._is_closing = True
        async with self._launching:
            running, self._running = self._running, None
        if self._steps:
            _done, late = await asyncio.wait(self._steps, timeout=_GRACE_SECS)
            for step in late:
                step.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await asyncio.to_thread(self._stop, running)

    async def _watched(self, work: str, step: Step, key: str) -> str:
        if self.watch is None:
            return await self._run_step(step, key)
        began_ns, (note, token), outcome, is_error = now_ns(), begin_note(), "", True
        try:
            outcome = await self._run_step(step, key)
            is_error = False
            return outcome
        finally:
            end_note(token)
            self.watch(work, note, began_ns, outcome, is_error)

    async def _run_step(self, step: Step, key: str) -> str:
        """One step, again and again while the database is away."""
        if self._is_closing:
            raise asyncio.CancelledError
        task = asyncio.current_task()
        if task is not None:
            self._steps.add(task)
            task.add_done_callback(self._steps.discard)
        wait_secs = _RETRY_SECS
        while True:
            try:
                return await step(key)
            except DatabaseAway as error:
                logger.bind(key=key, problem=str(error), retry_secs=wait_secs).warning("a step of durable work waits")
            except Exception as error:
                # What it says may be what somebody said, and would be written down with the work.
                logger.bind(key=key, problem=type(error).__name__).error("a step of durable work failed for good")
                raise StepFailed(type(error).__name__) from None
            await asyncio.sleep(wait_secs)
            wait_secs = min(wait_secs * 2, _LONGEST_RETRY_SECS)

    # ---- in threads ----

    def _start(self) -> _Running:
        from dbos import DBOS  # a tenth of a second and 15 MB, which most servers never need

        if not _one_at_a_time.acquire(blocking=False):
            raise WorkflowsElsewhere(WorkflowsElsewhere.__doc__)
        library = logging.getLogger("dbos")
        library.addHandler(logging.NullHandler())  # it has one: it makes none of its own, and our log has its lines
        library.propagate = True
        try:
            DBOS(
                config={
                    "name": _APP,
                    "system_database_url": self._tables.url,
                    "system_database_engine": self._tables.engine(),
                    "dbos_system_schema": SCHEMA,
                    "executor_id": self._executor,
                    "application_version": _VERSION,
                    "notification_listener_polling_interval_sec": self._poll_secs,
                    "use_listen_notify": False,  # would hold a connection for messages that we do not send
                    "log_level": "WARNING",
                }
            )

            def carry_out(work: str, key: str) -> str:  # DBOS marks its functions, and a method cannot be marked
                return self._carry_out(DBOS, work, key)

            DBOS.workflow(name=_WORKFLOW)(carry_out)
            DBOS.launch()
            for queue in (_APP, _ASIDE):
                DBOS.register_queue(
                    queue,
                    worker_concurrency=_MOST_AT_ONCE,
                    polling_interval_sec=self._poll_secs,
                    on_conflict="always_update",
                )
        except BaseException:
            DBOS.destroy(destroy_registry=True)
            _one_at_a_time.release()
            raise
        return _Running(DBOS)

    def _stop(self, running: _Running | None) -> None:
        if running is not None:
            running.dbos.destroy(destroy_registry=True)
            _one_at_a_time.release()
        self._tables.close()

    def _enqueue(self, running: _Running, work: str, key: str, delay_secs: float) -> None:
        running.dbos.enqueue_workflow_with_options(
            {
                "workflow_name": _WORKFLOW,
                "queue_name": _ASIDE if work in self._aside else _APP,
                "workflow_id": _id(work, key),
                "app_version": _VERSION,
                "delay_seconds": max(0.0, delay_secs),
            },
            work,
            key,
        )

    def _carry_out(self, dbos: "type[DBOS]", work: str, key: str) -> str:
        """Do a work. Each step that was done is written down, and not done again after a crash."""
        outcome = ""
        for number, step in enumerate(self._works[work]):

            def do(step: Step = step) -> str:
                doing = asyncio.run_coroutine_threadsafe(self._watched(work, step, key), self._loop)
                try:
                    return doing.result()
                except concurrent.futures.CancelledError as cancelled:
                    raise _Stopped from cancelled

            outcome = dbos.run_step({"name": f"{work} {number}"}, do)
        return outcome


def _id(work: str, key: str) -> str:
    return f"{work}:{key}"


def _recover(dbos: "type[DBOS]", executor: str) -> None:
    """The one use of a private name. The public `resume_workflow` does not ask whose the work is, and so doubles it."""
    dbos._recover_pending_workflows([executor])  # pyright: ignore[reportPrivateUsage]


def _purge_some(dbos: "type[DBOS]", before: datetime) -> int:
    found = dbos.list_workflows(
        status=_FINISHED,
        completed_before=before.isoformat(),
        limit=_PURGED_AT_ONCE,
        load_input=False,
        load_output=False,
    )
    if found:
        dbos.delete_workflows([workflow.workflow_id for workflow in found])
    return len(found)


async def _in_thread(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Run what blocks in a thread, and call an absent database by its name."""
    try:
        return await asyncio.to_thread(function, *arguments, **named)
    except SQLAlchemyError as error:
        if is_away(error):
            raise DatabaseAway(f"The database of durable work does not answer ({type(error).__name__}).") from error
        raise
