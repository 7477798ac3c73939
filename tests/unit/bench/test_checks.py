"""Each thing that a call must leave behind, taken away from a call that has left everything."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # pyright: ignore[reportMissingTypeStubs]
from sqlmodel import Session, create_engine

from bench.caller import CallNotes, Spoken
from bench.checks import check_calls
from storage.sealing import RING
from tests.databases import make_ring
from transcripts.models import CallEventRow, CallRow, TurnRow

NOTES = CallNotes(
    "CA1",
    is_burst=False,
    started_at=100.0,
    first_word_at=100.1,
    spoken=[
        Spoken(104.0, is_barge_in=False, last_loud_at=106.0, answered_at=106.8),
        Spoken(109.0, is_barge_in=True, last_loud_at=111.0, answered_at=None),
    ],
)
EVENTS = (("caller.started", 4100), ("caller.stopped", 6200), ("caller.started", 9100), ("caller.stopped", 11200))


def write_recording(folder: Path, *, caller: int = 9000, agent: int = 9000) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(2):
        samples = np.zeros((800, 2), np.int16)
        samples[100] = (caller, agent) if number else (0, 0)  # the second segment has the voices
        soundfile.write(folder / f"{number:06}.wav", samples, 8000)  # pyright: ignore[reportUnknownMemberType]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """What the server leaves of the call in NOTES when all went well."""
    engine = create_engine(f"sqlite:///{tmp_path / 'trunkline.db'}")
    CallRow.metadata.create_all(engine)
    with Session(engine, info={RING: make_ring()}) as session:
        now = datetime.now(UTC)
        session.add(
            CallRow(
                call_id="c1", call_sid="CA1", agent_name="front-desk", direction="inbound", status="ended",
                end_reason="caller_hung_up", variables={}, created_at=now,
            )
        )  # fmt: skip
        session.commit()
        for seq, (kind, at_ms) in enumerate(EVENTS):
            session.add(CallEventRow(call_id="c1", seq=seq, at_ms=at_ms, kind=kind, data={}))
        for position, speaker in enumerate(("agent", "caller", "agent", "caller")):
            times: dict[str, Any] = {"start_ms": position, "end_ms": position + 1, "interrupted": False}
            session.add(TurnRow(call_id="c1", position=position, speaker=speaker, text="words", **times))
        session.commit()
    engine.dispose()
    write_recording(tmp_path / "recordings" / "c1")
    return tmp_path


def change(data_dir: Path, statement: str) -> None:
    with closing(sqlite3.connect(data_dir / "trunkline.db")) as database, database:
        assert database.execute(statement).rowcount


def test_a_call_that_left_everything_has_no_fault(data_dir: Path) -> None:
    assert check_calls(data_dir, [NOTES]) == []


@pytest.mark.parametrize(
    ("statement", "faults"),
    [
        ("UPDATE calls SET call_sid = 'CA2'", ["is not in the database"]),
        ("UPDATE calls SET status = 'live', end_reason = NULL", ["is live"]),
        ("DELETE FROM turns WHERE position = 1", ["1 turns of the caller instead of 2"]),
        ("UPDATE turns SET text = '' WHERE position = 2", ["1 turns of the agent instead of 2"]),
        (
            "DELETE FROM call_events WHERE seq = 3",
            ["2 starts and 1 stops of voice for 2 sentences", "sentence 2 has 0 stops of voice near 11000 ms"],
        ),
        (
            "INSERT INTO call_events (call_id, seq, at_ms, kind, data) VALUES ('c1', 9, 4500, 'caller.started', '{}')",
            ["3 starts and 2 stops of voice for 2 sentences", "sentence 1 has 2 starts of voice near 4000 ms"],
        ),
        ("UPDATE call_events SET at_ms = 7000 WHERE seq = 1", ["sentence 1 has 0 stops of voice near 6000 ms"]),
    ],
)
def test_each_thing_that_is_missing_is_a_fault(data_dir: Path, statement: str, faults: list[str]) -> None:
    change(data_dir, statement)
    assert check_calls(data_dir, [NOTES]) == [f"CA1: {fault}" for fault in faults]


@pytest.mark.parametrize(
    ("peaks", "faults"),
    [
        ({"caller": 100}, ["the caller is not in the recording"]),
        ({"agent": 100}, ["the agent is not in the recording"]),
        ({"agent": -9000}, []),
    ],
)
def test_a_voice_that_was_not_recorded_is_a_fault(data_dir: Path, peaks: dict[str, int], faults: list[str]) -> None:
    write_recording(data_dir / "recordings" / "c1", **peaks)
    assert check_calls(data_dir, [NOTES]) == [f"CA1: {fault}" for fault in faults]


def test_a_caller_who_said_nothing_need_not_be_in_the_recording(data_dir: Path) -> None:
    write_recording(data_dir / "recordings" / "c1", caller=100)
    silent = replace(NOTES, spoken=[])
    assert "the caller is not in the recording" not in " ".join(check_calls(data_dir, [silent]))


def test_failed_calls_are_not_looked_up_and_no_database_is_a_fault(data_dir: Path) -> None:
    unknown = replace(NOTES, call_sid="CA9", problem="no greeting")
    assert check_calls(data_dir, [unknown, NOTES]) == []
    assert check_calls(data_dir / "nowhere", [NOTES]) == [f"{data_dir / 'nowhere' / 'trunkline.db'} does not exist"]
