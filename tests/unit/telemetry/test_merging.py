"""The metrics of several processes as one."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from telemetry.merging import Family, merge, render, take, without_life


def process(calls: int, lag: float, memory: float) -> list[Family]:
    registry = CollectorRegistry()
    counter = Counter("t_calls", "Calls.", ["reason"], registry=registry)
    counter.labels(reason="a").inc(calls)
    counter.labels(reason=f"only {calls}").inc()
    Gauge("t_active", "Active.", registry=registry).set(calls)
    Histogram("t_lag_seconds", "Lag.", buckets=(0.1, 1), registry=registry).observe(lag)
    Gauge("process_memory_bytes", "Memory.", registry=registry).set(memory)
    Counter("process_cpu_seconds", "CPU.", registry=registry).inc(memory)
    return [Family.from_json(family.as_json()) for family in take(registry)]


def lines(families: list[Family]) -> set[str]:
    return {line for line in render(families).decode().splitlines() if line[0] != "#" and "_created" not in line}


def test_counts_and_gauges_are_added_and_processes_stay_apart():
    assert lines(merge({"1": process(2, 0.05, 10), "2": process(3, 0.5, 20)})) == {
        't_calls_total{reason="a"} 5.0',
        't_calls_total{reason="only 2"} 1.0',
        't_calls_total{reason="only 3"} 1.0',
        "t_active 5.0",
        't_lag_seconds_bucket{le="0.1"} 1.0',
        't_lag_seconds_bucket{le="1.0"} 2.0',
        't_lag_seconds_bucket{le="+Inf"} 2.0',
        "t_lag_seconds_count 2.0",
        "t_lag_seconds_sum 0.55",
        'process_memory_bytes{process="1"} 10.0',
        'process_memory_bytes{process="2"} 20.0',
        'process_cpu_seconds_total{process="1"} 10.0',
        'process_cpu_seconds_total{process="2"} 20.0',
    }


def test_what_ended_processes_counted_stays_and_nothing_else_of_them():
    ended = merge({"": without_life(process(2, 0.05, 10))}, merge({"": without_life(process(4, 0.5, 11))}))
    shown = lines(merge({"3": process(1, 0.05, 30)}, ended))
    assert {
        't_calls_total{reason="a"} 7.0',
        "t_active 1.0",
        't_lag_seconds_bucket{le="+Inf"} 3.0',
        'process_memory_bytes{process="3"} 30.0',
    } <= shown
    assert not [line for line in shown if 'process="' in line and 'process="3"' not in line]


def test_the_text_has_help_and_type_once():
    text = render(merge({"1": process(2, 0.05, 10), "2": process(3, 0.5, 20)})).decode()
    assert text.count("# HELP t_calls_total Calls.") == 1
    assert text.count("# TYPE t_lag_seconds histogram") == 1
