"""The audit log: what is written is found again, and nothing can be changed."""

from datetime import UTC, datetime, timedelta

import pytest

from storage.audit import COMMAND_LINE, Actor, ActorKind, AuditFilter, AuditStore
from storage.engine import Database

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
KEY = Actor(ActorKind.KEY, "k1")
TOKEN = Actor(ActorKind.TOKEN, "k1", "t1")


async def test_entries_are_found_by_who_did_what_to_what_and_when(database: Database) -> None:
    audit = AuditStore(database)
    await audit.add(COMMAND_LINE, "keys.create", "key", "k1", at=NOW, detail={"scopes": ["calls:read"]})
    await audit.add(KEY, "keys.create", "key", "k2", at=NOW + timedelta(seconds=1), request_id="r1", address_index="a1")
    await audit.add(TOKEN, "recordings.read", "call", "c1", at=NOW + timedelta(seconds=2), address_index="a2")

    async def found(limit: int = 9, before: int | None = None, **wanted: object) -> list[str]:
        rows = await audit.list_entries(AuditFilter(**wanted), limit, before=before)  # pyright: ignore[reportArgumentType]
        return [row.subject_id for row in rows]

    assert await found() == ["c1", "k2", "k1"]
    assert await found(1) == ["c1"]
    newest = (await audit.list_entries(AuditFilter(), 1))[0]
    assert await found(before=newest.id) == ["k2", "k1"]
    assert await found(actor_id="k1") == ["c1", "k2"], "what a key's token did is found by the key"
    assert await found(action="keys.create") == ["k2", "k1"]
    assert await found(subject_kind="key", subject_id="k1") == ["k1"]
    assert await found(address_index="a2") == ["c1"]
    assert await found(since=NOW + timedelta(seconds=1), until=NOW + timedelta(seconds=2)) == ["k2"]
    assert (newest.at, newest.actor_kind, newest.token_id, newest.detail) == (
        NOW + timedelta(seconds=2),
        "token",
        "t1",
        {},
    )
    changing = [name for name in dir(audit) if name.startswith(("update", "delete", "remove", "change"))]
    assert changing == ["remove_before"], "entries go by their age, and in no other way"


async def test_a_number_is_no_subject_and_the_detail_is_short(database: Database) -> None:
    audit = AuditStore(database)
    with pytest.raises(ValueError, match="never a telephone number"):
        await audit.add(KEY, "people.erase", "person", "+15551230177", at=NOW)
    with pytest.raises(ValueError, match="4096"):
        await audit.add(KEY, "agents.update", "agent", "a", at=NOW, detail={"text": "x" * 5000})
    assert await audit.list_entries(AuditFilter(), 9) == []
