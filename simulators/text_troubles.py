"""What a text model can do instead of answering: each once, in the order in which it was asked for."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any, Literal, get_args

from starlette.responses import JSONResponse, Response

from simulators.gemini_wire import Json

Trouble = Literal[
    "blocked",
    "blocked-answer",
    "empty",
    "truncated",
    "malformed",
    "other-shape",
    "garbage",
    "http-400",
    "http-403",
    "http-429",
    "http-500",
    "http-503",
    "slow",
]
_STATUS = {
    "http-400": (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "http-403": (403, "PERMISSION_DENIED", "Permission denied on resource."),
    "http-429": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing."),
    "http-500": (500, "INTERNAL", "An internal error has occurred."),
    "http-503": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
}


class TextTroubles:
    """What is yet to go wrong. `retry_secs` is what a 429 asks for, `slow_secs` how late a slow answer is."""

    def __init__(self) -> None:
        self.waiting: deque[Trouble] = deque()
        self.retry_secs = 7
        self.slow_secs = 2.0

    def arm(self, *troubles: Trouble) -> None:
        """Has the next requests meet these, one each.

        Raises:
            ValueError: no such trouble.
        """
        if unknown := set(troubles) - set(get_args(Trouble)):
            raise ValueError(f"no such trouble: {sorted(unknown)}")
        self.waiting.extend(troubles)

    async def meet(self, answer: Json) -> Response | None:
        """What is answered instead of `answer`, a GenerateContentResponse; None: that."""
        if not self.waiting:
            return None
        trouble = self.waiting.popleft()
        if trouble == "slow":
            await asyncio.sleep(self.slow_secs)
            return None
        if trouble in _STATUS:
            return self._refusal(trouble)
        if trouble == "garbage":
            return Response("<html>upstream connect error</html>", media_type="text/html")
        return JSONResponse(_changed(answer, trouble))

    def _refusal(self, trouble: Trouble) -> Response:
        code, status, message = _STATUS[trouble]
        error: Json = {"code": code, "message": message, "status": status}
        headers: dict[str, str] = {}
        if code == 429:
            wait = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{self.retry_secs}s"}
            error["details"] = [wait]
            headers["Retry-After"] = str(self.retry_secs)
        return JSONResponse({"error": error}, code, headers)


def _changed(answer: Json, trouble: Trouble) -> Json:
    if trouble == "blocked":
        kept = {key: value for key, value in answer.items() if key != "candidates"}
        return kept | {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
    candidate: Json = dict(answer["candidates"][0])
    text = str(candidate["content"]["parts"][0]["text"])
    parts: list[Any] | None
    match trouble:
        case "blocked-answer":
            candidate["finishReason"], parts = "SAFETY", None
        case "empty":
            parts = []
        case "truncated":
            candidate["finishReason"], parts = "MAX_TOKENS", [{"text": text[: len(text) // 2]}]
        case "malformed":
            parts = [{"text": f"```json\n{text}"}]
        case _:
            parts = [{"text": json.dumps({"answer": 42})}]
    if parts is None:
        del candidate["content"]
    else:
        candidate["content"] = {"role": "model", "parts": parts}
    return answer | {"candidates": [candidate]}
