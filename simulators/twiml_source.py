"""Where a call's TwiML comes from: the server's webhooks, asked one after the other, or repeatedly by a fault."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping

from simulators.call_setup import Network
from simulators.faults import Strike
from simulators.twilio_webhook import AddressBook, Place, WebhookAnswer
from simulators.twiml_player import Goto, TwimlError

_XML_TYPES = frozenset({"text/xml", "application/xml", "text/html"})


class TwimlSource:
    """The webhooks of one call.

    Attributes:
        log: the server's answers, as they came.
        document_url: the URL of the latest document asked for; relative URLs in it start from there.

    `repeated`: the fault that sends the first webhook twice at once and once more later.
    """

    def __init__(self, network: Network, book: AddressBook, repeated: Strike | None = None) -> None:
        self.log: list[WebhookAnswer] = []
        self.document_url = ""
        self._network = network
        self._book = book
        self._repeated = repeated
        self._later: asyncio.Task[None] | None = None

    async def fetch(self, goto: Goto, form: Mapping[str, str]) -> str:
        """The document at `goto`, asked for with this form.

        Raises:
            TwimlError: no answer, an error, or something that is not XML.
        """
        place = self._book.find(goto.url, self.document_url)
        self.document_url = place.public_url
        answer = await self._ask_repeatedly(place, form, goto.method)
        if answer.error is not None:
            raise TwimlError(answer.error.code, answer.error.message)
        if answer.content_type not in _XML_TYPES:
            raise TwimlError(12300, f"content type {answer.content_type!r} is not XML")
        return answer.body

    def close(self) -> None:
        """Ask nothing any more."""
        if self._later is not None:
            self._later.cancel()

    async def _ask_repeatedly(self, place: Place, form: Mapping[str, str], method: str) -> WebhookAnswer:
        # A repeated webhook carries the token of the first: that is how a server may know it.
        token = str(uuid.uuid4())
        repeated, self._repeated = self._repeated, None
        if repeated is None:
            return await self._ask(place, form, method, token)
        later_secs = repeated.settings["later_secs"]
        self._later = asyncio.create_task(self._ask_later(later_secs, place, form, method, token), name="asks again")
        answer, _ = await asyncio.gather(self._ask(place, form, method, token), self._ask(place, form, method, token))
        return answer

    async def _ask(self, place: Place, form: Mapping[str, str], method: str, token: str) -> WebhookAnswer:
        headers = {"I-Twilio-Idempotency-Token": token}
        answer = await self._network.webhooks.request(place, form, method=method, headers=headers)
        self.log.append(answer)
        return answer

    async def _ask_later(self, secs: float, place: Place, form: Mapping[str, str], method: str, token: str) -> None:
        await asyncio.sleep(secs)
        await self._ask(place, form, method, token)
