"""A message for somebody's webhook, signed as Standard Webhooks says: sent once, with one deadline for all of it."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import httpx

from net.pinned import AddressGuard, AddressRefused, KeptClient, NoSuchHost
from net.retry_after import read_wait_secs
from net.signed_headers import signed_headers

DEADLINE_SECS = 15.0
_MOST_ANSWER_BYTES = 64 * 1024
_HEADERS = {"content-type": "application/json", "user-agent": "Trunkline", "accept-encoding": "identity"}


class NotPosted(Exception):
    """The receiver did not answer; the text is one short sentence without anything of the message or the address."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: `body` is JSON, signed with `secret` (whsec_...), and known to the receiver by `message_id`."""

    url: str
    secret: str
    message_id: str
    body: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What the receiver answered: its status, and for how many seconds it asks to be left alone, if it does."""

    status: int
    wait_secs: float | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the receiver has the message."""
        return 200 <= self.status < 300


class WebhookPost:
    """Sends the messages of this process. Neither redirects nor proxies are followed, and no private address asked.

    A connection is kept for the next message to the same receiver.
    """

    def __init__(self, guard: AddressGuard, *, deadline_secs: float = DEADLINE_SECS) -> None:
        """Take who says where connections may go, and how long one message may take in all."""
        self._guard = guard
        self._deadline_secs = deadline_secs
        self._client = KeptClient(guard)

    async def send(self, message: Message, now: datetime) -> Answered:
        """Send it and return the answer, whatever its status; `now` (aware) is what the signature says.

        Raises:
            NotPosted: no answer, or nobody may be asked there.
        """
        self._check(message.url)
        headers = _HEADERS | signed_headers(message.secret, message.message_id, message.body, now)
        try:
            async with asyncio.timeout(self._deadline_secs):
                client = await self._client.get()
                async with client.stream(
                    "POST", message.url, content=message.body.encode(), headers=headers
                ) as response:
                    await _read(response)
                    asked_secs = read_wait_secs(response.headers.get("retry-after", ""), now)
                    return Answered(response.status_code, asked_secs)
        except AddressRefused as error:
            raise NotPosted(f"not sent: {error}") from error
        except NoSuchHost as error:
            raise NotPosted("its host has no address") from error
        except TimeoutError as error:
            raise NotPosted(f"no answer within {self._deadline_secs:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise NotPosted(f"it cannot be reached ({type(error).__name__})") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _check(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise NotPosted("its address cannot be read") from error
        is_near = parts.scheme == "http" and self._guard.allows_private(parts.hostname or "", port)
        if parts.scheme != "https" and not is_near:
            raise NotPosted("not sent: it would not travel over https")


async def _read(response: httpx.Response) -> None:
    """Read the answer to its end, so that its connection can be used again; of a long one only the beginning."""
    count = 0
    async for chunk in response.aiter_raw():
        count += len(chunk)
        if count > _MOST_ANSWER_BYTES:
            return
