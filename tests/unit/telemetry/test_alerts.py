"""The alert rules: every metric and label in them exists, each fires in a bad state and is silent in a good one."""

from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from telemetry import metrics
from tests.promql import Query, Samples

ROOT = Path(__file__).resolve().parents[3]
GROUPS: list[dict[str, Any]] = yaml.safe_load((ROOT / "docs" / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
RULES: dict[str, str] = {
    rule.get("alert") or rule["record"]: rule["expr"] for group in GROUPS for rule in group["rules"]
}
ALERTS = sorted(name for name in RULES if name.startswith("Trunkline"))
PAGE = ROOT / "docs" / "operation.md"


def known() -> dict[str, set[str]]:
    """Every series name that is exposed, and its labels."""
    found: dict[str, set[str]] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            [family] = metric.describe()
            labels = set(cast(tuple[str, ...], metric._labelnames))  # pyright: ignore[reportPrivateUsage]
            ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
            for end in ends:
                found[family.name + end] = labels | ({"le"} if end == "_bucket" else set[str]())
    return found


def calls(samples: Samples, *, served: float, theirs: float, ours: float, refused: float) -> None:
    counts = {"served": served, "theirs": theirs, "ours": ours, "refused": refused}
    for outcome, count in counts.items():
        samples.plant("trunkline_call_outcomes_total", 1000 + count, 1000, outcome=outcome)


def histogram(samples: Samples, name: str, low: str, high: str, *, slow: float, **labels: str) -> None:
    """A hundred new values: `slow` of them up to the bucket `high`, the rest up to `low`."""
    for le, count in ((low, 100 - slow), (high, 100), ("+Inf", 100)):
        samples.plant(f"{name}_bucket", 50 + count, 50, le=le, **labels)


def state(*, bad: str = "") -> Samples:
    """A server that is well, but for what this alert is about."""
    s = Samples()
    if bad != "TrunklineGone":
        s.plant("trunkline_calls_active", 3)
    calls(
        s,
        served=90 if bad == "TrunklineCallsFail" else 97,
        theirs=5,
        ours=10 if bad == "TrunklineCallsFail" else 1,
        refused=4 if bad in {"TrunklineUnavailable", "TrunklineCallsRefused"} else 0,
    )

    def grows(alert: str, name: str, by: float, **labels: str) -> None:
        s.plant(name, 7 + (by if bad == alert else 0), 7, **labels)

    def slow(alert: str, share: float = 20) -> float:
        return share if bad == alert else 1

    histogram(s, "trunkline_reply_latency_seconds", "0.8", "3.0", slow=slow("TrunklineSlowReplies"), agent="a")
    histogram(s, "trunkline_first_word_seconds", "0.5", "3.0", slow=slow("TrunklineSlowFirstWord"))
    histogram(s, "trunkline_loop_lag_seconds", "0.02", "0.2", slow=slow("TrunklineLoopLate", 30))
    histogram(s, "trunkline_database_seconds", "0.01", "1.0", slow=slow("TrunklineDatabaseSlow"), operation="write")
    histogram(s, "trunkline_database_seconds", "0.01", "1.0", slow=1, operation="read")
    grows("TrunklineModelFails", "trunkline_recoveries_total", 4, kind="stalled", outcome="failed")
    grows("", "trunkline_recoveries_total", 50, kind="dropped", outcome="recovered")
    grows("TrunklineProcessDied", "trunkline_processes_restarted_total", 1)
    grows("TrunklineApiFaults", "trunkline_http_requests_total", 5, method="GET", route="/v1/calls", status="500")
    s.plant("trunkline_http_requests_total", 300, 100, method="GET", route="/v1/calls", status="200")
    grows("TrunklineRateLimited", "trunkline_rate_limited_total", 600, limit="address")
    grows("TrunklineDatabaseAway", "trunkline_database_away_total", 1)
    s.plant("trunkline_log_backlog", 900 if bad == "TrunklineLogWaits" else 12)
    grows("TrunklineLogRefused", "trunkline_log_refused_total", 1)
    grows("TrunklineRecordingsFail", "trunkline_recordings_failed_total", 1)
    s.plant("trunkline_queue_oldest_seconds", 900 if bad == "TrunklineQueueStuck" else 20, queue="webhooks")
    s.plant("trunkline_queue_oldest_seconds", 0, queue="dials")
    s.plant("trunkline_recordings_waiting", 5 if bad == "TrunklineRecordingsStay" else 0)
    s.plant("trunkline_webhooks_dead", 2 if bad == "TrunklineWebhooksDead" else 0)
    grows("TrunklineSpansDropped", "trunkline_spans_dropped_total", 3)
    return s


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_metric_and_label_of_a_rule_exists(name: str) -> None:
    query, series = Query(RULES[name]), known()
    assert query.selectors
    for selector in query.selectors:
        assert selector.name in series, selector.name
        asked = {label for label, _, _ in selector.conditions}
        assert asked <= series[selector.name], f"{selector.name} has no label {asked - series[selector.name]}"
    assert query.grouped_by <= set[str]().union(*(series[selector.name] for selector in query.selectors))


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_silent_when_all_is_well_and_fires_when_it_is_not(name: str) -> None:
    assert Query(RULES[name]).evaluate(state()) == {}
    assert Query(RULES[name]).evaluate(state(bad=name))


def test_one_thing_that_is_wrong_sets_off_nothing_that_it_does_not_concern() -> None:
    # Refused callers are also callers who were not served.
    expected = {name: {name} for name in ALERTS}
    expected["TrunklineUnavailable"] = expected["TrunklineCallsRefused"] = {
        "TrunklineUnavailable",
        "TrunklineCallsRefused",
    }
    expected["TrunklineCallsFail"] = {"TrunklineCallsFail", "TrunklineUnavailable"}
    for bad in ALERTS:
        assert {name for name in ALERTS if Query(RULES[name]).evaluate(state(bad=bad))} == expected[bad], bad


def test_the_figures_are_what_the_page_says() -> None:
    samples = Samples()
    calls(samples, served=90, theirs=6, ours=2, refused=2)
    success = Query(RULES["trunkline:call_success:ratio15m"]).evaluate(samples)
    availability = Query(RULES["trunkline:availability:ratio15m"]).evaluate(samples)
    assert list(success.values()) == [90 / 92]
    assert list(availability.values()) == [96 / 100]


def test_few_calls_raise_no_alarm() -> None:
    samples = Samples()
    calls(samples, served=1, theirs=0, ours=1, refused=0)
    assert Query(RULES["TrunklineCallsFail"]).evaluate(samples) == {}


def test_every_alert_is_on_the_page_and_nothing_else_is() -> None:
    from tests.test_docs import table

    assert {row[0].strip("`") for row in table(PAGE.read_text(encoding="utf-8"), "alert")} == set(ALERTS)


def test_what_the_evaluator_does_not_know_it_refuses() -> None:
    for text in ("deriv(x[5m])", "sum(x", "x offset 5m", "rate(x)"):
        with pytest.raises(ValueError, match=r"not understood|missing|no range"):
            Query(text)
