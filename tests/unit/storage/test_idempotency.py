"""Requests with an Idempotency-Key in the database: one is carried out, answers are given again for a day."""

import asyncio
from datetime import UTC, datetime, timedelta

from sqlmodel import text

from storage.engine import Database
from storage.idempotency import AT_MOST, KEPT, Claim, KeptAnswer, RepeatStore, Why

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


async def test_of_any_number_one_is_carried_out_and_its_answer_kept_for_a_day(database: Database) -> None:
    store = RepeatStore(database)
    found = await asyncio.gather(*(store.claim("k1", "POST /v1/x", "a", "h", now=NOW) for _ in range(8)))
    (claim,) = [one for one in found if isinstance(one, Claim)]
    assert found.count(Why.UNDER_WAY) == 7
    assert await store.claim("k1", "POST /v1/x", "a", "other", now=NOW) is Why.OTHER_REQUEST
    assert isinstance(await store.claim("k2", "POST /v1/x", "a", "h", now=NOW), Claim)
    assert isinstance(await store.claim("k1", "POST /v1/y", "a", "h", now=NOW), Claim)
    answer = KeptAnswer(201, {"content-type": "application/json"}, '{"name": "Zoë"}'.encode())
    await store.keep(claim, answer)
    assert await store.claim("k1", "POST /v1/x", "a", "h", now=NOW + KEPT - timedelta(seconds=1)) == answer
    async with database.reader() as session:
        rows = (await (await session.connection()).execute(text("SELECT * FROM idempotent_requests"))).all()
    assert not [word for word in ("Zoë", "application/json", "/v1/x") if word in str(rows)]
    later = NOW + KEPT
    assert isinstance(await store.claim("k1", "POST /v1/x", "a", "h", now=later), Claim)
    assert await store.purge(later) == 2
    assert await store.purge(later + KEPT) == 1


async def test_a_request_whose_process_died_is_carried_out_again_after_a_while(database: Database) -> None:
    store = RepeatStore(database)
    dead = await store.claim("", "POST /v1/x", "a", "h", now=NOW)
    assert isinstance(dead, Claim)
    assert await store.claim("", "POST /v1/x", "a", "h", now=NOW + AT_MOST - timedelta(seconds=1)) is Why.UNDER_WAY
    heir = await store.claim("", "POST /v1/x", "a", "h", now=NOW + AT_MOST)
    assert isinstance(heir, Claim)
    await store.keep(dead, KeptAnswer(200, {}, b"too late"))
    await store.release(dead)
    assert await store.claim("", "POST /v1/x", "a", "h", now=NOW + AT_MOST) is Why.UNDER_WAY
    await store.release(heir)
    assert isinstance(await store.claim("", "POST /v1/x", "a", "h", now=NOW + AT_MOST), Claim)


async def test_an_answer_about_a_call_is_erased_with_it(database: Database) -> None:
    store = RepeatStore(database)
    claims = [await store.claim("k1", "POST /v1/calls/c1/hang-up", key, "h", now=NOW) for key in ("a", "b")]
    insert = "INSERT INTO calls (call_id, agent_name, direction, status, variables, created_at, recording_status)"
    async with database.writer() as session:
        connection = await session.connection()
        values = "VALUES ('c1', 'a', 'browser', 'ringing', '{}', '2026-03-01 09:00:00', 'none')"
        await connection.execute(text(f"{insert} {values}"))
    for claim, call_id in zip(claims, ("c1", "gone"), strict=True):
        assert isinstance(claim, Claim)
        await store.keep(claim, KeptAnswer(200, {}, b"{}"), call_id)
    async with database.writer() as session:
        await (await session.connection()).execute(text("DELETE FROM calls"))
        left = (await (await session.connection()).execute(text("SELECT call_id FROM idempotent_requests"))).all()
    assert [tuple(row) for row in left] == [(None,)], "the one of a call that there is not"
