"""API keys: shown once, kept as a hash, good for their scopes and their time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from storage.engine import Database
from storage.keys import (
    BadKey,
    BadKeyName,
    KeyExpired,
    KeyRevoked,
    KeyRow,
    KeyStore,
    NoSuchKey,
    SecretReplaced,
    UnknownScope,
)

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.fixture
def keys(database: Database) -> KeyStore:
    return KeyStore(database)


async def test_a_key_is_known_by_its_text_which_is_nowhere_kept(keys: KeyStore, database: Database) -> None:
    new = await keys.create("tests", ["calls:write", "calls:read", "calls:read"], now=NOW)
    assert new.text.startswith(f"tk_{new.key_id}_")
    assert new.text not in repr(new)
    row = await keys.check(new.text, now=NOW)
    assert (row.name, row.scopes, row.key_id) == ("tests", ["calls:read", "calls:write"], new.key_id)
    async with database.reader() as session:
        (kept,) = (await session.exec(select(KeyRow))).all()
    assert new.text.split("_", 2)[2] not in str(kept.model_dump())
    assert kept.last_used_at == NOW
    await keys.check(new.text, now=NOW + timedelta(seconds=59))
    assert (await keys.list_keys())[0].last_used_at == NOW, "not every request is a write"
    await keys.check(new.text, now=NOW + timedelta(seconds=61))
    assert (await keys.list_keys())[0].last_used_at == NOW + timedelta(seconds=61)


async def test_what_is_no_key_is_none(keys: KeyStore) -> None:
    new, other = [await keys.create(name, ["calls:read"], now=NOW) for name in ("one", "other")]
    secret = other.text.split("_", 2)[2]
    for text in ("", "tk_", new.text[:-1], new.text + "x", f"tk_{new.key_id}_{secret}", f"tk_{'0' * 12}_{secret}", "é"):
        with pytest.raises(BadKey) as caught:
            await keys.check(text, now=NOW)
        assert text == "" or text not in str(caught.value)


async def test_a_key_ends_with_its_time_or_at_a_word(keys: KeyStore) -> None:
    brief = await keys.create("brief", ["calls:read"], now=NOW, expires_at=NOW + timedelta(days=1))
    await keys.check(brief.text, now=NOW + timedelta(hours=23))
    with pytest.raises(KeyExpired):
        await keys.check(brief.text, now=NOW + timedelta(days=1))
    lasting = await keys.create("lasting", ["calls:read"], now=NOW)
    assert await keys.revoke(lasting.key_id, now=NOW)
    assert await keys.revoke(lasting.key_id, now=NOW + timedelta(days=1)), "once more is no fault"
    assert not await keys.revoke("0" * 12, now=NOW)
    with pytest.raises(KeyRevoked):
        await keys.check(lasting.text, now=NOW)
    assert [row.revoked_at for row in await keys.list_keys() if row.name == "lasting"] == [NOW]


@pytest.mark.parametrize(
    ("name", "scopes", "fault", "told"),
    [
        ("x", ["calls:wirte"], UnknownScope, "no scope 'calls:wirte'; there are agents:read, agents:write"),
        ("x", [], UnknownScope, "good for nothing"),
        (" ", ["calls:read"], BadKeyName, "1 to 100"),
        ("a\nb", ["calls:read"], BadKeyName, "printable"),
    ],
)
async def test_a_bad_key_is_not_made(
    keys: KeyStore, name: str, scopes: list[str], fault: type[Exception], told: str
) -> None:
    with pytest.raises(fault, match=told):
        await keys.create(name, scopes, now=NOW)
    found: list[Any] = await keys.list_keys()
    assert found == []


async def test_a_rotated_key_is_good_by_both_secrets_until_the_overlap_ends(keys: KeyStore) -> None:
    first = await keys.create("desk", ["calls:read"], now=NOW, agents=["front-desk"])
    second = await keys.rotate(first.key_id, now=NOW, overlap=timedelta(hours=2))
    assert second.key_id == first.key_id
    assert second.text != first.text
    for text in (first.text, second.text):
        row = await keys.check(text, now=NOW + timedelta(minutes=119))
        assert (row.scopes, row.agents) == (["calls:read"], ["front-desk"])
    with pytest.raises(SecretReplaced):
        await keys.check(first.text, now=NOW + timedelta(hours=2))
    await keys.check(second.text, now=NOW + timedelta(hours=2))
    third = await keys.rotate(first.key_id, now=NOW, overlap=timedelta(hours=2))
    await keys.check(second.text, now=NOW)
    with pytest.raises(BadKey):
        await keys.check(first.text, now=NOW)  # only the secret before the last one is kept
    at_once = await keys.rotate(first.key_id, now=NOW, overlap=timedelta(0))
    with pytest.raises(SecretReplaced):
        await keys.check(third.text, now=NOW)
    await keys.revoke(first.key_id, now=NOW)
    for text in (at_once.text, third.text):
        with pytest.raises(KeyRevoked):
            await keys.check(text, now=NOW)


async def test_no_secret_makes_a_dead_key_good_again(keys: KeyStore) -> None:
    with pytest.raises(NoSuchKey):
        await keys.rotate("0" * 12, now=NOW, overlap=timedelta(0))
    dead = await keys.create("dead", ["calls:read"], now=NOW)
    await keys.revoke(dead.key_id, now=NOW)
    old = await keys.create("old", ["calls:read"], now=NOW, expires_at=NOW)
    for key_id, fault in ((dead.key_id, KeyRevoked), (old.key_id, KeyExpired)):
        with pytest.raises(fault):
            await keys.rotate(key_id, now=NOW, overlap=timedelta(days=1))
        with pytest.raises(fault):
            await keys.check_id(key_id, now=NOW)
    with pytest.raises(BadKey):
        await keys.check_id("0" * 12, now=NOW)


async def test_keys_are_listed_in_pages_newest_first(keys: KeyStore) -> None:
    made = [await keys.create(str(n), ["calls:read"], now=NOW + timedelta(seconds=n // 2)) for n in range(5)]
    seen: list[str] = []
    after = None
    while page := await keys.list_page(2, after=after):
        seen += [row.key_id for row in page]
        after = seen[-1]
    assert sorted(seen) == sorted(key.key_id for key in made)
    assert seen[0] == made[4].key_id
    with pytest.raises(NoSuchKey):
        await keys.list_page(2, after="0" * 12)
