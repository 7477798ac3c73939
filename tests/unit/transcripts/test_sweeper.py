"""Calls of the dead are closed, calls of the living are not, whoever looks and however many look at once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from storage.engine import Database
from storage.errors import DatabaseAway
from telemetry import metrics
from tests.unit.transcripts.calls import make_call
from transcripts.backlog import Backlog
from transcripts.call import CallEvent, EndReason, Speaker, Turn
from transcripts.instance import Instance, InstanceLocks
from transcripts.log import LogWriter
from transcripts.models import CallRow
from transcripts.owners import Owners
from transcripts.store import CallStore
from transcripts.sweeper import DeathWatch, Sweeper

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


def _instance(name: str) -> Instance:
    return Instance(name, "host", NOW)


def _counted(reason: str, registry: CollectorRegistry = metrics.REGISTRY) -> float:
    found = [sample for metric in registry.collect() for sample in metric.samples]
    ends = [each for each in found if each.name == "trunkline_calls_total" and each.labels["end_reason"] == reason]
    return sum(each.value for each in ends)


@pytest.fixture
def store(database: Database) -> CallStore:
    return CallStore(database)


@pytest.fixture
def owners(database: Database) -> Owners:
    return Owners(database)


@pytest.fixture
def locks(tmp_path: Path) -> InstanceLocks:
    return InstanceLocks(tmp_path / "instances")


@pytest.fixture
def make_sweeper(store: CallStore, owners: Owners, locks: InstanceLocks, tmp_path: Path) -> Callable[[str], Sweeper]:
    def make(name: str, ringing_secs: float = 1e9) -> Sweeper:
        backlog = Backlog(tmp_path / "log-backlog", name, store)
        return Sweeper(name, owners, locks, backlog, ringing_secs=ringing_secs)

    return make


GoLive = Callable[[str, str], Awaitable[CallRow]]


@pytest.fixture
def go_live(store: CallStore) -> GoLive:
    async def go(call_id: str, owner: str) -> CallRow:
        await store.open_call(make_call(call_id, f"CA{call_id}"))
        assert await store.go_live(call_id, owner=owner)
        row = await store.get_call(call_id)
        assert row is not None
        return row

    return go


async def test_calls_of_a_dead_process_are_closed_and_those_of_the_living_are_not(
    store: CallStore, owners: Owners, locks: InstanceLocks, make_sweeper: Callable[..., Sweeper], go_live: GoLive
) -> None:
    alive = locks.hold("alive-1-a")
    locks.release("dead-1-a", locks.hold("dead-1-a"), is_proof_needed=True)
    for name in ("alive-1-a", "dead-1-a"):
        await owners.announce(_instance(name))
    before = await go_live("c1", "dead-1-a")
    await go_live("c2", "alive-1-a")
    await go_live("c3", "me")
    await store.add_turn("c1", 0, Turn(Speaker.AGENT, "Good morning.", 200, 1400))
    await store.add_events("c1", 0, [CallEvent("call.live", 0), CallEvent("turn.agent", 200)])
    counted = _counted("server_crashed")
    closed = await make_sweeper("me").sweep(0.0)
    assert [(row.call_id, row.status, row.end_reason) for row in closed] == [("c1", "ended", "server_crashed")]
    assert before.live_at is not None
    assert closed[0].ended_at == before.live_at + timedelta(milliseconds=1400)
    assert await store.get_call("c1") == closed[0]
    assert [(event.kind, event.at_ms, event.data) for event in await store.list_events("c1")] == [
        ("call.live", 0, {}),
        ("turn.agent", 200, {}),
        ("server_crashed", 1400, {"owner": "dead-1-a"}),
    ]
    assert _counted("server_crashed") == counted + 1
    for call_id in ("c2", "c3"):
        row = await store.get_call(call_id)
        assert row is not None
        assert row.status == "live"
    assert locks.names() == {"alive-1-a"}
    assert await make_sweeper("me").sweep(1.0) == []
    locks.release("alive-1-a", alive, is_proof_needed=False)


async def test_one_process_is_judged_at_once_when_somebody_asks(
    store: CallStore, owners: Owners, locks: InstanceLocks, make_sweeper: Callable[..., Sweeper], go_live: GoLive
) -> None:
    alive = locks.hold("alive-1-a")
    locks.release("dead-1-a", locks.hold("dead-1-a"), is_proof_needed=True)
    for number, owner in enumerate(["alive-1-a", "dead-1-a", "elsewhere-1-a", "me"]):
        await owners.announce(_instance(owner))
        await go_live(f"c{number}", owner)
    counted, sweeper = _counted("server_crashed"), make_sweeper("me")
    for owner in ("alive-1-a", "elsewhere-1-a", "me", "nobody", "no name"):
        assert not await sweeper.close_calls_if_dead(owner)
    assert await sweeper.close_calls_if_dead("dead-1-a")
    assert await sweeper.close_calls_if_dead("dead-1-a"), "and again: nothing is left to close"
    rows = [await store.get_call(f"c{number}") for number in range(4)]
    assert [row and row.end_reason for row in rows] == [None, "server_crashed", None, None]
    assert _counted("server_crashed") == counted + 1
    locks.release("alive-1-a", alive, is_proof_needed=False)


async def test_of_many_who_sweep_at_once_one_closes_each_call(
    store: CallStore, locks: InstanceLocks, make_sweeper: Callable[..., Sweeper], go_live: GoLive
) -> None:
    locks.release("dead-1-a", locks.hold("dead-1-a"), is_proof_needed=True)
    for number in range(10):
        await go_live(f"c{number}", "dead-1-a")
    sweepers = [make_sweeper(f"p{number}") for number in range(8)]
    swept = [await sweep for sweep in asyncio.as_completed([sweeper.sweep(0.0) for sweeper in sweepers])]
    assert sorted(row.call_id for rows in swept for row in rows) == [f"c{number}" for number in range(10)]
    for number in range(10):
        assert [event.kind for event in await store.list_events(f"c{number}")] == ["server_crashed"]


async def test_without_a_lock_here_three_minutes_without_a_sign_of_life_are_the_proof(
    store: CallStore, owners: Owners, make_sweeper: Callable[..., Sweeper], go_live: GoLive
) -> None:
    """The signs' own clock is an hour slow, or fast: only their changes count."""
    for name in ("silent", "beating"):
        await owners.announce(_instance(name))
    await go_live("c1", "silent")
    await go_live("c2", "beating")
    await go_live("c3", "never-announced")
    sweeper = make_sweeper("me")
    for now_secs in range(0, 180, 30):
        assert await sweeper.sweep(now_secs) == []
        await owners.beat("beating")
    assert [row.call_id for row in await sweeper.sweep(180.0)] == ["c3", "c1"]
    row = await store.get_call("c2")
    assert row is not None
    assert row.status == "live"


