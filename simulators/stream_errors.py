"""Why a media stream failed, in Twilio's error codes (https://www.twilio.com/docs/api/errors)."""

import ssl

from websockets.exceptions import InvalidStatus

from simulators.media_socket import MediaSocket
from simulators.twilio_webhook import CallError

_GOOD_CLOSES = frozenset({1000, 1001, 1005})


def explain_close(socket: MediaSocket, url: str) -> CallError | None:
    """What was wrong with the end of a stream; None when it ended well."""
    if socket.close_code in _GOOD_CLOSES:
        return None
    reason = f"the server closed with {socket.close_code} {socket.close_reason or ''}".rstrip()
    return CallError(31921, reason, url)


def explain_refusal(problem: Exception, url: str) -> CallError:
    """Why a media stream could not be opened, in Twilio's error codes."""
    if isinstance(problem, InvalidStatus):
        return CallError(31920, f"the upgrade was answered {problem.response.status_code}, not 101", url)
    if isinstance(problem, ssl.SSLError):
        return CallError(31910, f"TLS failed: {problem}", url)
    if isinstance(problem, TimeoutError):
        return CallError(31901, "no connection in time", url)
    return CallError(31901 if isinstance(problem, OSError) else 31920, f"{type(problem).__name__}: {problem}", url)
