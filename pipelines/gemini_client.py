"""The Gemini client of the process: one trust store and one set of connection options for every call."""

import ssl
from pathlib import Path
from typing import Any

import certifi
from google.genai import Client
from google.genai.types import HttpOptions

from config.settings import Settings


def client_for(settings: Settings) -> Client | None:
    """Return the Gemini client of the process; None when there is neither a key nor an endpoint."""
    if settings.google_api_key is None and settings.gemini_base_url is None:
        return None
    # An endpoint of one's own may need no key, but the SDK does not start without one.
    api_key = settings.google_api_key.get_secret_value() if settings.google_api_key else "none-needed"
    return make_client(api_key=api_key, base_url=settings.gemini_base_url, ca_file=settings.gemini_ca_file)


def make_client(*, api_key: str, base_url: str | None, ca_file: Path | None) -> Client:
    """One client for every call of the process; building it parses the CA bundle (about 150 ms), so it is built once.

    `SSL_CERT_FILE` replaces the trust store (google-genai's own rule); `ca_file` adds to it.
    """
    context = ssl.create_default_context()
    if not context.get_ca_certs() or not ssl.get_default_verify_paths().cafile:
        context.load_verify_locations(cafile=certifi.where())
    if ca_file is not None:
        context.load_verify_locations(cafile=str(ca_file))
    arguments: dict[str, Any] = {
        "ssl": context,
        "verify": context,
        # Audio is incompressible, and a pong that is seconds late is common at Google: neither may cost a call.
        "compression": None,
        "ping_interval": None,
        # Whoever connects sets the deadline that counts.
        "open_timeout": None,
        # A peer that is gone does not answer a close either.
        "close_timeout": 1,
    }
    return Client(api_key=api_key, http_options=HttpOptions(base_url=base_url, async_client_args=arguments))
