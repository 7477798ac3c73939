"""Versions of an agent side by side: differences, patches, and YAML that is read back as the same."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.agent_diff import Change, changes, yaml_diff
from config.merge_patch import merged
from config.yaml_text import parse_yaml
from config.yaml_writing import write_yaml

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
AWKWARD = st.sampled_from(
    ["no", "off", "1e5", "1.", ".5", "007", "null", "~", "", "+15551230100", "a: b", "- x", "#c", "'", '"', "a\nb\n",
     "a\n  b \n", "\n", " x ", "\ttab", "true", "2026-03-01", "&a", "*a", "!t", "a\u2028b", "\ufeffx", "%YAML"]
)  # fmt: skip
SCALARS = (
    WORDS | AWKWARD | st.booleans() | st.integers(-(10**17), 10**17) | st.none()
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | AWKWARD, inner, max_size=3)
)


@given(st.dictionaries(WORDS | AWKWARD, VALUES, max_size=4))
@settings(max_examples=150, deadline=None)
def test_what_is_written_as_yaml_is_read_back_as_the_same(content: dict[str, Any]) -> None:
    assert parse_yaml(write_yaml(content)) == content


def test_yaml_is_written_as_a_person_would() -> None:
    content = {"bot": "assistant", "numbers": ["+15551230100"], "instructions": "Be brief.\nBe kind.\n"}
    assert write_yaml(content) == (
        'bot: assistant\nnumbers:\n  - "+15551230100"\ninstructions: |\n  Be brief.\n  Be kind.\n'
    )


def test_each_difference_is_named_with_its_place() -> None:
    before = {
        "greeting": "one",
        "limits": {"max_call_secs": 60, "tool_timeout_secs": 5},
        "numbers": ["+1", "+2"],
        "on": 1,
    }
    after = {"greeting": "two", "limits": {"max_call_secs": 60}, "numbers": ["+1"], "bot": "x", "on": True}
    assert changes(before, after) == [
        Change("greeting", "changed", "one", "two"),
        Change("limits.tool_timeout_secs", "removed", before=5),
        Change("numbers[1]", "removed", before="+2"),
        Change("on", "changed", 1, True),
        Change("bot", "added", after="x"),
    ]
    assert yaml_diff({"greeting": "one"}, {"greeting": "two"}, ("version 1", "version 2")) == (
        "--- version 1\n+++ version 2\n@@ -1 +1 @@\n-greeting: one\n+greeting: two\n"
    )


@pytest.mark.parametrize(
    ("value", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_patch_does_what_rfc_7396_shows(value: Any, patch: Any, result: Any) -> None:
    assert merged(value, patch) == result
