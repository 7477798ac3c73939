"""Webhooks from the command line: the database opened for one errand, and what came of it as lines of text."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from sqlmodel import col, select

from aftercall.delivery_store import DeliveryFilter, DeliveryStore
from aftercall.models import DeliveryRow, WebhookSecretRow
from config.settings import Settings
from storage.engine import Database
from storage.errand import open_database


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


async def list_newer(settings: Settings, than: datetime | None) -> list[DeliveryRow]:
    """List deliveries that were written after a moment (aware), oldest first; None: the last ten. Raises as above."""
    async with open_deliveries(settings) as (_database, store):
        rows = await store.list_page(DeliveryFilter(), 10 if than is None else 200)
    return [row for row in reversed(rows) if than is None or row.created_at > than]


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
