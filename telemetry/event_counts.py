"""What is counted of the events of calls: tokens, tools, transfers. One look at a word for every other event."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

from telemetry import metrics

_TOOL_ENDS = frozenset({"result", "failed", "refused", "declined", "cancelled"})
_TRANSFER_STEPS = frozenset({"begun", "failed", "refused", "given_up"})
_KINDS = frozenset({"audio", "text", "image", "video", "document"})
_DETAILS = {"input": ("prompt", "tool_use_prompt"), "output": ("response",)}


def count_event(kind: str, data: Mapping[str, Any], agent: str) -> None:
    """Count an event of a call, if it is one that is counted."""
    if kind == "model.usage":
        for (direction, of), tokens in tokens_of(data).items():
            metrics.TOKENS_TOTAL.labels(direction=direction, kind=of, agent=metrics.agent_label(agent)).inc(tokens)
        return
    first, _, second = kind.partition(".")
    if first == "tool" and second in _TOOL_ENDS:
        metrics.TOOLS_TOTAL.labels(outcome=second).inc()
    elif first == "transfer" and second in _TRANSFER_STEPS:
        metrics.TRANSFERS_TOTAL.labels(step=second).inc()


def tokens_of(usage: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """Return the tokens of one message about usage, by direction and kind; where no kinds are told, `unknown`."""
    if "prompt_tokens" in usage:
        return _of_pipecat(usage)
    found: Counter[tuple[str, str]] = Counter()
    for direction, parts in _DETAILS.items():
        for part in parts:
            details = usage.get(f"{part}_tokens_details")
            if not details:
                found[direction, "unknown"] += _whole(usage.get(f"{part}_token_count"))
            for one in cast(list[Mapping[str, Any]], details or ()):
                kind = str(one.get("modality") or "unknown").lower()
                found[direction, kind if kind in _KINDS else "unknown"] += _whole(one.get("token_count"))
    found["output", "thoughts"] += _whole(usage.get("thoughts_token_count"))
    return {key: count for key, count in found.items() if count > 0}


def _of_pipecat(usage: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """Read what Pipecat's other models tell: sums, and how much of each was audio."""
    found: dict[tuple[str, str], int] = {}
    for direction, whole in (("input", "prompt_tokens"), ("output", "completion_tokens")):
        audio = _whole(usage.get(f"{direction}_audio_tokens"))
        found[direction, "audio"] = audio
        found[direction, "text"] = _whole(usage.get(whole)) - audio
    return {key: count for key, count in found.items() if count > 0}


def _whole(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
