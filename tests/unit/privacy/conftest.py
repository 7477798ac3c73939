"""Fixtures of this folder: a house in which two people have phoned, each with everything that a call can leave."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlmodel import select

from aftercall.models import AnalysisRow, CostRow, DeliveryRow, UsageRow
from privacy.erasure import Eraser
from storage.engine import Database
from storage.idempotency import Claim, KeptAnswer, RepeatStore
from storage.rows import Row, insert_new
from tests.databases import IS_POSTGRES, database, database_url
from transcripts.backlog import Backlog
from transcripts.call import (
    CallEvent,
    Consent,
    ConsentAnswer,
    ConsentGivenBy,
    Direction,
    EndReason,
    RecordingStatus,
    Speaker,
    Turn,
)
from transcripts.entries import ConsentEntry, EventEntry, TransferAttemptsEntry, TurnEntry
from transcripts.models import CallRow, TransferRow
from transcripts.outgoing import Order, OutgoingStore, Room
from transcripts.recording_store import RecordingStore
from transcripts.records import Records
from transcripts.store import CallStore
from transcripts.transfer_store import TransferStore
from transcripts.word_index import WordHashRow

__all__ = ["database", "database_url", "house"]

ONE_KIND = pytest.mark.parametrize("database_url", ["postgresql" if IS_POSTGRES else "sqlite"], indirect=True)
"""For what has nothing to do with the kind of database."""
NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
OURS = "+15551230100"
ANN, BEN = "+15551230177", "+15551230188"


class House:
    """A database with calls in it, and their recordings."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.db = database
        self.folder = folder
        self.store = CallStore(database)
        self.outgoing = OutgoingStore(database)
        self.recordings = RecordingStore(folder / "recordings", database.ring)
        self.backlog = Backlog(folder / "log-backlog", "p1", self.store)
        self.eraser = Eraser(database, self.recordings, self.backlog)

    async def add_call(self, call_id: str, number: str, *, word: str, at: datetime = NOW, agent: str = "desk") -> None:
        """Add a call that is over, in either direction by its id, with everything that hangs on one."""
        from transcripts.call import Call

        is_out = call_id.startswith("out")
        sides = (OURS, number) if is_out else (number, OURS)
        call = Call(
            call_id,
            None,
            agent,
            Direction.OUTBOUND if is_out else Direction.INBOUND,
            *sides,
            {"name": f"{word} name"},
            at,
        )
        if is_out:
            await self.outgoing.open(Order(call, 30, f"hash-{call_id}"), Room(), owner="p1", now=at)
            await self.outgoing.begin_attempt(call_id, "p1", Room(), now=at)
            await self.outgoing.bind(call_id, f"CA{call_id}")
            await self.outgoing.note_ringing(call_id)
        else:
            await self.store.open_call(call)
        await self.store.go_live(call_id)
        consent = Consent(agent, number, "May we?", "en-US", ConsentAnswer.YES, ConsentGivenBy.VOICE, at)
        await self.store.add_entries(
            [
                TurnEntry(call_id, 0, Turn(Speaker.CALLER, f"I am {word}", 0, 900)),
                EventEntry(call_id, 0, CallEvent("turn.caller", 0, {"text": f"I am {word}", "end_ms": 900})),
                EventEntry(call_id, 1, CallEvent("call.from", 0, {"number": number, "at": "somewhere"})),
                ConsentEntry(call_id, consent),
                TransferAttemptsEntry(call_id, [{"destination": "boss", "address": "+15551239999", "outcome": "busy"}]),
            ]
        )
        await Records(self.db, agent).put("message", f"{word} {call_id}", {"text": f"call {word}"}, call_id)
        await Records(self.db, agent).put("appointment", f"slot {call_id}", {"who": word}, call_id)
        await TransferStore(self.db).open(
            TransferRow(
                transfer_id=f"t-{call_id}",
                call_id=call_id,
                call_sid="CA1",
                agent_name=agent,
                destination="boss",
                address="+15551239999",
                language="en-US",
                status="busy",
                created_at=at,
                ended_at=at,
            )
        )
        async with self.db.writer() as session:
            await insert_new(session, AnalysisRow, [_analysis(call_id, word, at)])
            await insert_new(session, CostRow, [_cost(call_id, agent)])
            await insert_new(session, UsageRow, [_usage(call_id, agent, at)])
            await insert_new(session, DeliveryRow, [_delivery(call_id, agent, word, at)])
            await insert_new(session, WordHashRow, [{"word": f"{word}{call_id}".encode(), "call_id": call_id}])
        await self.record(call_id)
        await self.store.finish_call(
            call_id,
            EndReason.CALLER_HUNG_UP,
            ended_at=at + timedelta(seconds=60),
            recording_status=RecordingStatus.COMPLETE,
        )

    async def record(self, call_id: str) -> None:
        """Record a second of sound."""
        writer = self.recordings.writer(call_id, 8000)
        writer.add(Speaker.CALLER, 0, np.full(8000, 1000, dtype="<i2").tobytes())
        await writer.close(1000)

    async def add_reply(self, word: str) -> None:
        """Add an answer that is kept for a request that may be repeated."""
        replies = RepeatStore(self.db)
        claim = await replies.claim("k1", "POST /v1/x", word, "h", now=NOW)
        assert isinstance(claim, Claim)
        await replies.keep(claim, KeptAnswer(201, {"location": "/v1/x"}, f'{{"to": "{word}"}}'.encode()))

    async def rows(self) -> dict[str, list[str]]:
        """Return every row of every table as the database itself has it, by table.

        Without which tables are known to be sealed: that is found out when something is first looked for in them.
        """
        found: dict[str, list[str]] = {}
        for table in Row.metadata.sorted_tables:
            if table.name == "sealed_tables":
                continue
            async with self.db.reader() as session:
                result = await (await session.connection()).exec_driver_sql(f"SELECT * FROM {table.name}")
                found[table.name] = sorted(repr(tuple(row)) for row in result)
        return found

    async def calls(self) -> dict[str, CallRow]:
        """Return all calls by their ids."""
        async with self.db.reader() as session:
            return {row.call_id: row for row in (await session.exec(select(CallRow))).all()}

    def bytes_on_disk(self) -> bytes:
        """Return all that is in the folder, SQLite's files and recordings included."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file())


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    return House(database, tmp_path)


def _analysis(call_id: str, word: str, at: datetime) -> dict[str, Any]:
    return {
        "call_id": call_id,
        "run": 1,
        "attempt": 1,
        "ticket": 1,
        "status": "done",
        "model": "m",
        "requested_at": at,
        "finished_at": at,
        "result": {"summary": f"about {word}"},
    }


def _cost(call_id: str, agent: str) -> dict[str, Any]:
    return {
        "call_id": call_id,
        "agent_name": agent,
        "day": date(2026, 3, 1),
        "item": "minutes",
        "source": "twilio",
        "model": "",
        "quantity": 60,
        "unit": "second",
        "micro_usd": 14_000,
    }


def _usage(call_id: str, agent: str, at: datetime) -> dict[str, Any]:
    return {
        "usage_id": f"u-{call_id}",
        "call_id": call_id,
        "agent_name": agent,
        "source": "analysis",
        "model": "m",
        "at": at,
        "usage": {"tokens": 12},
    }


def _delivery(call_id: str, agent: str, word: str, at: datetime) -> dict[str, Any]:
    return {
        "delivery_id": f"d-{call_id}",
        "message_id": f"m-{call_id}",
        "endpoint_id": "e1",
        "call_id": call_id,
        "agent_name": agent,
        "event": "call.ended",
        "url": "https://example.com/hook",
        "payload": f"payload of {word}",
        "status": "dead",
        "attempt": 9,
        "first_attempt": 1,
        "created_at": at,
        "ended_at": at,
    }
