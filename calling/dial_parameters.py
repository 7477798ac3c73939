"""What Twilio is asked with to place one call: everything that rides on `calls.create`."""

import math
from urllib.parse import urlencode

from config.agent import AgentConfig
from telephony.rest import DialRequest
from transcripts.outgoing import Outgoing

_AFTERWARDS_SECS = 1800
"""A call that was transferred goes on without its agent; Twilio cuts it off so long after the longest call."""
_TWILIOS_LONGEST_SECS = 14_400


def dial_request(outgoing: Outgoing, agent: AgentConfig, base_url: str) -> DialRequest:
    """Return the request for a call of this agent, overrides included; `base_url` is our public address.

    The call's id rides in the query of both addresses: Twilio signs it, and each of its requests so tells which of its
    calls is which of ours.
    """
    call_id = urlencode({"call_id": outgoing.call.call_id})
    time_limit_secs = min(math.ceil(agent.limits.max_call_secs) + _AFTERWARDS_SECS, _TWILIOS_LONGEST_SECS)
    return DialRequest(
        to_number=outgoing.call.to_number or "",
        from_number=outgoing.call.from_number or "",
        voice_url=f"{base_url}/twilio/voice?{call_id}",
        status_url=f"{base_url}/twilio/status?{call_id}",
        ring_secs=outgoing.order.ring_secs,
        time_limit_secs=time_limit_secs,
    )
