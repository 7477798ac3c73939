"""Requests made from the OpenAPI document, good ones and bad ones, and each answer held against it."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

_ALWAYS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_NOT_OF_THIS_MACHINE = {"X-Forwarded-For": "203.0.113.9"}
"""Without it, requests of this machine would need no key."""
_TIMEOUT_SECS = 30
_ODD = ("\x00", "' OR 1=1 --", "../../etc/passwd", "\ud7ff", "%00", "{{7*7}}", "a" * 300, "-1", "9" * 30, "\u202e", "")
_MOST_SHOWN = 40


@dataclass
class Tally:
    """What became of the requests to one operation."""

    examples: int = 0
    statuses: Counter[int] = field(default_factory=Counter[int])


@dataclass
class Fuzzer:
    """Asks every operation of a running server.

    `keys`: what it asks with, by what they are; None is no key at all. `known`: path parameter -> values that exist.
    """

    base_url: str
    document: dict[str, Any]
    keys: Mapping[str, str | None]
    known: Mapping[str, Sequence[Any]]
    examples: int
    seed: int = 1
    tallies: dict[str, Tally] = field(default_factory=dict[str, Tally])
    failures: list[str] = field(default_factory=list[str])

    def run(self) -> None:
        """Ask; blocks for long. `failures` says afterwards what is not as it is promised."""
        schema = schemathesis.openapi.from_dict(self.document)
        with requests.Session() as session:
            session.trust_env = False
            for found in schema.get_all_operations():
                operation = found.ok()
                for number, mode in enumerate((GenerationMode.POSITIVE, GenerationMode.NEGATIVE)):
                    self._ask(operation, mode, self.seed * 2 + number, session)

    def table(self) -> str:
        """Return operations, how often each was asked, and what it answered."""
        width = max(len(name) for name in self.tallies)
        lines = [f"{'operation':{width}}  examples  statuses"]
        for name, tally in sorted(self.tallies.items()):
            statuses = "  ".join(f"{status}: {count}" for status, count in sorted(tally.statuses.items()))
            lines.append(f"{name:{width}}  {tally.examples:8}  {statuses}")
        return "\n".join(lines)

    def _ask(self, operation: Any, mode: GenerationMode, number: int, session: requests.Session) -> None:
        label = operation.label
        tally = self.tallies.setdefault(label, Tally())
        dice = random.Random(f"{label} {number}")
        try:
            strategy = operation.as_strategy(generation_mode=mode)
        except Exception as error:
            if mode is GenerationMode.NEGATIVE and "Skip" in type(error).__name__:
                return
            raise

        def one(case: Case) -> None:
            is_as_made = not self._adapt(case, dice, is_bad=mode is GenerationMode.NEGATIVE)
            tally.examples += 1
            name, key = self._choose_key(tally.examples)
            self._send(case, name, key, session, tally, must_be_refused=is_as_made and mode is GenerationMode.NEGATIVE)

        _repeat(one, strategy, self.examples // 2, number)

    def _choose_key(self, count: int) -> tuple[str, str | None]:
        """Every second request has the key for everything; the others take turns."""
        names = list(self.keys)
        name = names[0] if count % 2 else names[(count // 2) % len(names)]
        return name, self.keys[name]

    def _adapt(self, case: Case, dice: random.Random, *, is_bad: bool) -> bool:
        """Have streams end, ask of things that exist, and put odd texts in; returns whether the case was changed."""
        is_changed = False
        if case.path.endswith("/events") and case.query.get("follow", True) not in (False, "false"):
            if case.query.get("follow") in (None, True, "true"):
                case.query["follow"] = "false"
        for name in case.path_parameters:
            if dice.random() < 0.6 and self.known.get(name):
                case.path_parameters[name] = dice.choice(list(self.known[name]))
                is_changed = True
        if is_bad and case.query and dice.random() < 0.3:
            case.query[dice.choice(list(case.query))] = dice.choice(_ODD)
            is_changed = True
        return is_changed

    def _send(
        self,
        case: Case,
        key_name: str,
        key: str | None,
        session: requests.Session,
        tally: Tally,
        *,
        must_be_refused: bool,
    ) -> None:
        headers = dict(_NOT_OF_THIS_MACHINE)
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        try:
            response = case.call(base_url=self.base_url, session=session, headers=headers, timeout=_TIMEOUT_SECS)
        except requests.RequestException as error:
            self._note(f"{case.operation.label} with {key_name}: {type(error).__name__}: {error}")
            return
        tally.statuses[response.status_code] += 1
        checks: list[Any] = list(_ALWAYS)
        if must_be_refused and response.status_code < 400:
            checks.append(negative_data_rejection)
        try:
            case.validate_response(response, checks=checks, headers=headers)
        except FailureGroup as group:
            for failure in group.exceptions:
                self._note(_told(case, key_name, response.status_code, response.text, failure))
        except Failure as failure:
            self._note(_told(case, key_name, response.status_code, response.text, failure))
        if "x-request-id" not in response.headers:
            self._note(f"{case.operation.label}: no X-Request-Id")

    def _note(self, text: str) -> None:
        if len(self.failures) < _MOST_SHOWN:
            self.failures.append(text)


def _told(case: Case, key_name: str, status: int, text: str, failure: Any) -> str:
    asked = f"path {case.path_parameters} query {case.query} headers {case.headers} body {case.body!r}"
    return f"{case.operation.label} with {key_name}: {failure}\n  answered {status} {text[:300]}\n  asked {asked[:900]}"


def _repeat(one: Callable[[Case], None], strategy: Any, count: int, number: int) -> None:
    # No example is made smaller afterwards: what was found is told as it is.
    quiet = settings(
        max_examples=max(count, 1),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    seed(number)(quiet(given(strategy)(one)))()
