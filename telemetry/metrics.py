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
CALLS_TOTAL = Counter(
    "trunkline_calls",
    "Calls that ended and were not refused, by the reason and by agent.",
    ["end_reason", "agent"],
    registry=REGISTRY,
)
CALL_OUTCOMES_TOTAL = Counter(
    "trunkline_call_outcomes",
    "Calls by how they went: served, theirs, ours (transcripts/outcomes.py), and refused.",
    ["outcome"],
    registry=REGISTRY,
)
for _outcome in ("served", "theirs", "ours", "refused"):
    # There from the start: of a counter that comes into being with its first count, Prometheus sees no increase.
    CALL_OUTCOMES_TOTAL.labels(outcome=_outcome)
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
RECORDINGS_WAITING = Gauge(
    "trunkline_recordings_waiting", "Recordings of calls that are over, and not yet in the bucket.", registry=REGISTRY
)
RECORDINGS_SENT_TOTAL = Counter(
    "trunkline_recordings_sent", "Recordings moved into the bucket, or not, by outcome.", ["outcome"], registry=REGISTRY
)
EXPIRED_TOTAL = Counter(
    "trunkline_expired",
    "Calls of which something was removed because its time was over, by what.",
    ["part"],
    registry=REGISTRY,
)
ERASURES_TOTAL = Counter("trunkline_erasures", "People who were erased.", registry=REGISTRY)
CONSENTS_TOTAL = Counter("trunkline_consents", "Records of consent, by the answer.", ["answer"], registry=REGISTRY)
ANALYSES_TOTAL = Counter(
    "trunkline_analyses",
    "Calls analysed, by what came of it: done, or why there is none.",
    ["outcome"],
    registry=REGISTRY,
)
WEBHOOKS_TOTAL = Counter(
    "trunkline_webhooks",
    "Messages for receivers: delivered, failed (and sent again later), or dead.",
    ["outcome"],
    registry=REGISTRY,
)

TOKENS_TOTAL = Counter(
    "trunkline_tokens",
    "Tokens that live conversations used, by direction (input, output), kind (audio, text, ...) and agent.",
    ["direction", "kind", "agent"],
    registry=REGISTRY,
)
COST_USD_TOTAL = Counter(
    "trunkline_cost_usd",
    "What calls cost, as the ledger has it, by item and agent.",
    ["item", "agent"],
    registry=REGISTRY,
)
TOOLS_TOTAL = Counter(
    "trunkline_tools",
    "Calls of tools that came to an end, by what came of it: result, failed, refused, declined, cancelled.",
    ["outcome"],
    registry=REGISTRY,
)
TRANSFERS_TOTAL = Counter(
    "trunkline_transfers",
    "Steps of putting callers through: begun, failed, refused, given_up.",
    ["step"],
    registry=REGISTRY,
)
MODEL_CONNECTIONS = Gauge(
    "trunkline_model_connections", "Connections to the model that stand or are being made.", registry=REGISTRY
)
HTTP_REQUESTS_TOTAL = Counter(
    "trunkline_http_requests",
    "HTTP requests answered, by method, by the route's template (unmatched: there is none), and by status.",
    ["method", "route", "status"],
    registry=REGISTRY,
)
HTTP_REQUEST_SECONDS = Histogram(
    "trunkline_http_request_seconds",
    "From a request's headers to the end of its answer, by the route's template; streams of events left out.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    registry=REGISTRY,
)
RATE_LIMITED_TOTAL = Counter(
    "trunkline_rate_limited", "Requests turned away by a limit, by its name.", ["limit"], registry=REGISTRY
)
DATABASE_SECONDS = Histogram(
    "trunkline_database_seconds",
    "How long transactions took, waiting for a connection included, by operation: read, write.",
    ["operation"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    registry=REGISTRY,
)
DATABASE_AWAY_TOTAL = Counter(
    "trunkline_database_away", "Transactions that failed because the database was away.", registry=REGISTRY
)
SPANS_DROPPED_TOTAL = Counter("trunkline_spans_dropped", "Spans of traces that no collector took.", registry=REGISTRY)

SHARED = CollectorRegistry()
"""What is true of the database and not of a process: read when it is asked for, told by whoever is asked, not added."""
QUEUE_LENGTH = Gauge(
    "trunkline_queue_length",
    "What waits in the database: calls to be placed (dials), analyses, webhooks.",
    ["queue"],
    registry=SHARED,
)
QUEUE_OLDEST_SECONDS = Gauge(
    "trunkline_queue_oldest_seconds",
    "For how long the oldest of it has been due, in seconds; 0 when nothing is.",
    ["queue"],
    registry=SHARED,
)
WEBHOOKS_DEAD = Gauge(
    "trunkline_webhooks_dead", "Deliveries of webhooks that are not tried any more, until replayed.", registry=SHARED
)

CONTENT_TYPE = CONTENT_TYPE_LATEST


_MOST_AGENTS = 100
_agents: set[str] = set()


def agent_label(name: str) -> str:
    """Return an agent's name as the label `agent`: of more than a hundred names in a process the later are `other`."""
    if name not in _agents and len(_agents) >= _MOST_AGENTS:
        return "other"
    _agents.add(name)
    return name


def render() -> bytes:
    """Write all metrics as Prometheus text, to be served with `CONTENT_TYPE`."""
    return generate_latest(REGISTRY) + generate_latest(SHARED)


def render_shared() -> bytes:
    """Write what is true of the database alone, to stand behind the metrics of the processes."""
    return generate_latest(SHARED)
