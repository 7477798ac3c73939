"""The pen that routes write the audit log with: who changed what, and who heard which recording."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.requests import HTTPConnection

from api.addresses import address_of
from api.asking import actor_of
from api.patience import database_in_time
from api.secret_key import derive
from config.setting_kinds import Network
from storage.audit import Actor, ActorKind, AuditFilter, AuditRow, AuditStore

_PURPOSE = "addresses in the audit log"


class Audit:
    """Writes the audit log. A route writes before it answers, and before it hands out a recording."""

    def __init__(self, store: AuditStore, secret: bytes, trusted: Sequence[Network] = ()) -> None:
        """Take where entries are kept, the server's own secret, and the proxies that say where a request is from."""
        self._store = store
        self._key = derive(secret, _PURPOSE)
        self._trusted = trusted

    async def note(
        self,
        actor: str | Actor,
        action: str,
        subject_kind: str,
        subject_id: str,
        *,
        request: HTTPConnection | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down that somebody did something.

        Args:
            actor: what the route's `needs(...)` told: a key's id, or `OPEN`; what `request` knows of it goes first.
            action: what was done, resource and verb: `agents.publish`.
            subject_kind: to what: `agent`.
            subject_id: to which one. Never a telephone number: a person is named by the number's keyed hash.
            request: the request that asked for it; its id and the hash of its address are kept.
            detail: what else will be wanted, nothing of which is of a person.

        Raises:
            DatabaseAway: nothing was written.
            ValueError: a telephone number as the subject, or more than 4 KiB of detail.
        """
        who = (actor_of(request) if request is not None else None) or _named(actor)
        async with database_in_time():
            await self._store.add(
                who,
                action,
                subject_kind,
                subject_id,
                at=datetime.now(UTC),
                request_id=None if request is None else getattr(request.state, "request_id", None),
                address_index=None if request is None else self.index(address_of(request, self._trusted)),
                detail=detail,
            )

    async def entries(self, wanted: AuditFilter, limit: int, *, before: int | None = None) -> list[AuditRow]:
        """List entries, see `AuditStore.list_entries`."""
        return await self._store.list_entries(wanted, limit, before=before)

    def index(self, address: str) -> str:
        """Return what the log has instead of an address: the same for the same address, and told by nobody else."""
        return hmac.digest(self._key, address.encode(), hashlib.sha256).hex()[:32]


def _named(actor: str | Actor) -> Actor:
    if isinstance(actor, Actor):
        return actor
    return Actor(ActorKind.KEY, actor) if actor else Actor(ActorKind.THIS_MACHINE)
