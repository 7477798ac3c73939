"""What a request may hold, and how it says what is wrong."""

import json
from typing import Any

import pytest

from calling.errors import BadRequest
from calling.request import read_request

GOOD: dict[str, Any] = {"agent": "front-desk", "to": "+15551230177"}


def read(**changes: Any) -> Any:
    return read_request(json.dumps(GOOD | changes).encode())


def test_a_request_is_read_and_the_same_one_has_the_same_fingerprint() -> None:
    wanted = read(**{"from": "+15551230100", "variables": {"a": "1", "b": "2"}, "overrides": {"max_call_secs": 60}})
    assert (wanted.agent, wanted.to, wanted.from_number) == ("front-desk", "+15551230177", "+15551230100")
    assert wanted.overrides.as_json() == {"max_call_secs": 60}
    assert read(at="2026-03-01T09:00:00+01:00").at.isoformat() == "2026-03-01T09:00:00+01:00"
    same = read_request(b'{"to":"+15551230177",  "agent": "front-desk"}')
    assert same.fingerprint == read().fingerprint
    assert same.fingerprint != read(to="+15551230178").fingerprint
    assert read(variables={"a": "1", "b": "2"}).fingerprint == read(variables={"b": "2", "a": "1"}).fingerprint


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ring_secs": True}, "ring_secs: must be a whole number (got true)."),
        ({"ring_secs": "30"}, "ring_secs: must be a whole number (got '30')."),
        ({"ring_secs": 500}, "ring_secs: must be <= 120 (got 500)."),
        ({"agnt": "x"}, "agnt: is not a field; did you mean 'agent'?"),
        ({"overrides": {"gretting": "x"}}, "overrides.gretting: is not a field; did you mean 'greeting'?"),
        ({"overrides": {"max_call_secs": 1}}, "overrides.max_call_secs: must be >= 10 (got 1)."),
        ({"overrides": {"language": "English"}}, "overrides.language: must be a language code"),
        ({"variables": {"two words": "x"}}, "'two words' is not a usable name"),
        ({"variables": {"a": 1}}, "variables.a: must be text (got 1); put it in quotes"),
        ({"at": "2026-03-01T09:00:00"}, "at: has no time zone; write it like 2026-03-01T09:00:00+01:00."),
        ({"at": "tomorrow"}, "at: must be a moment; write it like"),
        ({"to": None}, "to: must be text"),
    ],
)
def test_a_bad_field_is_named_with_its_cure(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(**changes)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("body", "told"), [(b"", "not JSON"), (b"[]", "must be an object"), (b"{}", "agent: is missing"), (b"\xff", "JSON")]
)
def test_a_body_that_is_none_is_told_so(body: bytes, told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        read_request(body)
