"""What Twilio is asked with to place one call: everything that rides on `calls.create`."""

import math
from collections.abc import Mapping
from urllib.parse import urlencode

from config.agent import AgentConfig
from config.machine import Machine
from telephony.machine_detection import detection_parameters
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
        further=_detection(agent.outbound.machine, f"{base_url}/twilio/amd?{call_id}"),
    )


def _detection(machine: Machine | None, callback_url: str) -> Mapping[str, str | int]:
    """Twilio charges for every call that it listens to: only where the agent wants to know."""
    if machine is None:
        return {}
    detection = machine.detection
    return detection_parameters(
        # A message waits for the end of the greeting, of which Twilio knows most; for anything else sooner is better.
        waits_for_end=machine.do == "leave_message",
        callback_url=callback_url,
        timeout_secs=detection.timeout_secs,
        speech_threshold_ms=detection.speech_threshold_ms,
        speech_end_threshold_ms=detection.speech_end_threshold_ms,
        silence_timeout_ms=detection.silence_timeout_ms,
    )
