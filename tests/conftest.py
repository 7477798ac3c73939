"""For every test: only what went wrong is logged. Pipecat's debug lines alone would cost a call a tenth of a core."""

import gc
import os
import sys
from collections.abc import Iterator

import pytest
from loguru import logger

from storage import schema
from tests.databases import upgrade_quickly

# Importing everything makes a million objects and no garbage; `pytest_collection_finish` turns it on again.
gc.disable()

logger.remove()
logger.add(lambda line: sys.stderr.write(line), level="WARNING", format="{time:HH:mm:ss.SSS} {level} {name}: {message}")

# Whole calls take as long as calls take. Begun first, none of them is what everything else waits for in the end.
_SLOWEST_FIRST = (
    "tests/chaos/",
    "tests/browser/",
    "tests/calls/",
    "tests/unit/demo/",
)
# With so many other tests between two groups of drills, one or two groups are under way at any time.
_DRILLS_APART = 20


def _rank(item: pytest.Item) -> int:
    return next(
        (rank for rank, start in enumerate(_SLOWEST_FIRST) if item.nodeid.startswith(start)), len(_SLOWEST_FIRST)
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest first; the order is otherwise that of the files.

    Drills measure how long a caller hears nothing: they are dealt among the others, or all would be heard at once.
    """
    items.sort(key=_rank)
    drills = [item for item in items if item.nodeid.startswith("tests/chaos/test_drills")]
    others = [item for item in items if not item.nodeid.startswith("tests/chaos/test_drills")]
    for number, drill in enumerate(drills):
        others.insert(number * _DRILLS_APART, drill)
    items[:] = others


def pytest_collection_finish() -> None:
    """Let no collection look at thousands of tests and all that they have imported."""
    gc.enable()
    gc.freeze()


_MIGRATES_ITSELF = (
    "tests/unit/storage/test_schema",
    "tests/unit/storage/test_migration",
    "tests/unit/storage/test_engine",
)


@pytest.fixture(autouse=True)
def _quick_schema(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Let no test but those of the migrations wait for all of them."""
    if not request.node.nodeid.startswith(_MIGRATES_ITSELF):
        monkeypatch.setattr(schema, "upgrade", upgrade_quickly)


if os.environ.get("TEST_DATABASE") == "postgresql":
    from tests.databases import drop_databases

    @pytest.fixture(autouse=True)
    def _own_databases() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
        """What a test's servers wrote is dropped with them, or a whole suite would fill the disk."""
        yield
        drop_databases()
