"""Webhooks from the command line: the database opened for one errand, and what came of it as lines of text."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from sqlmodel import col, select

from aftercall.delivery_store import DeliveryFilter, DeliveryStore
from aftercall.models import DeliveryRow, WebhookSecretRow
from config.settings import Settings
from storage.engine import Database
from storage.errand import open_database

_FIRST_SHOWN = 10
_LOOKED_AT = 1000
_LATEST = timedelta(minutes=1)
"""How long after its moment a row may yet be written: its transaction is as long, and clocks differ."""


class NoSuchDelivery(Exception):
    """There is no such delivery."""


@asynccontextmanager
async def open_deliveries(settings: Settings) -> AsyncGenerator[tuple[Database, DeliveryStore]]:
    """Yield the deliveries of the server with these settings. Raises `storage.errors` when that cannot be."""
    async with open_database(settings) as database:
        yield database, DeliveryStore(database)


async def list_deliveries(settings: Settings, status: str | None, agent: str | None, limit: int) -> str:
    """Return a table of deliveries, newest first. Raises as `open_deliveries`."""
    async with open_deliveries(settings) as (_database, store):
        rows = await store.list_page(DeliveryFilter(status=status, agent=agent), limit)
    return "\n".join(map(as_line, rows)) or "There are none."


async def replay_delivery(settings: Settings, delivery_id: str) -> str:
    """Have a message sent again by the running server, under the same id. Raises `NoSuchDelivery`, and as above."""
    async with open_deliveries(settings) as (_database, store):
        row = await store.replay(delivery_id, datetime.now(UTC))
    if row is None:
        raise NoSuchDelivery(f"There is no delivery {delivery_id}; list them with: cli.py webhooks list")
    return f"{as_line(row)}\nThe running server sends it within two minutes."


class Tail:
    """The last ten deliveries, and from then on each new one once, however late its transaction ended."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings of the server."""
        self._settings = settings
        self._seen: set[str] = set()
        self._newest_at: datetime | None = None

    async def look(self) -> list[DeliveryRow]:
        """List what is new, oldest first. Raises as `open_deliveries`."""
        async with open_deliveries(self._settings) as (_database, store):
            rows = await store.list_page(DeliveryFilter(), _LOOKED_AT)
        if self._newest_at is None:
            new = rows[:_FIRST_SHOWN]
        else:
            # What falls out of the list lets older rows in: those are no news.
            from_at = self._newest_at - _LATEST
            new = [row for row in rows if row.delivery_id not in self._seen and row.created_at > from_at]
        self._seen = {row.delivery_id for row in rows}
        self._newest_at = rows[0].created_at if rows else self._newest_at or datetime.min.replace(tzinfo=UTC) + _LATEST
        return new[::-1]


async def list_secrets(settings: Settings) -> str:
    """Return the secrets that were made, with the agents they are of. Raises as `open_deliveries`."""
    async with open_deliveries(settings) as (database, _store), database.reader() as session:
        rows = (await session.exec(select(WebhookSecretRow).order_by(col(WebhookSecretRow.agent_name)))).all()
    lines = [f"{row.endpoint_id:16}  {row.agent_name or '(all agents)':24}  {row.secret}" for row in rows]
    return "\n".join(lines) or "None was made: a secret is made with the first message to a receiver that has none."


def as_line(row: DeliveryRow) -> str:
    """Return a delivery as a line."""
    what = row.last_problem or ("" if row.last_status is None else f"answered {row.last_status}")
    parts = (f"{row.created_at:%Y-%m-%d %H:%M:%S}", row.delivery_id, f"{row.event:13}", f"{row.status:9}")
    return "  ".join([*parts, f"{row.attempt:2}", row.agent_name, row.url, what]).rstrip()
