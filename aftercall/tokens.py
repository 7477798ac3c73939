"""Tokens by kind, out of what a model says it has used; and what they cost. Pure.

A usage message of Gemini Live counts everything the model read for one answer, all that was said before included: each
message is charged, and so all of them are added up. Sometimes it leaves some of its tokens without a kind; those are
counted as sound in a conversation, which is the dearer one, and as text elsewhere.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from config.prices import PerMillionTokens, Prices


class TokenKind(StrEnum):
    """What tokens are."""

    AUDIO_IN = "audio_in"
    TEXT_IN = "text_in"
    OTHER_IN = "other_in"
    CACHED_IN = "cached_in"
    """Read from a cache: counted apart, and not in the others."""
    AUDIO_OUT = "audio_out"
    TEXT_OUT = "text_out"
    OTHER_OUT = "other_out"
    THOUGHTS = "thoughts"


LIVE_SOURCES = frozenset({"conversation", "consent", "sentences"})
"""What is done by Gemini Live."""


@dataclass(frozen=True, slots=True)
class Use:
    """Which model was used by what."""

    source: str
    model: str


def add_up(messages: Iterable[Mapping[str, Any]]) -> dict[Use, Counter[TokenKind]]:
    """Sum usage messages, as events and rows keep them, by source and model. Numbers that are none count nothing."""
    sums: dict[Use, Counter[TokenKind]] = {}
    for message in messages:
        use = Use(str(message.get("source") or "conversation"), str(message.get("model") or ""))
        sums.setdefault(use, Counter()).update(_count(message, use))
    return sums


def price_of(kind: TokenKind, use: Use, prices: Prices) -> PerMillionTokens | None:
    """Return what such tokens cost; None when the table does not say: other companies' models, images."""
    if use.source in LIVE_SOURCES:
        return {
            TokenKind.AUDIO_IN: prices.gemini_audio_in,
            TokenKind.TEXT_IN: prices.gemini_text_in,
            TokenKind.AUDIO_OUT: prices.gemini_audio_out,
            TokenKind.TEXT_OUT: prices.gemini_text_out,
            TokenKind.THOUGHTS: prices.gemini_text_out,
        }.get(kind)
    if not use.model.removeprefix("models/").startswith("gemini"):
        return None
    return {
        TokenKind.TEXT_IN: prices.gemini_text_model_in,
        TokenKind.CACHED_IN: prices.gemini_text_model_cached,
        TokenKind.TEXT_OUT: prices.gemini_text_model_out,
        TokenKind.THOUGHTS: prices.gemini_text_model_out,
    }.get(kind)


def _count(message: Mapping[str, Any], use: Use) -> Counter[TokenKind]:
    counts = _count_pipecat(message) if "prompt_tokens" in message else _count_gemini(message, use)
    return Counter({kind: count for kind, count in counts.items() if count > 0})


def _count_pipecat(message: Mapping[str, Any]) -> Counter[TokenKind]:
    """Pipecat's LLMTokenUsage: `completion_tokens` include thoughts; whether the prompt includes the cache differs."""
    audio_in, audio_out = _whole(message, "input_audio_tokens"), _whole(message, "output_audio_tokens")
    prompt, cached = _whole(message, "prompt_tokens"), _whole(message, "cache_read_input_tokens")
    completion, thoughts = _whole(message, "completion_tokens"), _whole(message, "reasoning_tokens")
    is_gross = prompt + completion >= _whole(message, "total_tokens")
    return Counter(
        {
            TokenKind.AUDIO_IN: audio_in,
            TokenKind.TEXT_IN: prompt - audio_in - (cached if is_gross else 0),
            TokenKind.CACHED_IN: cached,
            TokenKind.AUDIO_OUT: audio_out,
            TokenKind.TEXT_OUT: completion - audio_out - thoughts,
            TokenKind.THOUGHTS: thoughts,
        }
    )


def _count_gemini(message: Mapping[str, Any], use: Use) -> Counter[TokenKind]:
    is_live = use.source in LIVE_SOURCES
    rest_in = TokenKind.AUDIO_IN if is_live else TokenKind.TEXT_IN
    rest_out = TokenKind.AUDIO_OUT if is_live else TokenKind.TEXT_OUT
    counts: Counter[TokenKind] = Counter()
    ins = _by_modality(message, "prompt_tokens_details", _IN)
    ins[rest_in] += max(0, _whole(message, "prompt_token_count") - sum(ins.values()))
    tools = _by_modality(message, "tool_use_prompt_tokens_details", _IN)
    tools[TokenKind.TEXT_IN] += max(0, _whole(message, "tool_use_prompt_token_count") - sum(tools.values()))
    if not is_live:
        cached = min(_whole(message, "cached_content_token_count"), ins[TokenKind.TEXT_IN])
        ins[TokenKind.TEXT_IN] -= cached
        counts[TokenKind.CACHED_IN] = cached
    name = "response" if "response_token_count" in message or "response_tokens_details" in message else "candidates"
    outs = _by_modality(message, f"{name}_tokens_details", _OUT)
    outs[rest_out] += max(0, _whole(message, f"{name}_token_count") - sum(outs.values()))
    for part in (ins, tools, outs):
        counts.update(part)
    counts[TokenKind.THOUGHTS] += _whole(message, "thoughts_token_count")
    return counts


_IN = {"AUDIO": TokenKind.AUDIO_IN, "TEXT": TokenKind.TEXT_IN, "DOCUMENT": TokenKind.TEXT_IN}
_OUT = {"AUDIO": TokenKind.AUDIO_OUT, "TEXT": TokenKind.TEXT_OUT}


def _by_modality(message: Mapping[str, Any], name: str, kinds: Mapping[str, TokenKind]) -> Counter[TokenKind]:
    other = TokenKind.OTHER_IN if kinds is _IN else TokenKind.OTHER_OUT
    found: Counter[TokenKind] = Counter()
    details = message.get(name)
    for detail in cast(list[Any], details) if isinstance(details, list) else []:
        if isinstance(detail, Mapping):
            entry = cast(Mapping[str, Any], detail)
            found[kinds.get(str(entry.get("modality")), other)] += _whole(entry, "token_count")
    return found


def _whole(message: Mapping[str, Any], name: str) -> int:
    value = message.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
