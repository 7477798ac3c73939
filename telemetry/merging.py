"""The metrics of several processes as one: taken, added up, and written as Prometheus text.

Counters and histograms are added, also those of processes that have ended: a total never goes down. Gauges are added
over those that live. What `process_*` tells of one operating system process stays apart, by the label `process`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

_OF_A_PROCESS = "process_"
_GROWING = frozenset({"counter", "histogram", "summary"})
_CREATED = "_created"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric of one process: its samples as (name, labels, value)."""

    name: str
    kind: str
    text: str
    samples: list[tuple[str, dict[str, str], float]] = field(default_factory=list[tuple[str, dict[str, str], float]])

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it; `from_json` reads it."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "Family":
        """Read what `as_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        samples = [(str(name), dict(labels), float(value)) for name, labels, value in given["samples"]]
        return cls(str(given["name"]), str(given["kind"]), str(given["text"]), samples)


def take(registry: CollectorRegistry) -> list[Family]:
    """Return what a process knows at this moment."""
    return [
        Family(metric.name, metric.type, metric.documentation, [(s.name, s.labels, s.value) for s in metric.samples])
        for metric in registry.collect()
    ]


def without_life(families: Iterable[Family]) -> list[Family]:
    """Return what stays of a process that has ended: its counts, and nothing that was true of a moment."""
    return [family for family in families if family.kind in _GROWING and not family.name.startswith(_OF_A_PROCESS)]


def merge(processes: Mapping[str, Sequence[Family]], ended: Sequence[Family] = ()) -> list[Family]:
    """Add up what each process knows, by its name, and what those that have ended have left."""
    merged: dict[str, Family] = {}
    sums: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for process, families in [*processes.items(), ("", ended)]:
        for family in families:
            merged.setdefault(family.name, Family(family.name, family.kind, family.text))
            found = sums.setdefault(family.name, {})
            for name, labels, value in family.samples:
                if family.name.startswith(_OF_A_PROCESS) and process:
                    labels = {**labels, "process": process}
                key = name, tuple(labels.items())
                before = found.get(key)
                if before is not None:
                    value = min(before, value) if name.endswith(_CREATED) else before + value
                found[key] = value
    return [
        Family(family.name, family.kind, family.text, [(n, dict(labels), v) for (n, labels), v in sums[name].items()])
        for name, family in merged.items()
    ]


def render(families: Iterable[Family]) -> bytes:
    """Write metrics as Prometheus text, to be served with `telemetry.metrics.CONTENT_TYPE`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(families))
    return generate_latest(registry)


class _Given:
    """Families in the shape in which the library collects them."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        for family in self._families:
            metric = Metric(family.name, family.text, family.kind)
            metric.samples = [Sample(name, labels, value) for name, labels, value in family.samples]
            yield metric
