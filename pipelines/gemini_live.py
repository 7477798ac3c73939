"""Gemini Live as one stage of the pipeline: Pipecat's service over one shared client, with its gaps closed."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import certifi
from google.genai import Client
from google.genai.types import (
    Content,
    EndSensitivity,
    HttpOptions,
    LiveConnectConfig,
    LiveServerMessage,
    StartSensitivity,
)
from loguru import logger
from pipecat.frames.frames import LLMFullResponseEndFrame, TTSStoppedFrame
from pipecat.services.google.gemini_live.llm import (
    ContextWindowCompressionParams,
    GeminiLiveLLMService,
    GeminiVADParams,
)

from config.pipeline import GeminiLive as GeminiLiveSettings
from config.pipeline import GeminiVad
from pipelines.scribe import Scribe

_READY_SECS = 5.0
"""How long the connection and the model's `setupComplete` may take together."""

_TOOL_GRACE_SECS = 2.0
"""A tool is stopped by `pipelines.tools`, which apologises for it; only one that cannot be stopped is left to Pipecat,
this much later."""


def make_client(*, api_key: str, base_url: str | None, ca_file: Path | None) -> Client:
    """One client for every call of the process; building it parses the CA bundle (about 150 ms), so it is built once.

    `SSL_CERT_FILE` replaces the trust store (google-genai's own rule); `ca_file` adds to it.
    """
    context = ssl.create_default_context()
    if not context.get_ca_certs() or not ssl.get_default_verify_paths().cafile:
        context.load_verify_locations(cafile=certifi.where())
    if ca_file is not None:
        context.load_verify_locations(cafile=str(ca_file))
    arguments: dict[str, Any] = {
        "ssl": context,
        "verify": context,
        # Audio is incompressible, and a pong that is seconds late is common at Google: neither may cost a call.
        "compression": None,
        "ping_interval": None,
        "open_timeout": _READY_SECS,
    }
    return Client(api_key=api_key, http_options=HttpOptions(base_url=base_url, async_client_args=arguments))


def _vad_params(vad: GeminiVad) -> GeminiVADParams | None:
    """Gemini's detection of speech as the agent wants it; None leaves all of it to Google."""
    if vad == GeminiVad():
        return None
    start, end = vad.start_sensitivity, vad.end_sensitivity
    return GeminiVADParams(
        start_sensitivity=StartSensitivity(f"START_SENSITIVITY_{start.upper()}") if start else None,
        end_sensitivity=EndSensitivity(f"END_SENSITIVITY_{end.upper()}") if end else None,
        prefix_padding_ms=vad.prefix_padding_ms,
        silence_duration_ms=vad.silence_duration_ms,
    )


class GeminiLive(GeminiLiveLLMService):
    """Pipecat's Gemini Live service, made fit for a phone line.

    What it adds: the shared client, a deadline on becoming ready, a failed connection that is told and not silent, a
    turn that ends with `generationComplete` (so the tail of the last word is not held back until `turnComplete`),
    every part of a message, usage in any message, and no buffer that only grows.
    """

    def __init__(
        self,
        client: Client,
        settings: GeminiLiveSettings,
        *,
        language: str,
        instructions: str,
        tools: list[Any],
        speaks_first: bool,
        tool_timeout_secs: float,
        scribe: Scribe,
        on_lost: Callable[[], None],
    ) -> None:
        """Take the stage's settings, what the agent is told, its tools, and whom to tell of events and of the end."""
        self._shared_client = client
        self._scribe = scribe
        self._on_lost = on_lost
        self._ready_deadline: asyncio.Timeout | None = None
        self._is_generated = False
        service = GeminiLiveLLMService.Settings(
            model=settings.model if settings.model.startswith("models/") else f"models/{settings.model}",
            voice=settings.voice,
            language=language,
            temperature=settings.temperature,
            vad=_vad_params(settings.vad),
            context_window_compression=ContextWindowCompressionParams(
                enabled=settings.compression.enabled, trigger_tokens=settings.compression.trigger_tokens
            ),
        )
        super().__init__(
            api_key="",
            settings=service,
            system_instruction=instructions,
            tools=tools or None,
            inference_on_context_initialization=speaks_first,
            function_call_timeout_secs=tool_timeout_secs + _TOOL_GRACE_SECS,
        )

    def create_client(self) -> None:
        """Use the process's client."""
        self._client = self._shared_client

    def _warn_if_realtime_service_emits_no_turn_frames(self, emits_turn_frames: bool) -> None:
        """Nothing to warn of: turn frames come from our own voice activity, and they decide nothing here."""

    async def _connection_task_handler(self, config: LiveConnectConfig) -> None:
        try:
            async with asyncio.timeout(_READY_SECS) as self._ready_deadline:
                await super()._connection_task_handler(config)
        except Exception as error:
            # Pipecat only logs this; the caller would hear nothing until he hangs up.
            self._tell_lost(error)

    async def _handle_connection_error(self, error: Exception) -> bool:
        may_try_again = await super()._handle_connection_error(error)
        if not may_try_again:
            self._tell_lost(error)
        return may_try_again

    def _tell_lost(self, error: Exception) -> None:
        logger.error("the model could not be reached: {}: {}", type(error).__name__, error)
        self._scribe.event("model.failed", error=f"{type(error).__name__}: {error}"[:300])
        self._on_lost()

    async def _handle_session_ready(self, session: Any) -> None:
        if self._ready_deadline is not None:
            self._ready_deadline.reschedule(None)
        self._scribe.event("model.ready")
        await super()._handle_session_ready(session)

    async def _handle_server_message(self, message: LiveServerMessage) -> None:
        await super()._handle_server_message(message)
        content = message.server_content
        if message.usage_metadata and not (content and content.turn_complete):
            await self._handle_msg_usage_metadata(message)
        if content and (content.turn_complete or content.interrupted):
            self._is_generated = False
        elif content and content.generation_complete:
            self._is_generated = True
        if content and content.generation_complete and self._bot_is_responding:
            await self._set_bot_is_responding(False)
            await self.push_frame(TTSStoppedFrame())
            await self.push_frame(LLMFullResponseEndFrame())

    async def _handle_msg_model_turn(self, msg: LiveServerMessage) -> None:
        content = msg.server_content
        assert content is not None
        assert content.model_turn is not None
        self._is_generated = False
        # The base class reads the first part only.
        for part in content.model_turn.parts or []:
            single = content.model_copy(update={"model_turn": Content(role="model", parts=[part])})
            await super()._handle_msg_model_turn(msg.model_copy(update={"server_content": single}))
        self._bot_audio_buffer.clear()

    async def _handle_msg_output_transcription(self, message: LiveServerMessage) -> None:
        transcription = message.server_content and message.server_content.output_transcription
        if not self._is_generated or not transcription or not transcription.text:
            await super()._handle_msg_output_transcription(message)
            return
        # Words of speech that was sent already: the base class would take them for the beginning of another answer.
        self._search_result_buffer += transcription.text
        self._llm_output_buffer += transcription.text
        await self._push_output_transcription_text_frames(transcription.text)

    async def _handle_msg_usage_metadata(self, message: LiveServerMessage) -> None:
        usage = message.usage_metadata
        if usage is not None:
            self._scribe.event("model.usage", **usage.model_dump(mode="json", exclude_none=True))
        await super()._handle_msg_usage_metadata(message)
