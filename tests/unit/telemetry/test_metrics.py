"""The metrics' names are a promise to dashboards."""

from telemetry import metrics


def test_the_names() -> None:
    metrics.CALLS_ACTIVE.set(3)
    metrics.CALLS_TOTAL.labels(end_reason="silence", agent="front-desk").inc()
    metrics.REPLY_LATENCY_SECONDS.labels(agent="front-desk").observe(0.55)
    metrics.FIRST_WORD_SECONDS.observe(0.4)
    metrics.REFUSED_TOTAL.labels(reason="max_calls").inc()
    lines = metrics.render().decode().splitlines()
    assert "trunkline_calls_active 3.0" in lines
    for start in (
        'trunkline_calls_total{agent="front-desk",end_reason="silence"} ',
        'trunkline_reply_latency_seconds_bucket{agent="front-desk",le="0.6"} ',
        "trunkline_first_word_seconds_sum ",
        'trunkline_refused_total{reason="max_calls"} ',
        "trunkline_log_backlog ",
        "trunkline_log_refused_total ",
        "trunkline_recordings_failed_total ",
        "process_resident_memory_bytes ",
    ):
        assert any(line.startswith(start) for line in lines), start
    assert metrics.CONTENT_TYPE.startswith("text/plain")
