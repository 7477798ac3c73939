"""generateContent for text: answers that are plain but well-formed, and satisfy the response schema if there is one."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from simulators import gemini_wire as wire
from simulators.schema_answers import answer_schema
from simulators.text_requests import passages
from simulators.text_troubles import TextTroubles
from simulators.transcript_reading import answer_about, find_transcript

MODELS = ("gemini-3.8-live", "gemini-3.8-flash", "gemini-2.5-flash", "gemini-2.5-flash-native-audio-preview-12-2025")


def compose(body: wire.Json) -> str:
    """The answer to one generateContent request (camelCase keys): JSON by its schema, a quoted passage, or a remark."""
    contents = cast(list[Any], body.get("contents") or [])
    prompt = "\n".join(wire.content_text(content) for content in contents)
    config = cast(wire.Json, body.get("generationConfig") or {})
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    if schema is not None:
        said = find_transcript(prompt)
        if said:
            task = wire.content_text(body.get("systemInstruction") or {})
            return json.dumps(answer_about(cast(wire.Json, schema), said, task))
        return json.dumps(answer_schema(cast(wire.Json, schema), prompt))
    if config.get("responseMimeType") == "application/json":
        return json.dumps({"words": len(prompt.split())})
    last = wire.content_text(contents[-1]) if contents else ""
    quoted = passages(last)
    return quoted[-1] if quoted else f"I have read {len(prompt.split())} words."


def response_body(text: str, body: wire.Json, model: str, *, is_last: bool = True) -> wire.Json:
    """A GenerateContentResponse. Four characters of text count as one token."""
    contents = cast(list[Any], body.get("contents") or [])
    prompt = sum(len(wire.content_text(content)) for content in [*contents, body.get("systemInstruction")])
    tokens_in, tokens_out = (prompt + 3) // 4, (len(text) + 3) // 4
    candidate: wire.Json = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if is_last:
        candidate["finishReason"] = "STOP"
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": tokens_in,
            "candidatesTokenCount": tokens_out,
            "totalTokenCount": tokens_in + tokens_out,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens_in}],
        },
        "modelVersion": model,
        "responseId": uuid.uuid4().hex,
    }


class TextModel:
    """The HTTP half of the stand-in. `refusal(key)`: the response for a request whose key is wrong, or None."""

    def __init__(self, refusal: Callable[[str | None], JSONResponse | None], troubles: TextTroubles) -> None:
        self._refusal = refusal
        self._troubles = troubles
        self.requests: list[wire.Json] = []
        """What was asked, camelCase."""

    async def list_models(self, request: Request) -> Response:
        """GET /v1beta/models."""
        refused = self._refusal(_key(request))
        if refused is not None:
            return refused
        methods = ["generateContent", "streamGenerateContent", "bidiGenerateContent"]
        return JSONResponse(
            {
                "models": [
                    {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}
                    for name in MODELS
                ]
            }
        )

    async def generate(self, request: Request) -> Response:
        """POST /v1beta/models/{model}:generateContent and :streamGenerateContent?alt=sse."""
        refused = self._refusal(_key(request))
        if refused is not None:
            return refused
        model, _, method = str(request.path_params["call"]).partition(":")
        try:
            loaded = json.loads(await request.body())
        except ValueError:
            return _invalid("Invalid JSON payload received.")
        if not isinstance(loaded, dict) or not cast(wire.Json, loaded).get("contents"):
            return _invalid("GenerateContentRequest.contents: contents is not specified")
        body = cast(wire.Json, wire.camel_keys(loaded))
        text = compose(body)
        self.requests.append(body)
        if method == "generateContent":
            answer = _within(response_body(text, body, model), body)
            return await self._troubles.meet(answer) or JSONResponse(answer)
        if method == "streamGenerateContent":
            return StreamingResponse(_events(text, body, model), media_type="text/event-stream")
        return _invalid(f"Unknown method: {method[:40]}")


def _within(answer: wire.Json, body: wire.Json) -> wire.Json:
    """The answer, cut off where it is longer than was asked for."""
    most = cast(wire.Json, body.get("generationConfig") or {}).get("maxOutputTokens")
    if not isinstance(most, int) or answer["usageMetadata"]["candidatesTokenCount"] <= most:
        return answer
    candidate = cast(wire.Json, answer["candidates"][0])
    candidate["finishReason"] = "MAX_TOKENS"
    candidate["content"]["parts"][0]["text"] = candidate["content"]["parts"][0]["text"][: most * 4]
    answer["usageMetadata"]["candidatesTokenCount"] = most
    answer["usageMetadata"]["totalTokenCount"] = answer["usageMetadata"]["promptTokenCount"] + most
    return answer


async def _events(text: str, body: wire.Json, model: str) -> AsyncIterator[str]:
    half = len(text) // 2
    for piece, is_last in ((text[:half], False), (text[half:], True)):
        yield f"data: {json.dumps(response_body(piece, body, model, is_last=is_last))}\r\n\r\n"


def _key(request: Request) -> str | None:
    return request.headers.get("x-goog-api-key") or request.query_params.get("key")


def _invalid(message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}, status_code=400)
