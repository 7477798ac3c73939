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
    live.end = conductor.end
    scribe.event("call.live", at_ms=0, agent=agent.name, direction=call.direction.value)
    try:
        assemble(assembly)
    except CannotBuildPipeline as error:
        logger.error("agent {}: {}", agent.name, error)
        conductor.end(EndReason.FAILED)
        return await _finish(scribe, log, recording, EndReason.FAILED, str(error))
    conductor.may_judge_silence = assembly.has_voice_activity

    settings = bot.settings.model_validate(agent.settings) if bot.settings is not None else None
    desk = CallResources(call, agent, settings, services.records_of(agent.name), scribe, conductor)
    reason, detail = await _run_pipeline(assembly, conductor, desk, transport, line)
    return await _finish(scribe, log, recording, reason, detail)


async def _run_pipeline(
    assembly: Assembly, conductor: Conductor, desk: CallResources, transport: BaseTransport, line: CallLine
) -> tuple[EndReason, str | None]:
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
        await asyncio.wait({running, conducting}, return_when=asyncio.FIRST_COMPLETED)
        if running.done() and not conducting.done():
            failure = running.exception()
            detail = f"{type(failure).__name__}: {failure}" if failure else "the pipeline ended by itself"
            logger.opt(exception=failure).error("the pipeline of a call ended before the call: {}", detail)
            conductor.end(EndReason.FAILED)
        reason = await conducting
    finally:
        await _wind_up(runner, running, conducting)
    return reason, detail


async def _wind_up(runner: WorkerRunner, running: asyncio.Task[None], conducting: asyncio.Task[EndReason]) -> None:
    conducting.cancel()
    if not running.done():
        await runner.cancel("the call has ended")
        _, pending = await asyncio.wait({running}, timeout=_SHUTDOWN_SECS)
        if pending:
            logger.error("a pipeline did not wind up within {} s and is cut off", _SHUTDOWN_SECS)
            running.cancel()
    await asyncio.gather(running, conducting, return_exceptions=True)


async def _finish(
    scribe: Scribe, log: CallLog, recording: RecordingWriter | None, reason: EndReason, detail: str | None
) -> EndReason:
    scribe.close()
    result: RecordingResult | None = None
    if recording is not None:
        result = await recording.close(scribe.now_ms)
    scribe.event("call.ended", reason=reason.value, detail=detail)
    log.finish(
        reason,
        recording_status=result.status if result else None,
        recording_error=result.error if result else None,
    )
    return reason
