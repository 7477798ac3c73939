"""generateContent of the stand-in: text, streams, and JSON by a schema, through the unmodified google-genai SDK."""

from __future__ import annotations

import enum
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from google import genai
from google.genai import errors, types
from pydantic import BaseModel, Field

from simulators.gemini_live import GeminiEmulator
from simulators.schema_answers import answer_schema

# google-genai subclasses aiohttp's session in its first request, which aiohttp discourages with a warning.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

TRANSCRIPT = "agent: Good morning!\ncaller: I would like an appointment on Tuesday at 10.\nagent: It is booked."


class Mood(enum.Enum):
    angry = "angry"
    calm = "calm"


class Line(BaseModel):
    speaker: str
    words: int = Field(ge=2, le=9)


class Analysis(BaseModel):
    summary: str = Field(max_length=80)
    wants_appointment: bool = Field(description="Did the caller want an appointment?")
    complained: bool = Field(description="Did the caller complain about noise?")
    hour: int
    mood: Mood
    reason: str | None
    lines: list[Line] = Field(min_length=2)


@pytest_asyncio.fixture
async def client() -> AsyncIterator[genai.Client]:
    async with GeminiEmulator(require_api_key="right") as emulator:
        yield client_of(emulator, "right")


def client_of(emulator: GeminiEmulator, key: str) -> genai.Client:
    context = ssl.create_default_context(cafile=emulator.ca_file)
    options = types.HttpOptions(
        base_url=emulator.base_url,
        async_client_args={"ssl": context, "verify": context},
        client_args={"verify": context},
    )
    return genai.Client(api_key=key, http_options=options)


async def test_a_model_answers_by_its_schema(client: genai.Client) -> None:
    async with client.aio as models:
        response = await models.models.generate_content(
            model="gemini-2.5-flash",
            contents=TRANSCRIPT,
            config=types.GenerateContentConfig(response_mime_type="application/json", response_schema=Analysis),
        )
    assert isinstance(response.parsed, Analysis)
    analysis = response.parsed
    assert (analysis.wants_appointment, analysis.complained, analysis.hour) == (True, False, 10)
    assert len(analysis.lines) == 2
    assert response.usage_metadata is not None
    assert response.usage_metadata.prompt_token_count == (len(TRANSCRIPT) + 3) // 4


async def test_text_streams_and_the_list_of_models(client: genai.Client) -> None:
    async with client.aio as models:
        whole = await models.models.generate_content(model="gemini-2.5-flash", contents='Say "Hello there!"')
        assert whole.text == "Hello there!"
        stream = await models.models.generate_content_stream(model="gemini-2.5-flash", contents="One two three")
        pieces = [piece.text or "" async for piece in stream]
        assert "".join(pieces) == "I have read 3 words."
        assert len(pieces) == 2
        listed = [model.name async for model in await models.models.list()]
        assert "models/gemini-3.8-live" in listed


async def test_a_wrong_key_and_an_empty_request() -> None:
    async with GeminiEmulator(require_api_key="right") as emulator:
        async with client_of(emulator, "wrong").aio as models:
            with pytest.raises(errors.ClientError) as caught:
                await models.models.generate_content(model="gemini-2.5-flash", contents="Hi")
            assert caught.value.code == 401
        context = ssl.create_default_context(cafile=emulator.ca_file)
        async with httpx.AsyncClient(verify=context, params={"key": "right"}) as client:
            for body in ("{}", "nonsense"):
                answer = await client.post(f"{emulator.base_url}/v1beta/models/m:generateContent", content=body)
                assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"type": "STRING", "enum": ["sad", "happy"]}, "happy"),
        ({"type": "STRING", "enum": ["blue", "red"]}, "blue"),
        ({"type": "number", "minimum": 5}, 5.0),
        ({"type": ["null", "integer"], "maximum": 2}, 2),
        ({"type": "array", "maxItems": 0}, []),
        ({"const": 7}, 7),
        ({"anyOf": [{"type": "null"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "string", "minLength": 20}}}, 20),
        ({"type": "string", "format": "date"}, "2026-01-01"),
    ],
)
def test_any_schema_is_satisfied(schema: dict[str, Any], answer: Any) -> None:
    found = answer_schema(schema, "3 of them are happy")
    assert json.loads(json.dumps(found)) == found
    assert (len(found) if isinstance(answer, int) and isinstance(found, str) else found) == answer
