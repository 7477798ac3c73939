"""Garbage of calls: collected when nobody talks, and most of it gone before."""

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Generator
from pathlib import Path

import pytest

from pipelines import housekeeping
from pipelines.housekeeping import Housekeeping, take_apart

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def collections(monkeypatch: pytest.MonkeyPatch) -> Generator[list[int]]:
    """The full collections there have been. None comes of itself, and a quiet moment is short."""
    monkeypatch.setattr(housekeeping, "_QUIET_SECS", 0.01)
    seen: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            seen.append(1)

    gc.disable()
    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.enable()


async def a_moment() -> None:
    await asyncio.sleep(0.04)


async def test_it_collects_once_nobody_talks(collections):
    calls = 2
    keeper = Housekeeping(lambda: calls)
    keeper.call_ended()
    await a_moment()
    assert not collections
    calls = 0
    keeper.call_ended()
    keeper.call_ended()
    assert not collections  # a call may ring in the next moment
    await a_moment()
    assert len(collections) == 1
    await a_moment()
    assert len(collections) == 1


async def test_it_collects_after_very_many_calls_whoever_talks(collections):
    keeper = Housekeeping(lambda: 3)
    for _ in range(499):
        keeper.call_ended()
    await a_moment()
    assert not collections
    keeper.call_ended()
    await a_moment()
    assert len(collections) == 1
    keeper.call_ended()
    await a_moment()
    assert len(collections) == 1


class Part:
    def __init__(self) -> None:
        self.other: Part | None = None


class Slotted:
    __slots__ = ()


def test_objects_that_know_each_other_are_freed_without_a_collection(collections):
    one, other = Part(), Part()
    one.other, other.other = other, one
    watched = [weakref.ref(one), weakref.ref(other)]
    take_apart([one, other, one, Slotted()])
    del one, other
    assert [ref() for ref in watched] == [None, None]
    assert not collections


def test_a_process_that_has_settled_looks_no_more_at_what_stays():
    script = (
        "import gc; from pipelines.housekeeping import give_back, settle; settle(); give_back();"
        "print(gc.get_freeze_count() > 1000, gc.get_threshold()[2] >= 1_000_000)"
    )
    # In a process of its own: it would hold for all other tests of this one.
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
