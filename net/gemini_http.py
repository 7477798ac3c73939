"""The HTTP client that Google's SDK asks text models with: our trust store, no proxy, no redirects."""

import ssl
from pathlib import Path
from typing import Any

import certifi
import httpx


def gemini_http(ca_file: Path | None) -> Any:
    """Return an `httpx.AsyncClient` for the SDK; `ca_file` adds to the trust store. Reads files: call it in a thread.

    With a client of ours what the SDK raises holds the whole answer, `Retry-After` included.
    """
    context = ssl.create_default_context()
    if not context.get_ca_certs() or not ssl.get_default_verify_paths().cafile:
        context.load_verify_locations(cafile=certifi.where())
    if ca_file is not None:
        context.load_verify_locations(cafile=str(ca_file))
    return httpx.AsyncClient(verify=context, timeout=None, follow_redirects=False, trust_env=False)
