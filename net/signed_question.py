"""A question to somebody's webhook, signed as Standard Webhooks says, with one deadline for all of it."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx

from net.outgoing import OutgoingFailed, OutgoingRefused
from net.signed_headers import signed_headers

_MOST_ANSWER_BYTES = 64 * 1024


class Asker:
    """Asks. A connection for each question: they are rare, and an idle one may be dead when it is needed."""

    def __init__(self) -> None:
        """Prepare; the trust store is read with the first question."""
        self._context: ssl.SSLContext | None = None

    async def ask(
        self,
        url: str,
        body: Mapping[str, Any],
        *,
        secret: str,
        message_id: str,
        now: datetime,
        deadline_secs: float,
    ) -> object:
        """POST `body` as JSON and return the JSON of the answer. Neither redirects nor proxies are followed.

        `secret` is whsec_ and base64, `now` aware. A question with the id of an earlier one is known to be the same.

        Raises:
            OutgoingFailed: no usable answer within `deadline_secs`, from the name lookup to the last byte.
            OutgoingRefused: a status other than 2xx.
        """
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        headers = signed_headers(secret, message_id, text, now) | {"content-type": "application/json"}
        limit = asyncio.timeout(deadline_secs)
        try:
            async with limit:
                status, answer = await self._post(url, text.encode(), headers)
        except TimeoutError as error:
            if not limit.expired():
                raise OutgoingFailed(type(error).__name__) from error
            raise OutgoingFailed(f"no answer within {deadline_secs:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise OutgoingFailed(type(error).__name__) from error
        if not 200 <= status < 300:
            raise OutgoingRefused(status, None)
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise OutgoingFailed("the answer is no JSON") from error

    async def _post(self, url: str, content: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        if self._context is None:
            # Reading the trust store takes 20-150 ms: not on the event loop, where every live voice is.
            self._context = await asyncio.to_thread(ssl.create_default_context)
        client = httpx.AsyncClient(verify=self._context, timeout=None, follow_redirects=False, trust_env=False)
        async with client, client.stream("POST", url, content=content, headers=dict(headers)) as response:
            text = bytearray()
            async for chunk in response.aiter_bytes():
                text += chunk
                if len(text) > _MOST_ANSWER_BYTES:
                    raise OutgoingFailed(f"the answer is larger than {_MOST_ANSWER_BYTES} bytes")
        return response.status_code, bytes(text)
