"""Tools for messages: an SMS to the caller, and one that the caller leaves for somebody."""

import asyncio
import re

from pipecat.services.llm_service import FunctionCallParams

from pipelines.tool_failures import FailureKind, RefusalKind, ToolFailed, ToolRefused
from pipelines.tool_templates import facts_of
from pipelines.tools import resources
from telephony.rest import TwilioFailed

LONGEST_SMS = 640
"""Characters: four or five parts of an SMS, each of which costs."""
_MOST_OF_A_CALL = 5
_LONGEST_MESSAGE = 4000
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_sending: set[asyncio.Task[str]] = set()


async def send_sms(params: FunctionCallParams, text: str) -> None:
    """Send the caller a text message (SMS), to the number he calls from. Use it for what is hard to write down.

    Args:
        params: Given by the pipeline.
        text: The whole message, at most 640 characters, without any markup.
    """
    desk = resources(params)
    facts = facts_of(desk.call, desk.agent)
    to_number, from_number = facts["caller"], facts["number"]
    if desk.texting is None or not _NUMBER.fullmatch(to_number) or not _NUMBER.fullmatch(from_number):
        raise ToolRefused(RefusalKind.NOT_POSSIBLE, "The caller has no number that a text message could be sent to.")
    text = text.strip()
    if not text or len(text) > LONGEST_SMS:
        reason = f"text has {len(text)} characters; write 1 to {LONGEST_SMS}."
        raise ToolRefused(RefusalKind.BAD_ARGUMENTS, reason)
    if desk.sms_count >= _MOST_OF_A_CALL:
        raise ToolRefused(RefusalKind.NOT_POSSIBLE, f"{_MOST_OF_A_CALL} messages were sent in this call; no more.")
    desk.sms_count += 1
    # A caller who speaks meanwhile stops the tool; what is on its way to Twilio is not cut off half sent.
    sending = asyncio.create_task(desk.texting.send_message(to_number, from_number, text), name="sms")
    _sending.add(sending)
    sending.add_done_callback(_forget)
    try:
        message_sid = await asyncio.shield(sending)
    except TwilioFailed as error:
        kind = FailureKind.REFUSED if error.code is not None else FailureKind.UNREACHABLE
        raise ToolFailed(kind, f"the message was not sent: {error}.") from error
    desk.scribe.event("sms.sent", message_sid=message_sid, characters=len(text))
    await params.result_callback({"sent": True})


async def take_message(params: FunctionCallParams, text: str, name: str = "", number: str = "") -> None:
    """Keep a message that the caller leaves for the people you work for. Read it back to him before you do.

    Args:
        params: Given by the pipeline.
        text: The message, in the caller's words.
        name: Who leaves it; empty if he would not say.
        number: Where he can be called back; empty: the number he calls from.
    """
    desk = resources(params)
    if not text.strip():
        raise ToolRefused(RefusalKind.BAD_ARGUMENTS, "text is empty; ask the caller what his message is.")
    caller = facts_of(desk.call, desk.agent)["caller"]
    message = {
        "text": text.strip()[:_LONGEST_MESSAGE],
        "name": name.strip()[:200],
        "number": number.strip()[:40] or caller,
        "from_number": caller,
    }
    key = f"{desk.call.started_at:%Y-%m-%dT%H:%M:%S} {desk.call.call_id} {round(desk.scribe.now_ms):09}"
    await desk.records.put("message", key, message, desk.call.call_id)
    desk.scribe.event("message.written", key=key)
    await params.result_callback({"kept": True})


def _forget(sending: asyncio.Task[str]) -> None:
    _sending.discard(sending)
    if not sending.cancelled():
        sending.exception()  # told by the tool, unless it was stopped
