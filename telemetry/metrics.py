"""Every metric's name, and their text for Prometheus. Whoever does the thing counts it."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

CALLS_ACTIVE = Gauge("trunkline_calls_active", "Calls whose pipeline runs now.", registry=REGISTRY)
CALLS_RINGING = Gauge(
    "trunkline_calls_ringing", "Calls that ring and have a slot kept until their stream comes.", registry=REGISTRY
)
TASKS = Gauge("trunkline_tasks", "Tasks on the event loop.", registry=REGISTRY)
CALLS_TOTAL = Counter("trunkline_calls", "Calls ended, by the reason.", ["end_reason"], registry=REGISTRY)
DIALS_TOTAL = Counter(
    "trunkline_dials",
    "Requests to Twilio to place a call: placed, or whether they may be repeated.",
    ["outcome"],
    registry=REGISTRY,
)
REFUSED_TOTAL = Counter("trunkline_refused", "Calls refused, by the reason.", ["reason"], registry=REGISTRY)
ROUTED_TOTAL = Counter(
    "trunkline_routed",
    "Calls that the rules of routing.yaml decided, by what came of it: agent, say, transfer, busy, asked, ask_failed.",
    ["outcome"],
    registry=REGISTRY,
)
LOOP_LAG_SECONDS = Histogram(
    "trunkline_loop_lag_seconds",
    "How late the event loop was, measured twenty times a second in each process.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    registry=REGISTRY,
)
PROCESSES_RESTARTED_TOTAL = Counter(
    "trunkline_processes_restarted",
    "Server processes that ended without having been told to, and were followed by another.",
    registry=REGISTRY,
)
REPLY_LATENCY_SECONDS = Histogram(
    "trunkline_reply_latency_seconds",
    "From the end of the caller's speech to the first audio of the reply.",
    ["agent"],
    buckets=(0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0),
    registry=REGISTRY,
)
FIRST_WORD_SECONDS = Histogram(
    "trunkline_first_word_seconds",
    "From the start of the media stream to the agent's first audio.",
    buckets=(0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0),
    registry=REGISTRY,
)
RECOVERIES_TOTAL = Counter(
    "trunkline_recoveries",
    "Times that something went wrong in a call and was made good or not: by what was done, and what came of it.",
    ["kind", "outcome"],
    registry=REGISTRY,
)
LOG_BACKLOG = Gauge("trunkline_log_backlog", "Turns and events that wait for the database.", registry=REGISTRY)
LOG_REFUSED_TOTAL = Counter(
    "trunkline_log_refused",
    "Turns and events that the database would never take; each is in the log.",
    registry=REGISTRY,
)
RECORDINGS_FAILED_TOTAL = Counter(
    "trunkline_recordings_failed", "Recordings with a part that could not be written.", registry=REGISTRY
)
CONSENTS_TOTAL = Counter("trunkline_consents", "Records of consent, by the answer.", ["answer"], registry=REGISTRY)

CONTENT_TYPE = CONTENT_TYPE_LATEST


def render() -> bytes:
    """Write all metrics as Prometheus text, to be served with `CONTENT_TYPE`."""
    return generate_latest(REGISTRY)
