"""Which addresses a tool may be sent to. Pure: text in, yes or no out."""

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address is in the last 32 bits
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_INTERNAL = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "home.arpa", "in-addr.arpa")
"""Names that no public name server answers for (RFC 6761, 6762, 8375; the others by custom)."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open Internet: of one host, reached from everywhere.

    An IPv6 address that holds an IPv4 one (mapped, 6to4, Teredo, NAT64) is as public as that is.
    """
    try:
        ip = ip_address(address.split("%")[0].strip("[]"))
    except ValueError:
        return False
    if isinstance(ip, IPv4Address):
        return _is_public_v4(ip)
    inner = _inner_v4(ip)
    if inner:
        return all(_is_public_v4(one) for one in inner)
    return ip in _UNICAST and ip.is_global and not ip.is_multicast


def host_fault(host: str) -> str | None:
    """Say what is wrong with a host's name or address as it is written, or None. Nothing is looked up."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        ip_address(name)
    except ValueError:
        last = name.rsplit(".", 1)[-1]
        if _NUMBER.fullmatch(last):
            # inet_aton reads 2130706433, 0x7f.1 and 0177.0.0.1 as 127.0.0.1.
            return "is an address in an odd form"
        if any(name == suffix or name.endswith(f".{suffix}") for suffix in _INTERNAL):
            return "is a private name"
        return None if "." in name else "is a private name"
    return None if is_public(name) else "is a private address"


def _is_public_v4(ip: IPv4Address) -> bool:
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _inner_v4(ip: IPv6Address) -> list[IPv4Address]:
    found = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in _NAT64:
        found.append(IPv4Address(int(ip) & 0xFFFF_FFFF))
    if int(ip) >> 32 == 0 and int(ip) > 1:  # ::a.b.c.d, long out of use
        found.append(IPv4Address(int(ip)))
    return [one for one in found if one is not None]
