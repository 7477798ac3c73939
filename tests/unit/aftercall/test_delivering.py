"""Messages on their way: signed, repeated for more than a day, and one id for each event."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlmodel import col, select
from starlette.responses import Response

from aftercall.delivering import PAUSES_SECS, WORK, Delivering
from aftercall.delivery_store import DeliveryFilter, DeliveryStore, write_deliveries
from aftercall.models import DeliveryRow
from aftercall.receivers import Receiver
from config.webhooks import WebhookEvent
from net.pinned import AddressGuard
from net.webhook_post import Answered, Message, NotPosted, WebhookPost
from simulators.loopback import LoopbackServer
from storage.engine import Database
from storage.keyset import Position
from tests.databases import make_ring
from tests.unit.aftercall.calls import make_call
from tests.unit.aftercall.receiver import SECRET, receiving
from transcripts.models import CallRow

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _begin_now() -> None:
    """A receiver believes no message that is five minutes old, and a whole suite takes longer."""
    global NOW
    NOW = datetime.now(UTC)


class Clock:
    """Time that is passed in, and the work that waits for it."""

    def __init__(self) -> None:
        self.now = NOW
        self.due: list[tuple[str, datetime]] = []

    async def schedule(self, work: str, key: str, delay_secs: float) -> None:
        assert work == WORK
        self.due.append((key, self.now + timedelta(seconds=delay_secs)))


class Desk:
    """Deliveries of one call, on a clock of the test's."""

    def __init__(self, database: Database, *hosts: str, secret_name: str | None = "CRM", url: str = "") -> None:
        self.database, self.clock = database, Clock()
        self.store = DeliveryStore(database)
        self.post = WebhookPost(AddressGuard(frozenset(hosts)), deadline_secs=2)
        self.url, self.secret_name = url or f"http://{hosts[0]}/calls", secret_name
        secrets = {"CRM": SecretStr(SECRET), "BAD": SecretStr("open sesame")}
        self.delivering = Delivering(
            self.store, self.post, secrets, None, self.clock.schedule, now=lambda: self.clock.now
        )

    async def tell(self, include: frozenset[str] = frozenset(), call_id: str = "c1") -> str:
        receiver = Receiver("e1", "front-desk", self.url, self.secret_name, frozenset(WebhookEvent), include)
        async with self.database.writer() as session:
            call = (await session.exec(select(CallRow).where(col(CallRow.call_id) == call_id))).one()
            event = WebhookEvent.CALL_ENDED
            [delivery_id] = await write_deliveries(session, [receiver], event, call, NOW, micro_usd=5)
            # What tells the same again is the same.
            assert await write_deliveries(session, [receiver], event, call, NOW) == []
        await self.delivering.begin(delivery_id)
        return delivery_id

    async def pass_time(self, secs: float) -> int:
        """Let time go by; returns how many attempts were made in it."""
        until, made = self.clock.now + timedelta(seconds=secs), 0
        while due := [entry for entry in self.clock.due if entry[1] <= until]:
            entry = min(due, key=lambda one: one[1])
            self.clock.due.remove(entry)
            self.clock.now = max(self.clock.now, entry[1])
            await self.delivering.attempt(entry[0])
            made += 1
        self.clock.now = until
        return made

    async def row(self) -> DeliveryRow:
        [row] = await self.store.list_page(DeliveryFilter(), 10)
        return row


async def test_a_receiver_that_is_down_for_an_hour_hears_of_it_once_under_one_id(database: Database) -> None:
    await make_call(database)
    async with receiving() as house:
        port, desk = int(house.host.rpartition(":")[2]), Desk(database, house.host)
    await desk.tell(frozenset({"numbers", "transcript"}))
    assert await desk.pass_time(3600) >= 5
    row = await desk.row()
    assert (row.status, row.last_status, row.last_problem) == ("pending", None, "it cannot be reached (ConnectError)")
    async with receiving(port) as house:
        house.status = 503
        # The signature holds the time of the attempt, and the library refuses what is far from its own clock.
        house.is_checked = False
        await desk.pass_time(3 * 3600)
        assert len(house.ids) >= 1
        house.status = 204
        await desk.pass_time(24 * 3600)
        assert set(house.ids) == {"msg_c1_ended"}
    row = await desk.row()
    assert (row.status, row.last_status, row.last_problem, row.next_at) == ("delivered", 204, None, None)
    assert row.attempt > 6
    assert not desk.clock.due
    await desk.post.close()


