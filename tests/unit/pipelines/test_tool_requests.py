"""A tool's request filled in, its parameters shown and checked, its answer boiled down, secrets masked."""

# ruff: noqa: E501 - tables of cases

import json
from typing import Any

import pytest

from config.tools_http import HttpRequest
from net.tool_request import ToolAnswer
from pipelines.http_tools import read_answer
from pipelines.tool_failures import ToolFailed, ToolRefused
from pipelines.tool_schemas import check_arguments, for_model
from pipelines.tool_secrets import mask
from pipelines.tool_templates import Values, fill_request


def filled(http: dict[str, Any], **arguments: Any) -> Any:
    values = Values(arguments, {"shop": "north"}, {"KEY": "s3cret"}, {"caller": "+15557654321"})
    return fill_request(HttpRequest.model_validate(http), values, idempotency_key="k-1")


def test_what_is_filled_in_stays_within_its_part() -> None:
    url = "https://a.example.com/{shop}/o/{id}"
    request = filled(
        {"url": url, "query": {"q": "{q}", "by": "{call:caller}", "gone": "{gone}"}}, id="../a?b=c/d", q="x&y"
    )
    assert request.url == "https://a.example.com/north/o/..%2Fa%3Fb%3Dc%2Fd?q=x%26y&by=%2B15557654321"


@pytest.mark.parametrize("value", ["..", ".", ""])
def test_a_value_that_would_change_the_path_is_refused(value: str) -> None:
    with pytest.raises(ToolRefused):
        filled({"url": "https://a.example.com/o/{id}"}, id=value)


def test_a_body_keeps_types_and_leaves_out_what_was_left_out() -> None:
    body = {
        "count": "{count}",
        "note": "{note}",
        "text": "for {name}",
        "list": ["{count}", 1],
        "at": {"shop": "{shop}"},
    }
    request = filled(
        {"url": "https://a.example.com/", "method": "POST", "body": body, "idempotent": True}, count=2, name="Bo"
    )
    assert json.loads(request.body) == {"count": 2, "text": "for Bo", "list": [2, 1], "at": {"shop": "north"}}
    assert request.headers["Idempotency-Key"] == "k-1"
    assert request.may_repeat
    form = filled({"url": "https://a.example.com/", "method": "POST", "body": {"a": "{a}"}, "body_as": "form"}, a="x y")
    assert (form.body, form.may_repeat) == (b"a=x%20y", False)


def test_no_line_break_gets_into_a_header() -> None:
    http = {"url": "https://a.example.com/", "headers": {"X-Name": "{name}", "Authorization": "Bearer {secret:KEY}"}}
    assert filled(http, name="Bo").headers["Authorization"] == "Bearer s3cret"
    with pytest.raises(ToolRefused):
        filled(http, name="Bo\r\nX-Admin: yes")


def test_secrets_are_masked_wherever_they_come_back() -> None:
    assert mask({"a": ["x s3cret y"], "s3cret": 1}, ["s3cret", "1"]) == {"a": ["x [secret] y"], "[secret]": 1}


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "integer", "title": "A"}}},
            {"type": "object", "properties": {"a": {"type": "integer"}}},
        ),
        (
            {"type": "object", "additionalProperties": False, "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}},
            {"type": "object", "properties": {"a": {"type": "string", "nullable": True}}},
        ),
        (
            {"type": "object", "properties": {"a": {"type": ["string", "null"], "format": "email", "enum": ["x"]}}},
            {"type": "object", "properties": {"a": {"type": "string", "nullable": True, "enum": ["x"]}}},
        ),
        (
            {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a", "b"]},
            {"type": "object", "properties": {"a": {"type": "integer", "description": "Allowed: 1, 2"}}, "required": ["a"]},
        ),
        ({"type": "object", "properties": {"a": {"type": "array"}}}, {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}}),
    ],
)  # fmt: skip
def test_a_model_is_shown_what_it_knows(schema: dict[str, Any], shown: dict[str, Any]) -> None:
    assert for_model(schema) == shown


def test_a_schema_that_holds_itself_ends_somewhere() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert "next" in for_model(node)["properties"]


def test_arguments_are_checked_and_nothing_is_fetched_for_it() -> None:
    schema = {"type": "object", "properties": {"pin": {"type": "string", "pattern": "^[0-9]{4}$"}}, "required": ["pin"]}
    check_arguments(schema, {"pin": "1234"}, ())
    with pytest.raises(ToolRefused, match="pin: is not of the form"):
        check_arguments(schema, {"pin": "12345"}, ("pin",))
    with pytest.raises(ToolRefused, match="'pin' is a required property"):
        check_arguments(schema, {}, ())
    with pytest.raises(ToolRefused, match="cannot be checked"):
        check_arguments({"$ref": "https://example.com/schema.json"}, {"pin": 1}, ())


def answer(status: int, body: bytes, kind: str = "application/json", **http: Any) -> Any:
    request = HttpRequest.model_validate({"url": "https://a.example.com/", **http})
    return read_answer(request, ToolAnswer(status, kind, body))


def test_an_answer_is_boiled_down() -> None:
    assert answer(200, b'{"order": {"status": "sent"}}', result={"status": "$.order.status"}) == {"status": "sent"}
    assert answer(200, b'{"a": [1, 2]}', result="$.a[1]") == {"result": 2}
    assert answer(200, b"hello", "text/plain") == {"text": "hello"}
    assert answer(204, b"", "") == {"done": True}
    assert answer(404, b"", "", answers={404: "None such."}) == {"status": 404, "answer": "None such."}


@pytest.mark.parametrize(
    ("status", "body", "kind", "failure"),
    [
        (500, b"", "", "http_status"),
        (302, b"", "", "http_status"),
        (200, b"<html>", "application/json", "bad_answer"),
        (200, b"\x00", "image/png", "bad_answer"),
        (200, b'"' + b"x" * 17_000 + b'"', "application/json", "too_large"),
    ],
)
def test_an_answer_that_is_none_is_a_failure(status: int, body: bytes, kind: str, failure: str) -> None:
    with pytest.raises(ToolFailed) as failed:
        answer(status, body, kind)
    assert failed.value.kind == failure
