"""One whole call at a server that writes JSON logs and sends traces: what an operator sees of it, and what not."""

import json
from pathlib import Path
from typing import Any

from telemetry.traces import trace_of
from tests.calls.conftest import CALLER, write_agents
from tests.calls.server_process import FRONT_DESK, open_street
from tests.unit.telemetry.collector import attributes, collecting
from transcripts.call_list import CallFilter, CallList

_NUMBERS = (CALLER, FRONT_DESK)


def logged(file: Path) -> list[dict[str, Any]]:
    """Every line of a log; fails on one that is no object with what each has."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert lines
    assert all({"time", "level", "logger", "message", "fields"} <= set(line) for line in lines)
    return lines


async def test_a_call_is_one_trace_and_its_log_is_json_without_a_word(tmp_path: Path) -> None:
    with collecting() as collector:
        async with open_street(tmp_path) as street:
            write_agents(street.agents_dir, {"front-desk": {"greeting": "", "search": True}})
            server = await street.serve(log_format="json", log_level="DEBUG", collector=collector.url, processes=1)
            call = await street.talk(server)
            await call.hang_up()
            row = await street.ended_row(call)
            turns = await street.turns(call)
            found = [
                await CallList(street.database).page(CallFilter(words=words), 10)
                for words in (turns[0].text, turns[-1].text, "zeppelin")
            ]
            server.process.terminate()
            await server.ended()
            lines, text = logged(server.log_file), server.log_file.read_text(encoding="utf-8")

    # the trace
    trace_id, root_id = trace_of(row.call_id)
    spans = [span for span in collector.spans if span.trace_id == trace_id.to_bytes(16)]
    by_name = {span.name: span for span in spans}
    assert set(by_name) >= {
        "call",
        "POST /twilio/voice",
        "POST /twilio/status",
        "stream",
        "model connection",
        "first word",
        "turn",
    }
    [root] = [span for span in spans if not span.parent_span_id]
    assert (root.name, root.span_id) == ("call", root_id.to_bytes(8))
    assert all(span.parent_span_id == root.span_id for span in spans if span is not root)
    assert attributes(root) == {"call_id": row.call_id, "agent": "front-desk", "end_reason": "caller_hung_up"}
    assert all(root.start_time_unix_nano <= span.end_time_unix_nano for span in spans)
    turn, stream = by_name["turn"], by_name["stream"]
    assert stream.start_time_unix_nano < turn.start_time_unix_nano < turn.end_time_unix_nano < stream.end_time_unix_nano
    heard_ms = (turn.end_time_unix_nano - turn.start_time_unix_nano) / 1e6
    assert abs(int(attributes(turn)["latency_ms"]) - heard_ms) < 2
    assert {resource["service.name"] for resource in collector.resources} == {"trunkline"}

    # the log
    about = [line for line in lines if line.get("call_id") == row.call_id]
    assert {line["message"] for line in about} >= {"call rings", "call ended"}
    assert {line["trace_id"] for line in about} == {f"{trace_id:032x}"}
    assert any(line.get("request_id") for line in about)

    # the call is found by what was said in it
    assert [[each.call_id for each, _ in page] for page in found] == [[row.call_id], [row.call_id], []]

    # neither has a word or a number
    words = {word for turn in turns for word in turn.text.split() if len(word) > 5}
    assert words
    seen = text + b"".join(collector.raw).decode("utf-8", "replace")
    assert not [each for each in (*words, *(turn.text for turn in turns), *_NUMBERS) if each in seen]