async def test_what_is_sent_is_what_the_library_of_receivers_takes(database: Database) -> None:
    await make_call(database)
    async with receiving() as house:
        desk = Desk(database, house.host)
        await desk.tell(frozenset({"numbers", "transcript"}))
        assert await desk.pass_time(1) == 1
        [message] = house.came
    data = message["data"]
    assert (message["type"], message["timestamp"]) == ("call.ended", "2026-03-01T09:01:10.000Z")
    assert (data["call_id"], data["agent"], data["from"], data["cost_micro_usd"]) == (
        "c1",
        "front-desk",
        "+15557654321",
        5,
    )
    assert (data["end_reason"], data["live_secs"]) == ("caller_hung_up", 70.0)
    assert [turn["speaker"] for turn in data["transcript"]] == ["agent", "caller"]
    assert "variables" not in data
    await desk.post.close()


async def test_it_is_given_up_after_more_than_a_day_and_replayed_when_somebody_asks(database: Database) -> None:
    await make_call(database)
    async with receiving() as house:
        house.status, desk = 500, Desk(database, house.host)
        house.is_checked = False
        delivery_id = await desk.tell()
        assert sum(PAUSES_SECS) > 24 * 3600
        assert await desk.pass_time(3 * 24 * 3600) == len(PAUSES_SECS) + 1
        row = await desk.row()
        assert (row.status, row.last_status, row.last_problem) == ("dead", 500, "answered 500")
        assert await desk.delivering.attempt(f"{delivery_id}:11") == "old news"
        house.status = 200
        assert await desk.store.replay("unknown", desk.clock.now) is None
        replayed = await desk.store.replay(delivery_id, desk.clock.now)
        assert replayed is not None
        assert (replayed.status, replayed.attempt, replayed.first_attempt) == ("pending", 12, 12)
        assert await desk.delivering.attempt(f"{delivery_id}:12") == "delivered"
        assert set(house.ids) == {"msg_c1_ended"}
    await desk.post.close()


async def test_gone_ends_it_and_a_receiver_may_say_when(database: Database) -> None:
    await make_call(database)
    async with receiving() as house:
        desk = Desk(database, house.host)
        house.answers = [Response(status_code=429, headers={"Retry-After": "600"}), Response(status_code=410)]
        await desk.tell()
        assert await desk.pass_time(599) == 1
        row = await desk.row()
        assert row.next_at is not None
        assert (row.attempt, row.next_at - NOW) == (2, timedelta(seconds=600))
        house.is_checked = False
        assert await desk.pass_time(2) == 1
        row = await desk.row()
        assert (row.status, row.last_status) == ("dead", 410)
    await desk.post.close()


NOWHERE = [
    ("http://127.0.0.1:9/", "CRM", "not sent: it would not travel over https"),
    ("https://127.0.0.1:9/", "CRM", "not sent: its host is a private address"),
    ("https://169.254.169.254/latest/meta-data", "CRM", "not sent: its host is a private address"),
    ("https://2130706433/", "CRM", "not sent: its host is an address in an odd form"),
    ("https://db.internal/", "CRM", "not sent: its host is a private name"),
    ("https://example.com/", "LOST", "not sent: the secret that signs it is not set"),
    ("https://example.com/", "BAD", "not sent: the secret that signs it is no whsec_ secret"),
]


