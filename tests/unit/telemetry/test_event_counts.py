"""What is counted of a call's events."""

from typing import Any

import pytest

from telemetry import metrics
from telemetry.event_counts import count_event, tokens_of


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (
            {
                "prompt_token_count": 120,
                "prompt_tokens_details": [
                    {"modality": "AUDIO", "token_count": 100},
                    {"modality": "TEXT", "token_count": 20},
                ],
                "response_token_count": 30,
                "response_tokens_details": [{"modality": "AUDIO", "token_count": 30}],
                "thoughts_token_count": 5,
                "total_token_count": 155,
            },
            {("input", "audio"): 100, ("input", "text"): 20, ("output", "audio"): 30, ("output", "thoughts"): 5},
        ),
        ({"prompt_token_count": 7}, {("input", "unknown"): 7}),
        (
            {"prompt_tokens": 50, "input_audio_tokens": 10, "completion_tokens": 4},
            {("input", "audio"): 10, ("input", "text"): 40, ("output", "text"): 4},
        ),
        ({"prompt_tokens_details": [{"modality": "SMELL", "token_count": 3}]}, {("input", "unknown"): 3}),
        ({}, {}),
    ],
)
def test_tokens_by_direction_and_kind(usage: dict[str, Any], tokens: dict[tuple[str, str], int]) -> None:
    assert tokens_of(usage) == tokens


def _value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_events_are_counted_by_their_kind() -> None:
    before = _value("trunkline_tools_total", outcome="failed"), _value("trunkline_transfers_total", step="begun")
    for kind in ("tool.failed", "tool.called", "tool.result_reused", "transfer.begun", "turn.caller"):
        count_event(kind, {}, "front-desk")
    after = _value("trunkline_tools_total", outcome="failed"), _value("trunkline_transfers_total", step="begun")
    assert after == (before[0] + 1, before[1] + 1)
    count_event("model.usage", {"prompt_token_count": 9}, "counting-agent")
    assert _value("trunkline_tokens_total", direction="input", kind="unknown", agent="counting-agent") == 9


def test_the_label_of_agents_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_agents", set[str]())
    labels = {metrics.agent_label(f"agent-{number}") for number in range(150)}
    assert len(labels) == 101
    assert metrics.agent_label("agent-3") == "agent-3"
    assert metrics.agent_label("agent-149") == "other"