async def test_one_that_says_that_it_has_ended_holds_no_call(
    owners: Owners, make_sweeper: Callable[..., Sweeper], go_live: GoLive
) -> None:
    await owners.announce(_instance("gone"))
    await go_live("c1", "gone")
    await owners.farewell("gone")
    assert [row.call_id for row in await make_sweeper("me").sweep(0.0)] == ["c1"]


async def test_an_owner_who_was_taken_for_dead_knows_better(
    database: Database, store: CallStore, make_sweeper: Callable[..., Sweeper], go_live: GoLive
) -> None:
    """It was cut off from the database for minutes, and its log comes late."""
    writer = LogWriter(store)
    await writer.start()
    await go_live("c1", "cut-off")
    log = writer.open("c1")
    log.event("call.live", 0)
    assert await log.flush()
    sweeper = make_sweeper("me")
    for now_secs in range(0, 200, 20):
        await sweeper.sweep(now_secs)
    row = await store.get_call("c1")
    assert row is not None
    assert row.end_reason == "server_crashed"
    log.event("call.ended", 5000)
    log.finish(EndReason.BOT_ENDED)
    assert await log.flush()
    row = await store.get_call("c1")
    assert row is not None
    assert row.end_reason == "bot_ended"
    assert [event.kind for event in await store.list_events("c1")] == ["call.live", "server_crashed", "call.ended"]
    again = writer.open("c1")
    again.finish(EndReason.SERVER_CRASHED)  # told again, for example by whoever rescues the caller
    assert await again.flush()
    row = await store.get_call("c1")
    assert row is not None
    assert row.end_reason == "bot_ended"
    await writer.close()


async def test_calls_that_were_never_connected(
    store: CallStore, make_sweeper: Callable[..., Sweeper], go_live: GoLive
) -> None:
    now = datetime.now(UTC)
    await store.open_call(make_call("old", "CA1", started_at=now - timedelta(seconds=301)))
    await store.open_call(make_call("new", "CA2", started_at=now - timedelta(seconds=290)))
    closed = await make_sweeper("me", ringing_secs=300).sweep(0.0)
    assert [(row.call_id, row.end_reason) for row in closed] == [("old", "never_connected")]
    assert closed[0].ended_at == closed[0].created_at
    assert not await store.go_live("old")
    assert await store.go_live("new")


async def test_live_calls_that_name_no_owner_are_left_for_a_day(
    database: Database, store: CallStore, owners: Owners
) -> None:
    await store.open_call(make_call())
    assert await store.go_live("c1")
    now = datetime.now(UTC)
    assert await owners.close_abandoned(now + timedelta(hours=23), 1e9) == []
    closed = await owners.close_abandoned(now + timedelta(hours=25), 1e9)
    assert [(row.call_id, row.end_reason) for row in closed] == [("c1", "server_crashed")]


