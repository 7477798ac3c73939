"""Values out of an answer by their path."""

from typing import Any

import pytest

from net.json_paths import find

ORDER = {"order": {"status": "sent", "a/b": 1, "lines": [{"name": "tea"}, {"name": "jam"}, {}]}, "odd key": 2}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", ORDER),
        ("$.order.status", "sent"),
        (".order.status", "sent"),
        ("$.order.lines[1].name", "jam"),
        ("$.order.lines[*].name", ["tea", "jam", None]),
        ("$['odd key']", 2),
        ("/order/status", "sent"),
        ("/order/lines/0/name", "tea"),
        ("/order/a~1b", 1),
        ("$.order.lines[9].name", None),
        ("$.order.status.deeper", None),
        ("$.nothing", None),
        ("/order/lines/x", None),
    ],
)
def test_a_path_leads_to_its_value_or_to_nothing(path: str, value: Any) -> None:
    assert find(ORDER, path) == value
