"""The public address: whether this server answers there, and how long its certificate is good."""

import asyncio
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from config.settings import Settings
from doctor.findings import Finding, off, ok, problem

_WAIT_SECS = 6.0
_LEAST_DAYS = 14
_MOST_BYTES = 16 * 1024
# OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED, _HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH
_EXPIRED, _OTHER_NAME = 10, (62, 64)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    is_alive: bool
    days_left: float


async def check_address(settings: Settings) -> list[Finding]:
    """Ask for /livez through the public address, as Twilio would, from this machine."""
    what, url = "public address", settings.public_base_url or ""
    if settings.is_public_url_loopback_or_unset:
        return [off(what, "TRUNKLINE_PUBLIC_BASE_URL is not set; fine for local use, needed for real calls")]
    if not url.startswith("https://"):
        cure = "use an https one"
        return [problem(what, f"TRUNKLINE_PUBLIC_BASE_URL is not https, and Twilio streams to wss only; {cure}")]
    try:
        async with asyncio.timeout(_WAIT_SECS):
            answer = await _ask(url)
    except ssl.SSLCertVerificationError as error:
        return [_bad_certificate(url, error)]
    except ssl.SSLError:
        return [problem(what, f"{url} does not speak TLS; put a proxy or tunnel with a certificate before the server")]
    except socket.gaierror:
        return [problem(what, f"nobody knows the name in {url}; correct TRUNKLINE_PUBLIC_BASE_URL, or the DNS entry")]
    except (OSError, EOFError, ValueError) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else "no connection"
        cure = f"start the server, and see that proxy, tunnel and firewall lead to its port {settings.port}"
        return [problem(what, f"{url} cannot be reached from here ({why}); {cure}")]
    if answer.status != 200 or not answer.is_alive:
        told = f"answers {answer.status}" if answer.status != 200 else "is answered by something else"
        found = problem(what, f"{url}/livez {told}; have proxy or tunnel pass every path on to port {settings.port}")
    else:
        found = ok(what, f"{url} leads to a server of ours")
    return [found, _lifetime(answer.days_left)]


def _lifetime(days: float) -> Finding:
    if days < _LEAST_DAYS:
        return problem("TLS certificate", f"it expires in {days:.0f} days; renew it, and see why that is not automatic")
    return ok("TLS certificate", f"good for {days:.0f} days")


def _bad_certificate(url: str, error: ssl.SSLCertVerificationError) -> Finding:
    what = "TLS certificate"
    if error.verify_code == _EXPIRED:
        return problem(what, "it has expired, and Twilio refuses it; renew it")
    if error.verify_code in _OTHER_NAME:
        host = urlsplit(url).hostname
        return problem(what, f"it is not for {host}; get one for that name, or correct TRUNKLINE_PUBLIC_BASE_URL")
    cure = "serve the whole chain, of an authority that everybody trusts"
    return problem(what, f"it is not trusted ({error.verify_message}); {cure}")


async def _ask(url: str) -> _Answer:
    parts = urlsplit(url)
    host = parts.hostname or ""
    context = await asyncio.to_thread(ssl.create_default_context)
    reader, writer = await asyncio.open_connection(host, parts.port or 443, ssl=context, server_hostname=host)
    try:
        certificate: dict[str, Any] = writer.get_extra_info("peercert") or {}
        path = f"{parts.path.rstrip('/')}/livez"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        text = b""
        while len(text) < _MOST_BYTES and (more := await reader.read(4096)):
            text += more
    finally:
        writer.transport.abort()  # a far end that never says goodbye is not waited for
    days = (ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) / 86_400 if certificate else 0.0
    return _Answer(int(text.split(b" ", 2)[1]) if text.startswith(b"HTTP/") else 0, b'"alive"' in text, days)
