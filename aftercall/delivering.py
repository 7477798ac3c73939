"""Messages sent to their receivers, again and again for more than a day, by whichever process lives."""

import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from loguru import logger
from pydantic import SecretStr

from aftercall.delivery_store import DeliveryStore
from aftercall.models import DeliveryRow, DeliveryStatus
from aftercall.receivers import SERVER
from config.signing_secret import key_of_secret
from net.webhook_post import Answered, Message, NotPosted
from telemetry import metrics
from telemetry.request_note import note_call

WORK = "deliver a webhook"
"""What the work is called where it is kept; that of earlier versions waits under this name."""
PAUSES_SECS = (5, 30, 120, 600, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 12 * 3600)
"""Between one attempt and the next: 11 attempts in 28 hours."""
_JITTER = 0.2
_GONE = 410
_LATE = timedelta(seconds=60)
"""What is due for so long has lost the work that was to do it."""
_SWEPT_AT_ONCE = 200


class Posts(Protocol):
    """Who sends a message; `net.webhook_post.WebhookPost`."""

    async def send(self, message: Message, now: datetime) -> Answered:
        """Send it. Raises `NotPosted`."""
        ...


Schedule = Callable[[str, str, float], Awaitable[None]]
"""`schedule(work, key, delay_secs)`: have durable work done."""


class Delivering:
    """Sends what is due. What is to be sent, and how it stands, is in the table; durable work only says when."""

    def __init__(
        self,
        store: DeliveryStore,
        post: Posts,
        secrets: Mapping[str, SecretStr],
        server_secret: SecretStr | None,
        schedule: Schedule,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take where deliveries are kept, who sends, the operator's secrets by name, and who keeps the time."""
        self._store, self._post, self._schedule, self._now = store, post, schedule, now
        self._secrets, self._server_secret = secrets, server_secret

    async def begin(self, delivery_id: str, attempt: int = 1, delay_secs: float = 0.0) -> None:
        """Have an attempt made in so many seconds. When that cannot be written down now, a sweep finds it later."""
        await self._schedule(WORK, f"{delivery_id}:{attempt}", delay_secs)

    async def attempt(self, key: str) -> str:
        """Make the attempt that the key names: a step of durable work. Made twice, the receiver is told one id twice.

        Raises:
            DatabaseAway: it is to be repeated.
        """
        delivery_id, _, number = key.partition(":")
        row = await self._store.get(delivery_id)
        if row is None or row.status != DeliveryStatus.PENDING or row.attempt != int(number):
            return "old news"
        note_call(row.call_id)
        try:
            secret = await self._secret_of(row)
            answer = await self._post.send(Message(row.url, secret, row.message_id, row.payload), self._now())
        except NotPosted as error:
            return await self._failed(row, None, str(error), None)
        if answer.is_taken:
            if await self._store.note_delivered(delivery_id, row.attempt, answer.status, self._now()):
                metrics.WEBHOOKS_TOTAL.labels(outcome="delivered").inc()
            return "delivered"
        return await self._failed(row, answer.status, f"answered {answer.status}", answer.wait_secs)

    async def replay(self, delivery_id: str) -> DeliveryRow | None:
        """Have a message sent again at once; returns how it stands then, None when there is none of that id."""
        row = await self._store.replay(delivery_id, self._now())
        if row is not None:
            await self.begin(delivery_id, row.attempt)
        return row

    async def sweep(self) -> None:
        """Have done what is due and has been for a while. Raises `DatabaseAway`."""
        for delivery_id, attempt in await self._store.list_due(self._now() - _LATE, _SWEPT_AT_ONCE):
            await self.begin(delivery_id, attempt)

    async def _failed(self, row: DeliveryRow, status: int | None, problem: str, wait_secs: float | None) -> str:
        now = self._now()
        pause_secs = None if status == _GONE else _pause_secs(row.attempt - row.first_attempt, wait_secs)
        next_at = None if pause_secs is None else now + timedelta(seconds=pause_secs)
        if not await self._store.note_failed(row.delivery_id, row.attempt, next_at, now, status, problem):
            return "old news"
        bound = logger.bind(delivery_id=row.delivery_id, call_id=row.call_id, attempt=row.attempt, problem=problem)
        if pause_secs is None:
            metrics.WEBHOOKS_TOTAL.labels(outcome="dead").inc()
            bound.error("a webhook was given up; replay it when its receiver is well again")
            return "dead"
        metrics.WEBHOOKS_TOTAL.labels(outcome="failed").inc()
        bound.warning("a webhook was not taken; it is sent again later")
        await self.begin(row.delivery_id, row.attempt + 1, pause_secs)
        return "later"

    async def _secret_of(self, row: DeliveryRow) -> str:
        """Return what signs a message. Raises `NotPosted` while there is no usable one."""
        if row.secret_name is not None:
            secret = self._secrets.get(row.secret_name)
        elif row.endpoint_id == SERVER and self._server_secret is not None:
            secret = self._server_secret
        else:
            owner = "" if row.endpoint_id == SERVER else row.agent_name
            return await self._store.secret_of(row.endpoint_id, owner, self._now())
        if secret is None:
            raise NotPosted("not sent: the secret that signs it is not set")
        try:
            key_of_secret(secret.get_secret_value())
        except ValueError as error:
            raise NotPosted("not sent: the secret that signs it is no whsec_ secret") from error
        return secret.get_secret_value()


def _pause_secs(failed_before: int, asked_secs: float | None) -> float | None:
    """Return how long to wait after an attempt that has failed, after so many others; None: no more attempts."""
    if failed_before >= len(PAUSES_SECS):
        return None
    pause_secs = PAUSES_SECS[failed_before] * random.uniform(1 - _JITTER, 1 + _JITTER)
    return max(pause_secs, asked_secs or 0.0)
