"""Who may ask: Twilio by its signature, this machine in open mode."""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from api.asking import SIGNED
from api.deps import ServicesDep
from api.errors import NotLocal, NotTwilio
from config.settings import Settings, is_loopback
from telephony import signature
from telephony.webhooks import Form, parse_form

_SIGNATURE_HEADER = "x-twilio-signature"
_FORWARDING_HEADERS = frozenset({"forwarded", "via", "x-real-ip"})


def may_ask_openly(settings: Settings, headers: Headers) -> bool:
    """Tell whether the request needs no proof: server and request both are of this machine.

    The server is bound to loopback and has no public address; the Host header is a loopback name (a page that
    rebinds its own name to 127.0.0.1 keeps its name there); nothing forwarded the request (behind a tunnel or proxy
    the whole Internet arrives from loopback); and no page of another site made it.
    """
    if not settings.may_run_open:
        return False
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not _is_local(f"//{hosts[0]}"):
        return False
    if any(name in _FORWARDING_HEADERS or name.startswith("x-forwarded") for name in headers):
        return False
    return all(_is_local(origin) for origin in headers.getlist("origin"))


def check_twilio(settings: Settings, connection: HTTPConnection, form: Form, base_url: str) -> None:
    """Let Twilio pass. Raises `NotTwilio`, or `NotLocal` where there is no auth token to check against.

    `base_url` is our public address for this kind of connection (http or ws); with it, and never with the Host
    header, the URL that Twilio signed is put together.
    """
    if settings.twilio_auth_token is None:
        if not may_ask_openly(settings, connection.headers):
            raise NotLocal
        return
    path = bytes(connection.scope.get("raw_path") or connection.url.path.encode()).decode("ascii", "replace")
    query = bytes(connection.scope.get("query_string", b"")).decode("ascii", "replace")
    url = f"{base_url}{path}?{query}" if query else f"{base_url}{path}"
    given = connection.headers.get(_SIGNATURE_HEADER)
    if not signature.is_genuine(settings.twilio_auth_token.get_secret_value(), url, form, given):
        raise NotTwilio


async def signed_form(request: Request, services: ServicesDep) -> dict[str, list[str]]:
    """Return the form of a webhook that Twilio sent. Raises as `check_twilio`, and `BadForm`."""
    form = parse_form(await request.body())
    check_twilio(services.settings, request, form, services.settings.effective_public_base_url)
    return form


signed_form.rule = SIGNED  # pyright: ignore[reportFunctionMemberAccess]
SignedForm = Annotated[dict[str, list[str]], Depends(signed_form)]


def _is_local(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False
