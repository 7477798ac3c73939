"""Gemini's text API, asked once: an answer by a schema, or one of the ways in which there is none."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from google.genai import Client
from google.genai.errors import APIError
from google.genai.types import (
    Candidate,
    Content,
    FinishReason,
    GenerateContentConfig,
    GenerateContentResponse,
    HttpOptions,
    HttpRetryOptions,
    Part,
)
from loguru import logger

from aftercall.models import AnalysisProblem
from aftercall.transcript_prompt import Question
from config.settings import Settings
from net.gemini_http import gemini_http
from net.retry_after import read_wait_secs

DEADLINE_SECS = 90.0
_BUSY, _TOO_LATE = 429, 408
_BLOCKED = frozenset(
    {
        FinishReason.SAFETY,
        FinishReason.RECITATION,
        FinishReason.BLOCKLIST,
        FinishReason.PROHIBITED_CONTENT,
        FinishReason.SPII,
        FinishReason.LANGUAGE,
    }
)


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """What came back.

    Attributes:
        text: The answer, when there is one.
        problem: Why there is none.
        wait_secs: For how long its provider asks to be left alone.
        usage: What it used, in its provider's words; also of an answer that cannot be used.
    """

    text: str = ""
    problem: AnalysisProblem | None = None
    wait_secs: float | None = None
    usage: Mapping[str, Any] = field(default_factory=dict[str, Any])


class TextModel:
    """One client for the process, made with the first question."""

    def __init__(self, settings: Settings, *, deadline_secs: float = DEADLINE_SECS) -> None:
        """Take the key and the endpoint, those of the conversations, and how long an answer may take."""
        key = settings.google_api_key
        self._key = key.get_secret_value() if key is not None else "none-needed"
        self._base_url: str | None = settings.gemini_base_url
        self._ca_file: Path | None = settings.gemini_ca_file
        self.is_there = not settings.uses_emulator
        """Whether there is a key or an endpoint."""
        self._deadline_secs = deadline_secs
        self._client: Client | None = None
        self._http: Any = None
        self._making = asyncio.Lock()

    async def ask(self, model: str, question: Question, schema: Mapping[str, Any], most_tokens: int) -> TextAnswer:
        """Ask once; whatever goes wrong is in the answer. `most_tokens`: thoughts and answer together."""
        client = await self._prepare()
        config = GenerateContentConfig(
            system_instruction=Content(parts=[Part(text=question.system)]),
            response_mime_type="application/json",
            response_json_schema=dict(schema),
            temperature=0.0,
            candidate_count=1,
            max_output_tokens=most_tokens,
        )
        contents = [Content(role="user", parts=[Part(text=question.transcript)])]
        try:
            async with asyncio.timeout(self._deadline_secs):
                found = await client.aio.models.generate_content(model=model, contents=contents, config=config)
        except TimeoutError:
            return TextAnswer(problem=AnalysisProblem.UNAVAILABLE)
        except APIError as error:
            return _refused(error)
        except Exception as error:
            # The SDK raises whatever its reading of a strange answer, or the client below it, stumbles over; its text
            # may hold that answer, and so only its name is told.
            logger.bind(model=model, problem=type(error).__name__).warning("a text model could not be asked")
            return TextAnswer(problem=AnalysisProblem.UNAVAILABLE)
        return _read(found)

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()

    async def _prepare(self) -> Client:
        async with self._making:
            if self._client is None:
                self._client = await asyncio.to_thread(self._make)
        return self._client

    def _make(self) -> Client:
        self._http = gemini_http(self._ca_file)
        options = HttpOptions(
            base_url=self._base_url,
            httpx_async_client=self._http,
            # Whoever asks decides when it is asked again: the queue is shared by all processes.
            retry_options=HttpRetryOptions(attempts=1),
        )
        return Client(api_key=self._key, http_options=options)


def _refused(error: APIError) -> TextAnswer:
    code = error.code
    if code == _BUSY:
        response = cast(Any, error.response)
        headers = cast(Mapping[str, str], getattr(response, "headers", None) or {})
        asked_secs = read_wait_secs(headers.get("retry-after", ""), datetime.now(UTC))
        return TextAnswer(problem=AnalysisProblem.BUSY, wait_secs=asked_secs)
    if code == _TOO_LATE or not 400 <= code < 500:
        return TextAnswer(problem=AnalysisProblem.UNAVAILABLE)
    return TextAnswer(problem=AnalysisProblem.REFUSED)


def _read(found: GenerateContentResponse) -> TextAnswer:
    told = found.usage_metadata
    usage: dict[str, Any] = {} if told is None else told.model_dump(mode="json", exclude_none=True)
    feedback = found.prompt_feedback
    candidate = found.candidates[0] if found.candidates else None
    if candidate is None:
        is_blocked = feedback is not None and feedback.block_reason is not None
        problem = AnalysisProblem.BLOCKED if is_blocked else AnalysisProblem.EMPTY
        return TextAnswer(problem=problem, usage=usage)
    if candidate.finish_reason in _BLOCKED:
        return TextAnswer(problem=AnalysisProblem.BLOCKED, usage=usage)
    if candidate.finish_reason is FinishReason.MAX_TOKENS:
        return TextAnswer(problem=AnalysisProblem.TRUNCATED, usage=usage)
    text = _text_of(candidate)
    return TextAnswer(text=text, problem=None if text.strip() else AnalysisProblem.EMPTY, usage=usage)


def _text_of(candidate: Candidate) -> str:
    parts = candidate.content.parts if candidate.content is not None else None
    return "".join(part.text or "" for part in parts or [] if not part.thought)
