"""One pipeline of a call, from its start until the call ends or another pipeline takes over."""

import asyncio
from collections.abc import Awaitable, Callable

from loguru import logger
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.pipeline.worker_observer import WorkerObserver
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.transports.base_transport import BaseTransport
from pipecat.workers.runner import WorkerRunner

from pipelines.conductor import Conductor
from pipelines.stages import Assembly
from pipelines.tools import CallResources
from transcripts.call import EndReason

_SHUTDOWN_SECS = 5.0
"""How long a pipeline may take to wind up once the call is over."""


class _QuietObserver(WorkerObserver):
    """Pipecat's go-between to observers, which is not there for frames as long as there is no observer.

    A description of every push of every frame is made for it otherwise.
    """

    def __bool__(self) -> bool:
        return bool(self._observers)


class PipelineRun:
    """Runs what was assembled.

    Attributes:
        detail: What went wrong, if anything did.
        leftovers: What nobody will use any more once it has wound up; empty while something of it may still run.
    """

    def __init__(
        self,
        assembly: Assembly,
        conductor: Conductor,
        desk: CallResources,
        *,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Take the stages, who ends the call, what its tools may reach, and what comes before the conversation."""
        self._before = before
        self._assembly = assembly
        self._conductor = conductor
        self._desk = desk
        self._next: asyncio.Future[Assembly] = asyncio.get_running_loop().create_future()
        self.detail: str | None = None
        self.leftovers: list[object] = []

    def go_on_with(self, assembly: Assembly) -> None:
        """Leave this pipeline for that one, on the same line."""
        if not self._next.done():
            self._next.set_result(assembly)

    async def run(self) -> Assembly | None:
        """Run until the conductor ends the call (None) or another pipeline is to go on (that one)."""
        assembly, conductor, call_id = self._assembly, self._conductor, self._desk.call.call_id
        worker = PipelineWorker(
            Pipeline(assembly.processors),
            params=PipelineParams(
                audio_in_sample_rate=assembly.line.caller_hz,
                audio_out_sample_rate=assembly.line.agent_hz,
                enable_usage_metrics=True,
            ),
            app_resources=self._desk,
            # Gemini Live emits no user-turn frames and background speech keeps a dead call alive: the conductor ends.
            idle_timeout_secs=None,
            enable_rtvi=False,
            enable_turn_tracking=False,
        )
        worker._observer = _QuietObserver()  # pyright: ignore[reportPrivateUsage]
        runner = WorkerRunner(handle_sigint=False)  # the server owns the signals

        @assembly.transport.event_handler("on_client_disconnected")
        async def on_client_disconnected(_transport: BaseTransport, _client: object) -> None:  # pyright: ignore[reportUnusedFunction]
            conductor.end(EndReason.CALLER_HUNG_UP if assembly.line.is_hung_up else EndReason.CONNECTION_LOST)

        await runner.add_workers(worker)
        running = asyncio.create_task(runner.run(), name=f"pipeline {call_id}")
        conducting = asyncio.create_task(conductor.wait(), name=f"conductor {call_id}")
        opening: asyncio.Task[None] | None = None
        try:
            if self._before is None:
                await self._open(worker)
            else:
                opening = asyncio.create_task(self._open(worker), name=f"opening {call_id}")
                opening.add_done_callback(self._tell_failed_opening)
            await asyncio.wait({running, conducting, self._next}, return_when=asyncio.FIRST_COMPLETED)
            if self._next.done() and not conducting.done():
                return self._next.result()
            if running.done() and not conducting.done():
                self._tell_end(running)
            await conducting
        finally:
            self._next.cancel()
            if opening is not None:
                opening.cancel()
                await asyncio.wait({opening})
            await _wind_up(runner, running, conducting)
            if running.done():
                self.leftovers = [
                    *_with_parts(worker.pipeline),
                    *assembly.processors,
                    assembly.transport,
                    worker,
                    runner,
                ]
        return None

    async def _open(self, worker: PipelineWorker) -> None:
        """Begin the conversation, after what comes before it."""
        if self._before is not None:
            await self._before()
        await worker.queue_frames(self._assembly.opening_frames())
        if self._assembly.opening:
            self._assembly.scribe.await_words()

    def _tell_failed_opening(self, opening: asyncio.Task[None]) -> None:
        if not opening.cancelled() and opening.exception() is not None:
            self._tell_end(opening)

    def _tell_end(self, running: asyncio.Task[None]) -> None:
        failure = None if running.cancelled() else running.exception()
        self.detail = f"{type(failure).__name__}: {failure}" if failure else "the pipeline ended by itself"
        logger.opt(exception=failure).error("the pipeline of a call ended before the call: {}", self.detail)
        self._conductor.end(EndReason.FAILED)


def _with_parts(processor: FrameProcessor) -> list[FrameProcessor]:
    """A pipeline, and all that stands in it."""
    return [processor, *(part for inner in processor.processors for part in _with_parts(inner))]


async def _wind_up(runner: WorkerRunner, running: asyncio.Task[None], conducting: asyncio.Task[EndReason]) -> None:
    conducting.cancel()
    if not running.done():
        await runner.cancel("the call has ended")
        _, pending = await asyncio.wait({running}, timeout=_SHUTDOWN_SECS)
        if pending:
            logger.error("a pipeline did not wind up within {} s and is cut off", _SHUTDOWN_SECS)
            running.cancel()
    # One that swallows its cancellation is left behind: the call's row and recording must not wait for it.
    await asyncio.wait({running, conducting}, timeout=_SHUTDOWN_SECS)
