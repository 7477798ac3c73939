"""`cli.py webhooks`: its verbs over a SQLite file and over PostgreSQL, on the rows that a server has left."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from aftercall.delivery_store import DeliveryStore, write_deliveries
from aftercall.receivers import Receiver
from aftercall.webhook_desk import open_deliveries
from config.settings import Settings
from config.webhooks import WebhookEvent
from storage.engine import Database
from tests.databases import database_url
from tests.unit.aftercall.calls import BEGAN, CALLER, make_call
from tests.unit.api.test_cli import environment, invoke, own_logs
from transcripts.models import CallRow

__all__ = ["database_url", "environment", "own_logs"]

Found = TypeVar("Found")
NOW = BEGAN + timedelta(minutes=5)


@pytest.fixture
def place(environment: dict[str, str], database_url: str) -> dict[str, str]:
    return {**environment, "TRUNKLINE_DATABASE_URL": database_url}


@pytest.fixture
def office(settings: Settings, database_url: str) -> Callable[[Callable[..., Coroutine[Any, Any, Found]]], Found]:
    """Run something in the server's database, as the server would."""
    here = settings.model_copy(update={"database_url": database_url})

    def run(work: Callable[..., Coroutine[Any, Any, Found]]) -> Found:
        async def errand() -> Found:
            async with open_deliveries(here) as (database, store):
                return await work(database, store)

        return asyncio.run(errand())

    return run


async def tell(database: Database, call_id: str, agent: str, at: datetime, url: str) -> str:
    """A call that ended, and the message of it for one receiver."""
    await make_call(database, call_id, agent=agent)
    receiver = Receiver(f"of-{agent}", agent, url, None, frozenset({WebhookEvent.CALL_ENDED}), frozenset({"numbers"}))
    async with database.writer() as session:
        call = await session.get(CallRow, call_id)
        assert call is not None
        [delivery_id] = await write_deliveries(session, [receiver], WebhookEvent.CALL_ENDED, call, at)
    return delivery_id


def test_deliveries_are_listed_replayed_and_their_secrets_shown(place: dict[str, str], office: Any) -> None:
    assert invoke(place, "webhooks", "list").stdout == "There are none.\n"
    assert "None was made" in invoke(place, "webhooks", "secrets").stdout

    async def fill(database: Database, store: DeliveryStore) -> tuple[str, str, str, str]:
        dead = await tell(database, "c1", "front-desk", NOW, "https://crm.example.com/calls")
        done = await tell(database, "c2", "front-desk", NOW + timedelta(seconds=1), "https://crm.example.com/calls")
        waiting = await tell(database, "c3", "clinic", NOW + timedelta(seconds=2), "https://clinic.example.com/")
        assert await store.note_failed(dead, 1, None, NOW, 500, "")
        assert await store.note_delivered(done, 1, 204, NOW)
        assert await store.note_failed(waiting, 1, NOW + timedelta(hours=1), NOW, None, "it could not be reached")
        return dead, done, waiting, await store.secret_of("of-clinic", "clinic", NOW)

    dead, done, waiting, secret = office(fill)
    line_of = {
        dead: f"2026-03-01 09:05:00  {dead}  call.ended     dead        1  front-desk  https://crm.example.com/calls"
        "  answered 500",
        done: f"2026-03-01 09:05:01  {done}  call.ended     delivered   1  front-desk  https://crm.example.com/calls"
        "  answered 204",
        waiting: f"2026-03-01 09:05:02  {waiting}  call.ended     pending     2  clinic  https://clinic.example.com/"
        "  it could not be reached",
    }

    def listed(*options: str) -> list[str]:
        result = invoke(place, "webhooks", "list", *options)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout.splitlines()

    assert listed() == [line_of[waiting], line_of[done], line_of[dead]]
    assert listed("--status", "dead") == [line_of[dead]]
    assert listed("--status", "pending", "--agent", "front-desk") == ["There are none."]
    assert listed("--agent", "front-desk", "--limit", "1") == [line_of[done]]
    assert CALLER not in "".join(listed())
    for wrong in (("--status", "lost"), ("--limit", "0"), ("--limit", "1001")):
        assert invoke(place, "webhooks", "list", *wrong).exit_code == 2
    assert invoke(place, "webhooks", "secrets").stdout == f"of-clinic         clinic                    {secret}\n"

    # A dead letter, and one that its receiver has lost: both are due at once, under the id that they had.
    for number in (dead, done):
        result = invoke(place, "webhooks", "replay", number)
        assert result.exit_code == 0, result.output
        assert f"{number}  call.ended     pending     2  front-desk" in result.stdout
        assert result.stdout.endswith("The running server sends it within two minutes.\n")
    unknown = invoke(place, "webhooks", "replay", "nothing")
    assert (unknown.exit_code, unknown.stdout) == (2, "")
    assert unknown.stderr == "There is no delivery nothing; list them with: cli.py webhooks list\n"

    async def look(_database: Database, store: DeliveryStore) -> list[Any]:
        due = await store.list_due(datetime.now(UTC) + timedelta(seconds=1), 9)
        rows = [await store.get(number) for number, _attempt in due]
        return [(row.delivery_id, row.message_id, row.attempt, row.first_attempt, row.ended_at) for row in rows if row]

    assert sorted(office(look)) == sorted(
        [
            (dead, "msg_c1_ended", 2, 2, None),
            (done, "msg_c2_ended", 2, 2, None),
            (waiting, "msg_c3_ended", 2, 1, None),
        ]
    )


def test_tail_shows_each_delivery_once(place: dict[str, str], office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://crm.example.com/calls"
    first: list[str] = [
        office(lambda database, _store, n=n: tell(database, f"c{n}", "front-desk", NOW + timedelta(seconds=n), url))
        for n in range(2)
    ]
    rounds: Iterator[int] = iter(range(9))

    def pause(_secs: float) -> None:
        number = next(rounds)
        if number == 0:
            # Two at one moment, as one transaction writes them; of an agent with two receivers, say.
            for n in (2, 3):
                first.append(office(lambda database, _store, n=n: tell(database, f"c{n}", "front-desk", later, url)))
        elif number == 1:
            # Begun before, and written by another machine only now.
            first.append(office(lambda database, _store: tell(database, "c4", "front-desk", earlier, url)))
        elif number == 3:
            raise KeyboardInterrupt

    later, earlier = NOW + timedelta(seconds=60), NOW + timedelta(seconds=55)
    monkeypatch.setattr("verbs.webhooks.time.sleep", pause)
    result = invoke(place, "webhooks", "tail")
    assert result.exit_code == 0, result.output
    shown = [line.split()[2] for line in result.stdout.splitlines()]
    assert [shown[:2], sorted(shown[2:4]), shown[4:]] == [first[:2], sorted(first[2:4]), first[4:]]


def test_a_database_that_is_away_ends_every_verb_with_3(environment: dict[str, str]) -> None:
    away = {"TRUNKLINE_DATABASE_URL": "postgresql://x@127.0.0.1:9/x", "TRUNKLINE_DATABASE_WAIT_SECS": "0"}
    for arguments in (("list",), ("replay", "x"), ("tail",), ("secrets",)):
        result = invoke(environment, "webhooks", *arguments, **away)
        assert (result.exit_code, result.stdout) == (3, ""), arguments
        assert "127.0.0.1:9" in result.stderr
        assert "Traceback" not in result.stderr
