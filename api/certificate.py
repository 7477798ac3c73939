"""The certificate that the server shows when it speaks TLS itself."""

import ssl
from pathlib import Path


class BadCertificate(Exception):
    """The certificate files cannot be used."""


def load_certificate(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """Return TLS 1.2 and newer with this certificate. Reads files: call it in a thread. Raises `BadCertificate`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Asked for a password it would ask the terminal, and wait.
        context.load_cert_chain(cert_file, key_file, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) and error.reason else str(error)
        raise BadCertificate(
            f"TRUNKLINE_TLS_CERT_FILE, TRUNKLINE_TLS_KEY_FILE: {cert_file} and {key_file} cannot be used ({reason}); "
            "give the certificate with its chain, and the key that belongs to it, both PEM and without a password"
        ) from error
    return context


def _no_password() -> str:
    raise ValueError("the key has a password")
