"""Every message shape of the stand-in Gemini is one that google-genai knows, field by field."""

from __future__ import annotations

import base64
import json
from typing import Any, cast

import numpy as np
import pytest
from google.genai import types

from simulators import gemini_wire as wire
from simulators.gemini_pacing import heard_fragments, reply_messages, word_places

PCM = np.arange(24_000, dtype="<i2").tobytes()

MESSAGES = [
    wire.setup_complete("abc"),
    wire.resumption_update("handle-1"),
    wire.resumption_update(None),
    wire.audio_part(PCM[:1920]),
    wire.server_content(inputTranscription={"text": " Hello"}),
    wire.server_content(outputTranscription={"text": " Hello"}),
    wire.server_content(modelTurn={"role": "model", "parts": [{"text": " Hello"}]}),
    wire.server_content(generationComplete=True),
    wire.server_content(interrupted=True),
    {
        **wire.server_content(turnComplete=True),
        "usageMetadata": wire.usage_metadata(heard_secs=2.0, said_secs=3.5, text_in=40, text_out=8),
    },
    wire.tool_call([("call-1", "opening_hours", {"day": "monday", "and_more": {"a_b": [1, None]}})]),
    wire.tool_call_cancellation(["call-1", "call-2"]),
    wire.go_away(7.5),
]


def without_nothing(value: Any) -> Any:
    """What is left of a dumped model when its empty fields are dropped; bytes as standard base64."""
    if isinstance(value, dict):
        pairs = cast(dict[str, Any], value).items()
        return {key: without_nothing(item) for key, item in pairs if item is not None}
    if isinstance(value, list):
        return [without_nothing(item) for item in cast(list[Any], value)]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: "-".join(message))
def test_the_sdk_reads_every_field(message: dict[str, Any]) -> None:
    sent = json.loads(wire.encode(message))
    read = types.LiveServerMessage._from_response(response=sent, kwargs={})  # pyright: ignore[reportPrivateUsage]
    back = without_nothing(read.model_dump(by_alias=True, exclude_unset=True))
    assert back == without_nothing(sent)


def test_tokens_are_counted_by_modality() -> None:
    usage = wire.usage_metadata(heard_secs=2.0, said_secs=4.0, text_in=10, text_out=0)
    assert usage["promptTokensDetails"] == [
        {"modality": "AUDIO", "tokenCount": 50},
        {"modality": "TEXT", "tokenCount": 3},
    ]
    assert (usage["promptTokenCount"], usage["responseTokenCount"], usage["totalTokenCount"]) == (53, 100, 153)


def test_keys_may_be_spelled_either_way_but_the_applications_own_stay() -> None:
    kind, body = wire.parse_message('{"tool_response": {"function_responses": [{"id": "1", "response": {"a_b": 1}}]}}')
    assert (kind, body) == ("toolResponse", {"functionResponses": [{"id": "1", "response": {"a_b": 1}}]})
    _, setup = wire.parse_message(
        '{"setup": {"model": "m", "tools": [{"function_declarations": [{"name": "f", "behavior": "NON_BLOCKING",'
        ' "parameters": {"properties": {"my_day": {"type": "STRING"}}}}, {"name": "g"}]}]}}'
    )
    assert wire.declared_tools(setup) == {"f": False, "g": True}
    assert setup["tools"][0]["functionDeclarations"][0]["parameters"]["properties"] == {"my_day": {"type": "STRING"}}


@pytest.mark.parametrize("mime", ["audio/pcm;rate=8000", "audio/pcm; rate=8000"])
def test_audio_is_url_safe_base64_at_any_rate(mime: str) -> None:
    samples = np.array([-1, -257, 1023, 30_000], dtype="<i2")
    data = base64.urlsafe_b64encode(samples.tobytes()).decode()
    assert "_" in data
    audio = wire.parse_audio({"data": data, "mimeType": mime})
    assert audio.rate_hz == 8000
    assert audio.samples.tolist() == samples.tolist()
    assert wire.parse_audio({"data": data.rstrip("="), "mimeType": "audio/pcm"}).rate_hz == 16_000


@pytest.mark.parametrize(
    "blob",
    [
        {"data": "AAA=", "mimeType": "audio/opus"},
        {"data": "?!", "mimeType": "audio/pcm"},
        {"data": "AAAA", "mimeType": "audio/pcm"},
        {"data": "", "mimeType": "audio/pcm;rate=4"},
        "AAAA",
    ],
)
def test_bad_audio_is_refused(blob: Any) -> None:
    with pytest.raises(wire.BadMessage):
        wire.parse_audio(blob)


def test_each_word_comes_just_before_its_sound() -> None:
    text = "one three five"
    outgoing = list(reply_messages(text, PCM, with_transcript=True))
    position_ms = 0.0
    seen: dict[str, float] = {}
    for item in outgoing:
        fragment = item.message["serverContent"].get("outputTranscription")
        if fragment:
            seen[fragment["text"]] = position_ms
        position_ms += item.audio_ms
    assert position_ms == pytest.approx(1000.0)
    assert list(seen) == [" one", " three", " five"]
    for place, word in word_places(text):
        assert place * 1000 - 40 <= seen[word] <= place * 1000
    assert b"".join(_sound(item.message) for item in outgoing) == PCM


def _sound(message: dict[str, Any]) -> bytes:
    parts = message["serverContent"].get("modelTurn", {}).get("parts", [])
    return b"".join(base64.b64decode(part["inlineData"]["data"]) for part in parts)


def test_input_transcripts_come_in_fragments_with_leading_spaces() -> None:
    fragments = heard_fragments("Hi, what are your opening hours?")
    assert len(fragments) > 1
    assert "".join(fragments) == " Hi, what are your opening hours?"
    assert heard_fragments("[speech 2.1 s]") == [" [speech 2.1 s]"]
