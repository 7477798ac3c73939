"""Stored agents in the database: versions, publication, who changes them at the same moment, grants."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from storage.engine import Database
from storage.envelope import SealBroken
from storage.stored_agents import (
    AgentStore,
    CatalogMoved,
    Draft,
    NameTaken,
    NoSuchStoredAgent,
    NoSuchVersion,
    VersionMoved,
)

AT = datetime(2026, 3, 1, 9, tzinfo=UTC)


def draft(**content: Any) -> Draft:
    return Draft({"bot": "assistant", **content}, by="k1", at=AT, note="why")


async def test_each_change_is_a_version_and_the_published_one_answers(database: Database) -> None:
    store = AgentStore(database)
    row = await store.create("shop", draft(greeting="one"), seen=None)
    assert (row.latest, row.published) == (1, None)
    assert (await store.load()).agents == []
    row = await store.publish("shop", 1, expected=1, seen=await store.counter(), at=AT)
    row = await store.change("shop", draft(greeting="two"), expected=1, seen=None)
    assert (row.latest, row.published) == (2, 1)
    [in_force] = (await store.load()).agents
    assert (in_force.number, in_force.content["greeting"]) == (1, "one")
    row = await store.change("shop", draft(greeting="three"), expected=2, seen=await store.counter())
    assert (row.latest, row.published) == (3, 3)
    assert [version.number for version in await store.versions("shop", limit=10)] == [3, 2, 1]
    assert [version.number for version in await store.versions("shop", before=3, limit=1)] == [2]
    assert await store.published_before("shop", 3) == 1
    assert (await store.version("shop", 2)).fields == {"bot": "assistant", "greeting": "two"}
    with pytest.raises(NoSuchVersion):
        await store.version("shop", 4)


async def test_the_same_content_is_no_new_version(database: Database) -> None:
    store = AgentStore(database)
    await store.create("shop", Draft({"bot": "assistant", "greeting": "one"}, by="", at=AT), seen=None)
    same = Draft({"greeting": "one", "bot": "assistant"}, by="", at=AT)
    row = await store.change("shop", same, expected=1, seen=await store.counter())
    assert (row.latest, row.published) == (1, 1)


async def test_who_knows_an_older_version_changes_nothing(database: Database) -> None:
    store = AgentStore(database)
    await store.create("shop", draft(greeting="one"), seen=None)
    await store.change("shop", draft(greeting="two"), expected=1, seen=None)
    with pytest.raises(VersionMoved, match="latest version is 2"):
        await store.change("shop", draft(greeting="other"), expected=1, seen=None)
    assert (await store.find("shop")).latest == 2
    with pytest.raises(NameTaken):
        await store.create("shop", draft(), seen=None)


async def test_of_two_who_publish_at_the_same_moment_one_has_to_look_again(database: Database) -> None:
    store = AgentStore(database)
    seen = await store.counter()
    results = await asyncio.gather(
        *(store.create(f"shop-{number}", draft(), seen=seen) for number in range(6)), return_exceptions=True
    )
    assert sum(isinstance(result, CatalogMoved) for result in results) == 5
    assert len((await store.load()).agents) == 1
    assert await store.counter() == seen + 1


async def test_of_many_changes_of_one_version_one_is_made(database: Database) -> None:
    store = AgentStore(database)
    await store.create("shop", draft(greeting="one"), seen=None)
    results = await asyncio.gather(
        *(store.change("shop", draft(greeting=str(n)), expected=1, seen=None) for n in range(6)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, VersionMoved) for result in results) == 5
    assert (await store.find("shop")).latest == 2


async def test_a_deleted_agent_answers_no_more_and_its_versions_are_kept(database: Database) -> None:
    store = AgentStore(database)
    await store.create("shop", draft(greeting="one"), seen=await store.counter())
    await store.grant("shop", "KEY", ["shop.example.com"], at=AT)
    assert (await store.load()).agents[0].grants == {"KEY": frozenset({"shop.example.com"})}
    await store.delete("shop", expected=1, at=AT)
    assert (await store.load()).agents == []
    assert await store.grants("shop") != {}, "a call that goes on may still need it"
    with pytest.raises(NoSuchStoredAgent):
        await store.find("shop")
    assert (await store.version("shop", 1)).fields["greeting"] == "one"
    assert await store.grants_to_come("shop") == {}
    await store.grant("shop", "NEW", [], at=AT + timedelta(seconds=1))
    row = await store.create("shop", draft(greeting="again"), seen=None)
    assert await store.grants("shop") == {"NEW": frozenset()}, "who takes the name gets none of the secrets it had"
    assert (row.latest, row.published) == (2, None), "a call's version stays one and the same"


async def test_agents_are_listed_by_name_page_by_page(database: Database) -> None:
    store = AgentStore(database)
    for name in ("b", "a", "c", "c-%", "d"):
        await store.create(name, draft(), seen=await store.counter() if name != "c" else None)
    await store.delete("d", expected=None, at=AT)
    assert [row.name for row in await store.list_agents(limit=2)] == ["a", "b"]
    assert [row.name for row in await store.list_agents(after="b", limit=9)] == ["c", "c-%"]
    assert [row.name for row in await store.list_agents(limit=9, is_published=False)] == ["c"]
    assert [row.name for row in await store.list_agents(limit=9, prefix="c-%")] == ["c-%"]


async def test_grants_are_made_changed_and_taken_back(database: Database) -> None:
    store = AgentStore(database)
    before = await store.counter()
    await store.grant("shop", "KEY", [], at=AT)
    await store.grant("shop", "KEY", ["a.example.com"], at=AT)
    assert await store.grants("shop") == {"KEY": frozenset({"a.example.com"})}
    assert await store.withdraw("shop", "KEY")
    assert not await store.withdraw("shop", "KEY")
    assert await store.counter() == before + 4


async def test_what_an_agent_says_is_sealed_and_bound_to_its_version(database: Database) -> None:
    store = AgentStore(database)
    await store.create("shop", draft(greeting="Blue Door Dental"), seen=None)
    await store.change("shop", draft(greeting="Red Door"), expected=1, seen=None)
    async with database.reader() as session:
        rows = await (await session.connection()).execute(text("SELECT * FROM stored_agent_versions"))
        whole = str(rows.all())
    assert all(word not in whole for word in ("Blue Door", "Red Door", "why", "assistant"))
    async with database.writer() as session:
        swap = "UPDATE stored_agent_versions SET content = (SELECT content FROM stored_agent_versions WHERE number = 1)"
        await (await session.connection()).execute(text(f"{swap} WHERE number = 2"))
    assert (await store.version("shop", 1)).fields["greeting"] == "Blue Door Dental"
    with pytest.raises(SealBroken):
        await store.version("shop", 2)
