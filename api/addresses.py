"""Where a request comes from: the other end of its connection, or what a proxy that is trusted says of it."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from starlette.requests import HTTPConnection

from config.setting_kinds import Network

UNKNOWN = "unknown"


def address_of(connection: HTTPConnection, trusted: Sequence[Network]) -> str:
    """Return the address that a request comes from, as text.

    X-Forwarded-For is read from its end, where the nearest proxy wrote, and only as far as each next one is trusted:
    what stands before that is whatever somebody sent.
    """
    peer = "" if connection.client is None else connection.client.host
    address = _parse(peer)
    if address is None:
        return peer or UNKNOWN  # a socket that has no address, as in tests without a network
    if _is_in(address, trusted):
        hops = [hop for line in connection.headers.getlist("x-forwarded-for") for hop in line.split(",")]
        for hop in reversed(hops):
            nearer = _parse(hop.strip())
            if nearer is None:
                break
            address = nearer
            if not _is_in(address, trusted):
                break
    return str(address)


def neighbourhood(address: str) -> str:
    """Return what is counted as one address: an IPv6 customer has 2^64 of them."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, 64), strict=False))
    return address


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    bare = text.partition("]")[0].removeprefix("[") if text.startswith("[") else text
    if bare.count(":") == 1:  # IPv4 with a port
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_in(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
