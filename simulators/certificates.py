"""A throw-away certificate authority: google-genai insists on TLS, whatever address it is given."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """`server`: the context to serve with. `ca_file`: PEM file that a client has to trust (`SSL_CERT_FILE`)."""

    server: ssl.SSLContext
    ca_file: Path


def issue_certificates(folder: Path, *names: str) -> Certificates:
    """Makes a new authority and a server certificate for the host names or IP addresses; writes `ca.pem` to the folder.

    The private keys stay in memory. Blocks for some milliseconds: call it in a thread.
    """
    authority = trustme.CA(organization_name="Throw-away authority of a stand-in Gemini")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    folder.mkdir(parents=True, exist_ok=True)
    ca_file = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    return Certificates(context, ca_file)


def unknown_certificate(*names: str) -> ssl.SSLContext:
    """A context whose certificate is for the right names, by an authority that no client can know. Blocks likewise."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA(organization_name="An authority that nobody knows").issue_cert(*names).configure_cert(context)
    return context
