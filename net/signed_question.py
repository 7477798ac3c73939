"""A question to somebody's webhook, signed as Standard Webhooks says, with one deadline for all of it.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from net.outgoing import OutgoingFailed, OutgoingRefused

_MOST_ANSWER_BYTES = 64 * 1024


def sign(key: bytes, *, message_id: str, timestamp_secs: int, body: bytes) -> dict[str, str]:
    """Return the three headers that the receiver checks: `webhook-id`, `webhook-timestamp`, `webhook-signature`."""
    signed = f"{message_id}.{timestamp_secs}.".encode() + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode("ascii")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_secs),
        "webhook-signature": f"v1,{signature}",
    }


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
        key: bytes,
        message_id: str,
        now: float,
        deadline_secs: float,
    ) -> object:
        """POST `body` as JSON and return the JSON of the answer. Neither redirects nor proxies are followed.

        `now` is Unix time in seconds. A question with the id of an earlier one is known to be the same.

        Raises:
            OutgoingFailed: no usable answer within `deadline_secs`, from the name lookup to the last byte.
            OutgoingRefused: a status other than 2xx.
        """
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        headers = sign(key, message_id=message_id, timestamp_secs=int(now), body=content)
        limit = asyncio.timeout(deadline_secs)
        try:
            async with limit:
                status, text = await self._post(url, content, headers | {"content-type": "application/json"})
        except TimeoutError as error:
            if not limit.expired():
                raise OutgoingFailed(type(error).__name__) from error
            raise OutgoingFailed(f"no answer within {deadline_secs:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise OutgoingFailed(type(error).__name__) from error
        if not 200 <= status < 300:
            raise OutgoingRefused(status, None)
        try:
            return json.loads(text)
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