async def test_where_nothing_is_sent(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/trunkline.db", make_ring())
    await database.connect(wait_secs=5)
    await database.migrate()
    for number, (url, secret_name, problem) in enumerate(NOWHERE):
        await make_call(database, f"c{number}", words=False)
        desk = Desk(database, url=url, secret_name=secret_name)
        delivery_id = await desk.tell(call_id=f"c{number}")
        assert await desk.pass_time(1) == 1
        row = await desk.store.get(delivery_id)
        assert row is not None
        assert (row.status, row.attempt, row.last_problem) == ("pending", 2, problem)
        await desk.post.close()
    await database.close()


async def test_redirects_are_not_followed_and_time_is_bounded() -> None:
    async with receiving() as house:
        house.answers = [Response(status_code=302, headers={"Location": house.url})]
        post = WebhookPost(AddressGuard(frozenset({house.host})), deadline_secs=0.0001)
        message = Message(house.url, SECRET, "msg_1", "{}")
        with pytest.raises(NotPosted, match="no answer within"):
            await post.send(message, datetime.now(UTC))
        await post.close()
        post = WebhookPost(AddressGuard(frozenset({house.host})))
        answer = await post.send(message, datetime.now(UTC))
        assert answer == Answered(302)
        assert not answer.is_taken
        assert len(house.ids) == 1
        await post.close()


async def test_a_secret_is_made_once_for_all_processes(database: Database) -> None:
    await make_call(database)
    async with receiving() as house:
        desk = Desk(database, house.host, secret_name=None)
        made = await desk.store.secret_of("e1", "front-desk", NOW)
        assert made == await DeliveryStore(database).secret_of("e1", "front-desk", NOW)
        assert made != await desk.store.secret_of("e2", "front-desk", NOW)
        house.secret = made
        await desk.tell()
        assert await desk.pass_time(1) == 1
        assert len(house.came) == 1
    await desk.post.close()


async def test_what_lost_its_work_is_found_and_erased_with_its_call(database: Database) -> None:
    await make_call(database)
    async with receiving() as house:
        desk = Desk(database, house.host)
        delivery_id = await desk.tell()
        desk.clock.due.clear()
        await desk.delivering.sweep()
        assert not desk.clock.due
        desk.clock.now += timedelta(seconds=90)
        await desk.delivering.sweep()
        assert [key for key, _at in desk.clock.due] == [f"{delivery_id}:1"]
        page = await desk.store.list_page(DeliveryFilter(status="pending", agent="front-desk", call_id="c1"), 1)
        last = Position(page[0].created_at, page[0].delivery_id)
        assert await desk.store.list_page(DeliveryFilter(), 1, after=last) == []
        assert await desk.store.list_page(DeliveryFilter(event="call.started"), 1) == []
        async with database.writer() as session:
            await session.delete((await session.exec(select(CallRow).where(col(CallRow.call_id) == "c1"))).one())
        assert await desk.store.get(delivery_id) is None
        assert await desk.delivering.attempt(f"{delivery_id}:1") == "old news"
        assert house.ids == []
    await desk.post.close()


async def test_the_receiver_of_the_documentation_takes_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    source = page.split("```python\n")[1].split("```")[0]
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    told: list[tuple[object, ...]] = []
    scope: dict[str, object] = {"print": lambda *what: told.append(what)}
    exec(source, scope)
    async with LoopbackServer(scope["app"], name="the documentation's receiver") as server:
        post = WebhookPost(AddressGuard(frozenset({f"127.0.0.1:{server.port}"})))
        url, body = f"http://127.0.0.1:{server.port}/calls", '{"type":"call.ended","data":{"call_id":"c1"}}'
        assert (await post.send(Message(url, SECRET, "msg_1", body), datetime.now(UTC))).status == 204
        other = "whsec_" + "b3Ro" * 8
        assert (await post.send(Message(url, other, "msg_2", body), datetime.now(UTC))).status == 500
        await post.close()
    assert told == [("msg_1", "call.ended", "c1")]
