"""As much of Prometheus's query language as our alert rules use, on a window with two moments: its beginning and now.

`rate` and `increase` are what a counter grew by between the two. A result is a vector: labels to value.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]

_TOKEN = re.compile(
    r"\s*(?:(\d+(?:\.\d+)?)|([a-z_][a-z0-9_:]*)|(>=|<=|==|!=|=~|!~|[-+*/<>=(){}\[\],])|\"([^\"]*)\")", re.I
)
_RANGE = re.compile(r"\s*(\d+)([smh])\]")
_SECS = {"s": 1, "m": 60, "h": 3600}
_COMPARED: dict[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
}


@dataclass(frozen=True)
class Selector:
    """A metric with conditions on its labels: (label, operator, value)."""

    name: str
    conditions: tuple[tuple[str, str, str], ...]


@dataclass
class Samples:
    """What Prometheus has seen: each series as (value at the window's beginning, value now)."""

    series: dict[tuple[str, Labels], tuple[float, float]] = field(
        default_factory=dict[tuple[str, Labels], tuple[float, float]]
    )

    def plant(self, name: str, now: float, before: float = 0.0, **labels: str) -> None:
        """Add one series."""
        self.series[name, frozenset(labels.items())] = before, now


class Query:
    """A parsed expression. Raises ValueError for what it does not know."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self.selectors: list[Selector] = []
        self.grouped_by: set[str] = set()
        self._evaluate = self._logical()
        if self._text[self._at :].strip():
            raise ValueError(f"not understood: {self._text[self._at :]}")

    def evaluate(self, samples: Samples) -> Vector:
        """Return what the expression gives; an alert fires when that is not empty."""
        found = self._evaluate(samples)
        return {frozenset(): found} if isinstance(found, int | float) else found

    # ---- the grammar, loosest first ----

    def _logical(self) -> Callable[[Samples], Vector | float]:
        left = self._comparison()
        while self._take("and"):
            left = _both(left, self._comparison())
        return left

    def _comparison(self) -> Callable[[Samples], Vector | float]:
        left = self._sum()
        for sign, is_true in sorted(_COMPARED.items(), key=lambda each: -len(each[0])):
            if self._take(sign):
                return _kept(left, self._sum(), is_true)
        return left

    def _sum(self) -> Callable[[Samples], Vector | float]:
        left = self._product()
        while (sign := self._take("+") or self._take("-")) is not None:
            left = _joined(left, self._product(), (lambda a, b: a + b) if sign == "+" else (lambda a, b: a - b))
        return left

    def _product(self) -> Callable[[Samples], Vector | float]:
        left = self._atom()
        while (sign := self._take("*") or self._take("/")) is not None:
            left = _joined(left, self._atom(), (lambda a, b: a * b) if sign == "*" else _divided)
        return left

    def _atom(self) -> Callable[[Samples], Vector | float]:
        if self._take("("):
            inner = self._logical()
            self._must(")")
            return inner
        number = self._peek()[0]
        if number is not None:
            self._next()
            return lambda _samples, number=number: float(number)
        name = self._name()
        if name in {"sum", "max"}:
            by = self._names() if self._take("by") else []
            self.grouped_by.update(by)
            inner = self._bracketed()
            return _grouped(inner, by, sum if name == "sum" else max)
        if name in {"rate", "increase"}:
            self._must("(")
            selector, secs = self._selector(self._name()), self._range()
            self._must(")")
            per = secs if name == "rate" else 1
            return lambda samples: {
                labels: max(0.0, now - before) / per for labels, (before, now) in _matching(samples, selector)
            }
        if name == "histogram_quantile":
            self._must("(")
            quantile = float(self._next()[0] or "nan")
            self._must(",")
            inner = self._logical()
            self._must(")")
            return lambda samples: _quantiles(quantile, _vector(inner(samples)))
        if name == "absent":
            inner = self._bracketed()
            return lambda samples: {} if _vector(inner(samples)) else {frozenset(): 1.0}
        selector = self._selector(name)
        return lambda samples: {labels: now for labels, (_, now) in _matching(samples, selector)}

    def _bracketed(self) -> Callable[[Samples], Vector | float]:
        self._must("(")
        inner = self._logical()
        self._must(")")
        return inner

    def _selector(self, name: str) -> Selector:
        conditions: list[tuple[str, str, str]] = []
        if self._take("{"):
            while not self._take("}"):
                label = self._name()
                sign = next(each for each in ("=~", "!~", "!=", "=") if self._take(each))
                text = self._next()[3]
                assert text is not None
                conditions.append((label, sign, text))
                self._take(",")
        self.selectors.append(Selector(name, tuple(conditions)))
        return self.selectors[-1]

    def _range(self) -> int:
        self._must("[")
        found = _RANGE.match(self._text, self._at)
        if found is None:
            raise ValueError(f"no range: {self._text[self._at :]}")
        self._at = found.end()
        return int(found[1]) * _SECS[found[2]]

    def _names(self) -> list[str]:
        self._must("(")
        names = [self._name()]
        while self._take(","):
            names.append(self._name())
        self._must(")")
        return names

    # ---- its words ----

    def _peek(self) -> tuple[str | None, ...]:
        found = _TOKEN.match(self._text, self._at)
        return found.groups() if found else (None, None, None, None)

    def _next(self) -> tuple[str | None, ...]:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise ValueError(f"not understood: {self._text[self._at :]}")
        self._at = found.end()
        return found.groups()

    def _take(self, word: str) -> str | None:
        peeked = self._peek()
        if word not in (peeked[1], peeked[2]):
            return None
        self._next()
        return word

    def _must(self, word: str) -> None:
        if self._take(word) is None:
            raise ValueError(f"{word} is missing: {self._text[self._at :]}")

    def _name(self) -> str:
        name = self._next()[1]
        if name is None:
            raise ValueError(f"a name is missing: {self._text[self._at :]}")
        return name


def _matching(samples: Samples, selector: Selector) -> Iterator[tuple[Labels, tuple[float, float]]]:
    for (name, labels), values in samples.series.items():
        if name == selector.name and all(_holds(dict(labels), *each) for each in selector.conditions):
            yield labels, values


def _holds(labels: Mapping[str, str], label: str, sign: str, text: str) -> bool:
    value = labels.get(label, "")
    is_alike = re.fullmatch(text, value) is not None if "~" in sign else value == text
    return is_alike != sign.startswith("!")


def _vector(found: Vector | float) -> Vector:
    return {frozenset(): found} if isinstance(found, int | float) else found


def _divided(a: float, b: float) -> float:
    if b == 0:
        return math.nan if a == 0 else math.inf
    return a / b


def _joined(
    left: Callable[[Samples], Vector | float],
    right: Callable[[Samples], Vector | float],
    join: Callable[[float, float], float],
) -> Callable[[Samples], Vector | float]:
    def evaluate(samples: Samples) -> Vector | float:
        a, b = left(samples), right(samples)
        if isinstance(b, int | float):
            return join(a, b) if isinstance(a, int | float) else {labels: join(value, b) for labels, value in a.items()}
        if isinstance(a, int | float):
            return {labels: join(a, value) for labels, value in b.items()}
        return {labels: join(value, b[labels]) for labels, value in a.items() if labels in b}

    return evaluate


def _kept(
    left: Callable[[Samples], Vector | float],
    right: Callable[[Samples], Vector | float],
    is_true: Callable[[float, float], bool],
) -> Callable[[Samples], Vector]:
    def evaluate(samples: Samples) -> Vector:
        a, b = _vector(left(samples)), right(samples)
        assert isinstance(b, int | float), "compared with a number only"
        return {labels: value for labels, value in a.items() if is_true(value, b)}

    return evaluate


def _both(
    left: Callable[[Samples], Vector | float], right: Callable[[Samples], Vector | float]
) -> Callable[[Samples], Vector]:
    def evaluate(samples: Samples) -> Vector:
        b = _vector(right(samples))
        return {labels: value for labels, value in _vector(left(samples)).items() if labels in b}

    return evaluate


def _grouped(
    inner: Callable[[Samples], Vector | float], by: list[str], join: Callable[[list[float]], float]
) -> Callable[[Samples], Vector]:
    def evaluate(samples: Samples) -> Vector:
        groups: dict[Labels, list[float]] = {}
        for labels, value in _vector(inner(samples)).items():
            groups.setdefault(frozenset(each for each in labels if each[0] in by), []).append(value)
        return {labels: float(join(values)) for labels, values in groups.items()}

    return evaluate


def _quantiles(quantile: float, buckets: Vector) -> Vector:
    """As Prometheus does it: within a bucket values are taken to be spread evenly."""
    by_rest: dict[Labels, list[tuple[float, float]]] = {}
    for labels, count in buckets.items():
        rest = frozenset(each for each in labels if each[0] != "le")
        by_rest.setdefault(rest, []).append((float(dict(labels)["le"]), count))
    found: Vector = {}
    for rest, counts in by_rest.items():
        counts.sort()
        wanted, lower, below = quantile * counts[-1][1], 0.0, 0.0
        found[rest] = math.nan
        for upper, count in counts if counts[-1][1] else ():
            if count >= wanted:
                share = (wanted - below) / (count - below) if count > below else 0.0
                found[rest] = lower if upper == math.inf else lower + (upper - lower) * share
                break
            lower, below = upper, count
    return found
