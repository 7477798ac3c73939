"""One call, from its first frame to its last: assemble, run, conduct, hand over. The heart of the house."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from google.genai import Client
from loguru import logger
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.transports.base_transport import BaseTransport
from pipecat.workers.runner import WorkerRunner

from config.agent import AgentConfig
from pipelines.conductor import Conductor
from pipelines.line import CallLine
from pipelines.live import LiveCall
from pipelines.scribe import Scribe
from pipelines.stages import Assembly, CannotBuildPipeline, assemble
from pipelines.tools import Bot, CallResources
from transcripts.call import Call, EndReason
from transcripts.log import CallLog
from transcripts.recordings import RecordingResult, RecordingWriter
from transcripts.records import Records

_SHUTDOWN_SECS = 5.0
"""How long a pipeline may take to wind up once the call is over."""


@dataclass(frozen=True)
class CallServices:
    """What every call of this process shares.

    Attributes:
        gemini: The Gemini client; None when neither a key nor an endpoint is set.
        recordings_dir: Where recordings go.
        records_of: Gives an agent, by its name, its bot's own rows.
    """

    gemini: Client | None
    recordings_dir: Path
    records_of: Callable[[str], Records]


async def run_call(
    call: Call,
    agent: AgentConfig,
    bot: Bot,
    transport: BaseTransport,
    line: CallLine,
    log: CallLog,
    services: CallServices,
    live: LiveCall,
) -> EndReason:
    """Run one call from first frame to last. Returns why it ended; raises only on our own bugs.

    The line's clock must have been started when the stream was. Turns, events, recording and the end of the call's row
    are written through `log`.
    """
    scribe = Scribe(line, log, agent.name)
    line.listeners.append(scribe)
    recording = None
    if agent.recording.enabled:
        recording = RecordingWriter(services.recordings_dir, call.call_id, line.caller_hz)
    assembly = Assembly(
        call=call,
        agent=agent,
        bot=bot,
        transport=transport,
        line=line,
        scribe=scribe,
        gemini=services.gemini,
        recording=recording,
        on_model_lost=lambda: conductor.end(EndReason.FAILED),
    )
    conductor = Conductor(agent.limits, assembly.phrases, scribe, say=assembly.say)
    live.on_end(conductor.end)
    scribe.event("call.live", at_ms=0, agent=agent.name, direction=call.direction.value)
    detail: str | None = None
    try:
        assemble(assembly)
        conductor.may_judge_silence = assembly.has_voice_activity
        settings = bot.settings.model_validate(agent.settings) if bot.settings is not None else None
        desk = CallResources(call, agent, settings, services.records_of(agent.name), scribe, conductor)
        detail = await _run_pipeline(assembly, conductor, desk, transport, line)
    except CannotBuildPipeline as error:
        logger.error("agent {}: {}", agent.name, error)
        conductor.end(EndReason.FAILED)
        detail = str(error)
    except asyncio.CancelledError:
        conductor.end(EndReason.DRAINED)
        raise
    except Exception as error:
        conductor.end(EndReason.FAILED)
        detail = f"{type(error).__name__}: {error}"
        raise
    finally:
        # However it ended: what was said and recorded until then is kept.
        reason = await _finish(scribe, log, recording, conductor, detail)
    return reason


async def _run_pipeline(
    assembly: Assembly, conductor: Conductor, desk: CallResources, transport: BaseTransport, line: CallLine
) -> str | None:
    """Run the pipeline until the conductor ends the call; returns what went wrong, if anything did."""
    worker = PipelineWorker(
        Pipeline(assembly.processors),
        params=PipelineParams(
            audio_in_sample_rate=line.caller_hz, audio_out_sample_rate=line.agent_hz, enable_usage_metrics=True
        ),
        app_resources=desk,
        # Gemini Live emits no user-turn frames and background speech keeps a dead call alive: the conductor ends calls.
        idle_timeout_secs=None,
        enable_rtvi=False,
        enable_turn_tracking=False,
    )
    runner = WorkerRunner(handle_sigint=False)  # the server owns the signals

    @transport.event_handler("on_client_disconnected")
    async def on_client_disconnected(_transport: BaseTransport, _client: object) -> None:  # pyright: ignore[reportUnusedFunction]
        conductor.end(EndReason.CALLER_HUNG_UP if line.is_hung_up else EndReason.CONNECTION_LOST)

    detail: str | None = None
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run(), name=f"pipeline {desk.call.call_id}")
    conducting = asyncio.create_task(conductor.wait(), name=f"conductor {desk.call.call_id}")
    try:
        await worker.queue_frames(assembly.opening_frames())
        if assembly.greeting:
            assembly.scribe.await_words()
        await asyncio.wait({running, conducting}, return_when=asyncio.FIRST_COMPLETED)
        if running.done() and not conducting.done():
            failure = None if running.cancelled() else running.exception()
            detail = f"{type(failure).__name__}: {failure}" if failure else "the pipeline ended by itself"
            logger.opt(exception=failure).error("the pipeline of a call ended before the call: {}", detail)
            conductor.end(EndReason.FAILED)
        await conducting
    finally:
        await _wind_up(runner, running, conducting)
    return detail


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


async def _finish(
    scribe: Scribe, log: CallLog, recording: RecordingWriter | None, conductor: Conductor, detail: str | None
) -> EndReason:
    reason = conductor.reason or EndReason.FAILED
    # The call was over then; winding up takes a moment that belongs neither to its turns nor to its recording.
    ended_ms = scribe.now_ms if conductor.ended_ms is None else conductor.ended_ms
    scribe.close(ended_ms)
    result: RecordingResult | None = None
    if recording is not None:
        result = await recording.close(ended_ms)
    scribe.event("call.ended", at_ms=ended_ms, reason=reason.value, detail=detail)
    log.finish(
        reason,
        recording_status=result.status if result else None,
        recording_error=result.error if result else None,
    )
    return reason
