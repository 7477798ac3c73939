"""Twilio's signature on webhooks and on the WebSocket upgrade.

HMAC-SHA1 over the URL as Twilio knows it, followed by the sorted form fields (Twilio's "Webhooks security"). The URL is
built from our configured public address, never from a request header: whoever sends the request writes its headers.
"""

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

_DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


def is_genuine(auth_token: str, url: str, params: Mapping[str, Sequence[str]], signature: str | None) -> bool:
    """Tell whether Twilio, who shares `auth_token` with us, made this request.

    `url` is the full address that Twilio was given (query string included; `ws://` or `wss://` for a socket), `params`
    every form field with all its values, `signature` the X-Twilio-Signature header. Compared in constant time.
    """
    if not signature or not auth_token:
        return False
    fields = "".join(name + value for name in sorted(params) for value in sorted(set(params[name])))
    given = signature.encode("utf-8", "replace")
    is_equal = [hmac.compare_digest(_sign(auth_token, url + fields), given) for url in candidates(url)]
    return any(is_equal)


def candidates(url: str) -> tuple[str, ...]:
    """Return the spellings of `url` under which Twilio may have signed it, without repeats.

    With and without the scheme's default port, as Twilio's own validator tries them. For sockets also with and without
    a trailing slash: Twilio has signed both. (Its validator knows no `wss` and would append `:80`.)
    """
    parts = urlsplit(url)
    default_port = _DEFAULT_PORTS.get(parts.scheme)
    hosts = [parts.netloc]
    if parts.port is None and default_port is not None:
        hosts.append(f"{parts.netloc}:{default_port}")
    elif parts.port == default_port:
        hosts.append(parts.netloc.rsplit(":", 1)[0])
    paths = [parts.path]
    if parts.scheme in ("ws", "wss"):
        paths.append(parts.path.rstrip("/") if parts.path.endswith("/") else f"{parts.path}/")
    spelled = (urlunsplit(parts._replace(netloc=host, path=path)) for host in hosts for path in paths)
    return tuple(dict.fromkeys(spelled))


def _sign(auth_token: str, signed: str) -> bytes:
    return b64encode(hmac.digest(auth_token.encode("utf-8"), signed.encode("utf-8", "replace"), "sha1"))
