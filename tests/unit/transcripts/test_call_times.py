"""Latency by stage and tool calls, worked out of events by hand."""

from transcripts.call_times import Reply, Spread, Told, ToolOutcome, spread, times_of, tool_calls

EVENTS = [
    Told("call.live", 0, {}),
    Told("model.ready", 0, {"took_ms": 420, "beginning": "new"}),
    Told("latency.first_word", 610, {"ms": 610}),
    Told("latency.reply", 4000, {"ms": 700}),
    Told("tool.called", 5000, {"name": "book", "arguments": {"day": "Tuesday"}}),
    Told("tool.called", 5010, {"name": "book", "arguments": {"day": "Friday"}}),
    Told("tool.result", 5200, {"name": "book", "result": {"booked": True}, "took_ms": 200}),
    Told("tool.failed", 5900, {"name": "book", "error": "it took too long"}),
    Told(
        "tool.refused", 6000, {"name": "nonsense", "why": "not_for_this_call", "reason": "There is no tool nonsense."}
    ),
    Told("tool.result", 6100, {"name": "never-called", "result": 1, "took_ms": 3}),
    Told("latency.reply", 8000, {"ms": 900}),
    Told("recovery", 9000, {"kind": "dropped", "outcome": "recovered"}),
    Told("model.ready", 9000, {"took_ms": 90}),
    Told("tool.called", 9500, {"name": "look", "arguments": {}}),
    Told("latency.reply", 9900, {"ms": True}),
]


def test_what_the_caller_waited_for() -> None:
    times = times_of(EVENTS)
    assert (times.first_word_ms, times.model_ready_ms, times.recoveries) == (610, 420, 1)
    assert times.replies == [Reply(4000, 700), Reply(8000, 900)]
    assert times.reply == Spread(count=2, p50=800, p95=890, max=900)
    assert times.tools == {"book": Spread(1, 200, 200, 200)}
    assert times_of([]) == times_of([Told("call.live", 0, {})])
    assert spread([]) is None
    assert spread(list(range(1, 102))) == Spread(101, 51, 96, 101)


def test_each_use_of_a_tool_has_its_own_end() -> None:
    calls = tool_calls(EVENTS)
    assert [(call.name, call.at_ms, call.outcome) for call in calls] == [
        ("book", 5000, ToolOutcome.RESULT),
        ("book", 5010, ToolOutcome.FAILED),
        ("nonsense", 6000, ToolOutcome.REFUSED),
        ("look", 9500, ToolOutcome.OPEN),
    ]
    assert (calls[0].arguments, calls[0].result, calls[0].took_ms) == ({"day": "Tuesday"}, {"booked": True}, 200)
    assert (calls[1].problem, calls[2].problem) == ("it took too long", "There is no tool nonsense.")
