"""The YAML that an agent file may hold, and what is refused."""

import pytest

from config.yaml_text import FaultyYaml, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only a comment", None),
        ("a: 1", {"a": 1}),
        ("a: +15551230100", {"a": 15551230100}),
        ("a: 0155", {"a": "0155"}),
        ("a: 1234567890123456789", {"a": "1234567890123456789"}),
        ("a: 0x1F", {"a": "0x1F"}),
        ("a: 12:30:45", {"a": "12:30:45"}),
        ("a: 2026-01-31", {"a": "2026-01-31"}),
        ("a: [no, off, yes, y]", {"a": ["no", "off", "yes", "y"]}),
        ("a: [true, False]", {"a": [True, False]}),
        ("a: [0.5, .5, 1., -2e3, 1e400]", {"a": [0.5, 0.5, 1.0, -2000.0, float("inf")]}),
        ("a: .", {"a": "."}),
        ("a: [~, null, '', 'null', \"1\"]", {"a": [None, None, "", "null", "1"]}),
        ("a:", {"a": None}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ("&x a: 1", {"a": 1}),
    ],
)
def test_values(text: str, value: object) -> None:
    assert parse_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "is given twice (lines 1 and 3)"),
        ("a: {b: 1, b: 1}", "is given twice (lines 1 and 1)"),
        ("a: &x 1\nb: *x", "line 2: aliases (*x) are not supported"),
        ("a: !!python/object:os.system x", "line 1: tags (!!python/object:os.system) are not supported"),
        ("1: a", "line 1: a name must be text"),
        ("? [a, b]\n: c", "line 1: a name must be text"),
        ("a: 1\n---\nb: 2", "line 2: begins a second document"),
        ("[" * 25, "line 1: is nested more than 24 levels deep"),
        ("[" * 200_000, "line 1: is nested more than 24 levels deep"),
        ('a: "\\uD800"', "holds half of a surrogate pair"),
        ("a: [", "is not YAML at line 1, column 5"),
        ("a: b: c", "is not YAML at line 1, column 5"),
        ("a:\n\tb: 1", "is not YAML at line 2, column 1"),
        ("\x00", "is not YAML (unacceptable character #x0000"),
        ('a: "\\UFFFFFFFF"', "is not YAML ("),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(FaultyYaml) as caught:
        parse_yaml(text)
    [fault] = caught.value.faults
    assert fault.message.startswith(message)
    assert fault.cure


def test_every_repeated_name_is_found_with_its_path() -> None:
    with pytest.raises(FaultyYaml) as caught:
        parse_yaml("a: [{b: 1, b: 2}]\nc: 1\nc: 2")
    assert [fault.path for fault in caught.value.faults] == [("a", 0, "b"), ("c",)]