async def test_who_must_know_is_told_and_the_sweeper_gives_signs_of_life(
    owners: Owners, locks: InstanceLocks, make_sweeper: Callable[..., Sweeper], go_live: GoLive
) -> None:
    locks.release("dead-1-a", locks.hold("dead-1-a"), is_proof_needed=True)
    await owners.announce(_instance("me"))
    await go_live("c1", "dead-1-a")
    told: asyncio.Queue[list[CallRow]] = asyncio.Queue()
    async with make_sweeper("me").sweeping(told.put):
        assert [row.call_id for row in await asyncio.wait_for(told.get(), 10)] == ["c1"]
        async with asyncio.timeout(10):
            while (await owners.read_signs(["me"]))["me"].heartbeat_at == NOW:  # noqa: ASYNC110 - a database has no event
                await asyncio.sleep(0.02)
    assert not [task for task in asyncio.all_tasks() if task.get_name() in {"sweeper", "tell of closed calls"}]


async def test_a_sweep_while_the_database_is_away_says_so_and_judges_nobody(
    database: Database, make_sweeper: Callable[..., Sweeper], tmp_path: Path
) -> None:
    nowhere = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(DatabaseAway):
        await nowhere.connect(wait_secs=0)
    store = CallStore(nowhere)
    sweeper = Sweeper(
        "me",
        Owners(nowhere),
        InstanceLocks(tmp_path / "instances"),
        Backlog(tmp_path / "log-backlog", "me", store),
        ringing_secs=1,
    )
    with pytest.raises(DatabaseAway):
        await sweeper.sweep(0.0)
    async with sweeper.sweeping():
        await asyncio.sleep(0.3)
        assert [task for task in asyncio.all_tasks() if task.get_name() == "sweeper"]
    await nowhere.close()


def _look(watch: DeathWatch, now_secs: float, **signs: int | None) -> set[str]:
    known: dict[str, Any] = {name: None if sign is None else NOW + timedelta(sign) for name, sign in signs.items()}
    return watch.look(known, now_secs)


def test_the_watch_is_uninterrupted_or_proves_nothing() -> None:
    watch = DeathWatch()
    for now_secs in range(0, 180, 10):
        assert _look(watch, now_secs, a=1, b=now_secs) == set()
    assert _look(watch, 180, a=1, b=0) == {"a"}
    watch.interrupt()
    for now_secs in range(190, 370, 10):
        assert _look(watch, now_secs, a=1, b=0) == set()
    assert _look(watch, 370, a=1, b=0) == {"a", "b"}
    # Nobody looked for a while: this process was stopped, for example, and then everything seems to stand still.
    assert _look(watch, 431, a=1, b=0) == set()
    assert _look(watch, 441, a=2) == set()
    assert _look(watch, 451, a=2, b=0) == set()
    for now_secs in range(461, 621, 10):
        assert _look(watch, now_secs, a=2, b=0) == set()
    assert _look(watch, 621, a=2, b=0) == {"a"}
    assert _look(watch, 631, a=2, b=0) == {"a", "b"}


class _OtherWork:
    """Durable work as the sweeper sees it: who holds some, and whose was taken over."""

    def __init__(self, holders: set[str], names: Callable[[], set[str]]) -> None:
        self._holders, self._names = holders, names
        self.taken: list[tuple[str, bool]] = []
        self.is_away = False

    async def list_executors(self) -> set[str]:
        return set(self._holders)

    async def take_over(self, executor: str) -> None:
        if self.is_away:
            raise DatabaseAway("away")
        self.taken.append((executor, executor in self._names()))
        self._holders.discard(executor)


async def test_the_dead_are_relieved_of_their_other_work_while_their_lock_is_there_as_proof(
    store: CallStore, owners: Owners, locks: InstanceLocks, tmp_path: Path
) -> None:
    alive = locks.hold("alive-1-a")
    locks.release("dead-1-a", locks.hold("dead-1-a"), is_proof_needed=True)
    # This one ended in order, with work that it had begun.
    await owners.announce(_instance("ended-1-a"))
    await owners.farewell("ended-1-a")
    work = _OtherWork({"me", "alive-1-a", "dead-1-a", "ended-1-a"}, locks.names)
    backlog = Backlog(tmp_path / "log-backlog", "me", store)
    sweeper = Sweeper("me", owners, locks, backlog, work, ringing_secs=1e9)
    work.is_away = True
    with pytest.raises(DatabaseAway):
        await sweeper.sweep(0.0)
    assert locks.names() == {"alive-1-a", "dead-1-a"}, "what proves the death is there until the next sweep"
    work.is_away = False
    await sweeper.sweep(1.0)
    assert work.taken == [("dead-1-a", True), ("ended-1-a", False)]
    assert locks.names() == {"alive-1-a"}
    await sweeper.sweep(2.0)
    assert len(work.taken) == 2
    locks.release("alive-1-a", alive, is_proof_needed=False)
