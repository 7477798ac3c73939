"""Tokens by kind, out of what models say."""

from typing import Any

import pytest

from aftercall.tokens import TokenKind, Use, add_up, price_of
from config.prices import load_prices

PRICES = load_prices().prices
LIVE = {"source": "conversation", "model": "gemini-3.8-live"}
TEXT = {"source": "analysis", "model": "gemini-2.5-flash"}


def details(**counts: int) -> list[dict[str, Any]]:
    return [{"modality": modality, "token_count": count} for modality, count in counts.items()]


@pytest.mark.parametrize(
    ("message", "counts"),
    [
        (
            LIVE
            | {"prompt_token_count": 130, "prompt_tokens_details": details(AUDIO=100, TEXT=30)}
            | {"response_token_count": 55, "response_tokens_details": details(AUDIO=50, TEXT=5)}
            | {"thoughts_token_count": 7, "total_token_count": 192},
            {"audio_in": 100, "text_in": 30, "audio_out": 50, "text_out": 5, "thoughts": 7},
        ),
        # What has no kind is counted as sound: it may have been.
        (
            LIVE
            | {"prompt_token_count": 140, "prompt_tokens_details": details(AUDIO=100)}
            | {"response_token_count": 9},
            {"audio_in": 140, "audio_out": 9},
        ),
        (LIVE | {"tool_use_prompt_token_count": 12}, {"text_in": 12}),
        (LIVE | {"prompt_token_count": 5, "prompt_tokens_details": details(IMAGE=5)}, {"other_in": 5}),
        (
            TEXT
            | {"prompt_token_count": 1000, "cached_content_token_count": 600, "candidates_token_count": 40}
            | {"thoughts_token_count": 300, "total_token_count": 1340},
            {"text_in": 400, "cached_in": 600, "text_out": 40, "thoughts": 300},
        ),
        # Pipecat's words, of a service that counts the cache within the prompt, and of one that does not.
        (
            {"source": "cascade", "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
            | {"cache_read_input_tokens": 60, "reasoning_tokens": 5},
            {"text_in": 40, "cached_in": 60, "text_out": 15, "thoughts": 5},
        ),
        (
            {"source": "cascade", "prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 120}
            | {"cache_read_input_tokens": 60},
            {"text_in": 40, "cached_in": 60, "text_out": 20},
        ),
        # Whatever else stands there counts nothing, and stops nothing.
        (LIVE | {"prompt_token_count": "many", "response_token_count": -4, "prompt_tokens_details": [1, None]}, {}),
        (LIVE | {"prompt_token_count": True, "response_tokens_details": "none"}, {}),
    ],
)
def test_the_kinds_of_a_message(message: dict[str, Any], counts: dict[str, int]) -> None:
    [found] = add_up([message]).values()
    assert {kind.value: count for kind, count in found.items()} == counts


def test_every_message_counts_by_source_and_model() -> None:
    other = LIVE | {"model": "gemini-2.5-flash-native-audio"}
    messages = [message | {"prompt_token_count": 10} for message in (LIVE, LIVE, other, TEXT)]
    assert [(use.source, use.model, sum(counts.values())) for use, counts in add_up(messages).items()] == [
        ("conversation", "gemini-3.8-live", 20),
        ("conversation", "gemini-2.5-flash-native-audio", 10),
        ("analysis", "gemini-2.5-flash", 10),
    ]


def test_what_has_no_price_in_the_table_has_none() -> None:
    assert price_of(TokenKind.THOUGHTS, Use("conversation", "m"), PRICES) == PRICES.gemini_text_out
    assert price_of(TokenKind.CACHED_IN, Use("analysis", "models/gemini-2.5-flash"), PRICES) is not None
    assert price_of(TokenKind.TEXT_IN, Use("cascade", "gpt-9"), PRICES) is None
    assert price_of(TokenKind.OTHER_IN, Use("conversation", "gemini-3.8-live"), PRICES) is None
