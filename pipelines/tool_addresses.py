"""Whether a tool may ask its address, as far as that shows before anything is looked up."""

from urllib.parse import urlsplit

from net.pinned import AddressGuard
from net.public_address import host_fault


def address_fault(url: str, guard: AddressGuard) -> tuple[str, str] | None:
    """Return what is wrong with the address in an agent's file, and the cure; None when nothing is."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if guard.allows_private(host, port):
        return None
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    allow = f"name a public host, or allow it: TRUNKLINE_TOOL_PRIVATE_HOSTS={name}"
    if (fault := host_fault(host)) is not None:
        return f"{host} {fault}", allow
    if parts.scheme != "https":
        return "would be asked without encryption", f"begin it with https://, or allow it: {allow.split(': ')[1]}"
    return None
