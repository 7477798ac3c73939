"""`Idempotency-Key`: a POST of `/v1` that is sent again is answered again, and done once.

The key is good for who asks (an API key, or this machine in the open mode), for one path, and for a day. Only what was
done is kept: a refusal did nothing, so the same request is looked at anew. `POST /v1/calls` keeps a promise of its own,
which survives the death of its process between dialling and writing that down (`transcripts.outgoing`).
"""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi import Request, Response
from loguru import logger
from starlette.datastructures import Headers
from starlette.types import Message, Scope, Send

from api.deps import Services
from api.errors import BadIdempotencyKey, OtherRequestBefore, StillAtIt
from api.patience import database_in_time
from storage.errors import DatabaseAway
from storage.idempotency import Claim, KeptAnswer, RepeatStore, Why

REPLAYED = "Idempotency-Replayed"
"""The header of an answer to a request that was made before."""
_LONGEST_KEY = 200
_LARGEST_ANSWER_BYTES = 1024 * 1024
_OWN_PROMISE = frozenset({"/v1/calls"})
_OF_CALL = re.compile(r"POST /v1/calls/([A-Za-z0-9_-]{1,64})/")
_KEPT_HEADERS = ("content-type", "location", "etag")
_PURGE_SECS = 600.0
_SERVER_FAULT = 500


class Replayed(Exception):
    """The request was answered before; this is that answer."""

    def __init__(self, answer: KeptAnswer) -> None:
        """Take the answer that was kept."""
        super().__init__()
        self.answer = answer


class Repeatable:
    """One request, which may be one that was made before. A request without the header never is."""

    def __init__(self, route: str = "", key: str | None = None, request_hash: str = "") -> None:
        """Take where it goes, its key, and the hash of what it asks; `of` finds them out."""
        self.route, self.key, self.request_hash = route, key, request_hash
        self._claim: Claim | None = None
        self._store: RepeatStore | None = None
        self.kept_instead: bytes | None = None

    @classmethod
    def of(cls, scope: Scope, asked: Any) -> "Repeatable":
        """Read a request; `asked` is its JSON, or its bytes. Raises `BadIdempotencyKey`."""
        given = Headers(scope=scope).getlist("idempotency-key")
        if scope["method"] != "POST" or not given:
            return cls()
        key = given[0]
        if len(given) > 1 or not (0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable()):
            raise BadIdempotencyKey
        if scope["path"] in _OWN_PROMISE:
            return cls()
        plain = asked if isinstance(asked, bytes) else json.dumps(asked, sort_keys=True).encode()
        asked_hash = hashlib.sha256(plain + b"\n" + bytes(scope.get("query_string", b""))).hexdigest()
        found = cls(f"POST {scope['path']}", key, asked_hash)
        scope["state"]["repeatable"] = found
        return found

    async def begin(self, store: RepeatStore, asked_by: str) -> None:
        """Take the request to be carried out, or raise what it is answered instead.

        Raises:
            Replayed: it was answered before.
            StillAtIt: the first one is being carried out at this moment.
            OtherRequestBefore: the key stands for another request.
        """
        if self.key is None or self._claim is not None:
            return
        async with database_in_time():
            found = await store.claim(asked_by, self.route, self.key, self.request_hash, now=datetime.now(UTC))
        match found:
            case Claim():
                self._claim, self._store = found, store
            case KeptAnswer():
                raise Replayed(found)
            case Why.UNDER_WAY:
                raise StillAtIt
            case Why.OTHER_REQUEST:
                raise OtherRequestBefore

    @asynccontextmanager
    async def answering(self, send: Send) -> AsyncGenerator[Send]:
        """Yield the `send` of the answer, which is kept before anybody sees it."""
        if self.key is None:
            yield send
            return
        begun: list[Message] = []
        size = 0

        async def send_kept(message: Message) -> None:
            nonlocal size
            size += len(message.get("body", b""))
            if self._claim is None:  # refused before it was this one's to carry out, or answered again
                await send(message)
                return
            begun.append(message)
            is_whole = message["type"] == "http.response.body" and not message.get("more_body", False)
            if not is_whole and size <= _LARGEST_ANSWER_BYTES:
                return
            await self._settle(begun, is_whole=is_whole)
            for held in begun:
                await send(held)

        yield send_kept

    async def _settle(self, begun: list[Message], *, is_whole: bool) -> None:
        status = int(begun[0]["status"])
        told = Headers(raw=begun[0]["headers"])
        if not is_whole or not (status < 400 or status == _SERVER_FAULT):
            claim, self._claim = self._claim, None
            if claim is not None and self._store is not None:
                await _patiently(self._store.release(claim))
            return
        body = b"".join(message.get("body", b"") for message in begun[1:])
        if self.kept_instead is not None and status < 400:
            body = self.kept_instead
        headers = {name: told[name] for name in _KEPT_HEADERS if name in told}
        await self._keep(KeptAnswer(status, headers, body))

    async def _keep(self, answer: KeptAnswer) -> None:
        claim, self._claim = self._claim, None
        if claim is not None and self._store is not None:
            about = _OF_CALL.match(self.route)
            await _patiently(self._store.keep(claim, answer, about[1] if about else None))


async def _patiently(doing: Any) -> None:
    try:
        async with database_in_time():
            await doing
    except DatabaseAway as error:
        logger.bind(problem=str(error)).warning("the answer to a request with an Idempotency-Key is not kept")


async def begin_once(request: Request, services: Services, asked_by: str) -> None:
    """Do nothing for a request that is new or has no Idempotency-Key; called by the door, once who asks is known."""
    repeatable: Repeatable | None = getattr(request.state, "repeatable", None)
    if repeatable is not None:
        await repeatable.begin(services.repeats, asked_by)


def keep_instead(request: Request, body: bytes) -> None:
    """Have a repeated request answered with this body, because the first one's holds what must be kept nowhere."""
    repeatable: Repeatable | None = getattr(request.state, "repeatable", None)
    if repeatable is not None:
        repeatable.kept_instead = body


async def answer_again(request: Request, error: Exception) -> Response:
    """Return the answer of the first time."""
    assert isinstance(error, Replayed)
    headers = error.answer.headers | {REPLAYED: "true"}
    return Response(error.answer.body, error.answer.status, headers)


@asynccontextmanager
async def purging(store: RepeatStore) -> AsyncGenerator[RepeatStore]:
    """Delete answers that are older than a day, for the length of the block."""

    async def purge() -> None:
        while True:
            try:
                await store.purge(datetime.now(UTC))
            except DatabaseAway:
                logger.debug("answers that have expired stay for now: the database is away")
            await asyncio.sleep(_PURGE_SECS)

    task = asyncio.create_task(purge(), name="purge answers that have expired")
    try:
        yield store
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
