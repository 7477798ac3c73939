"""The token that ties a media socket to the webhook that asked for it.

Twilio drops the query string of a `<Stream>` URL (error 31920), so the token rides in a `<Parameter>` and is read from
the `start` message. It is signed and expires; that it is used once is the call row's single transition to live.
"""

import base64
import hashlib
import hmac
import json

_MAC_BYTES = 32
_MAX_TOKEN_CHARACTERS = 400  # name and value of a <Parameter> have 500 together


class BadToken(Exception):
    """The stream's token is missing or was not issued for this call."""


class ExpiredToken(BadToken):
    """The stream's token was issued for this call, but too long ago."""


def issue(secret: bytes, *, call_id: str, call_sid: str, now: float, ttl_secs: float) -> str:
    """Return a token for one socket of the call, good until `now + ttl_secs`.

    `now` is Unix time in seconds. `call_id` (ours) can be read from the token, `call_sid` (Twilio's) cannot.
    """
    expires_ms = int((now + ttl_secs) * 1000)
    return f"{call_id}.{expires_ms}.{_sign(secret, call_id, call_sid, expires_ms)}"


def verify(secret: bytes, token: str | None, *, call_sid: str, now: float) -> str:
    """Return the call id that the token was issued for.

    Raises `ExpiredToken` when it is genuine and too old, `BadToken` for anything else: missing, changed, signed with
    another secret, issued for another call SID.
    """
    if not token or len(token) > _MAX_TOKEN_CHARACTERS or token.count(".") < 2:
        raise BadToken
    call_id, expires, mac = token.rsplit(".", 2)
    if not (expires.isascii() and expires.isdigit()):
        raise BadToken
    expected = _sign(secret, call_id, call_sid, int(expires))
    # compared as bytes: compare_digest refuses text that is not ASCII, and the token is a stranger's
    if not hmac.compare_digest(expected.encode("ascii"), mac.encode("utf-8", "replace")):
        raise BadToken
    if now * 1000 > int(expires):
        raise ExpiredToken
    return call_id


def _sign(secret: bytes, call_id: str, call_sid: str, expires_ms: int) -> str:
    # JSON keeps the three apart; joined by hand, ("a", "bc") and ("ab", "c") would sign alike.
    signed = json.dumps(["trunkline.stream", call_id, call_sid, expires_ms]).encode("ascii")
    digest = hmac.digest(secret, signed, hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:_MAC_BYTES]).decode("ascii").rstrip("=")
