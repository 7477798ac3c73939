"""The kinds of value that a setting can be, each checked with the cure in its message."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from config.sealing_keys import BadSealingKeys, read_keys
from config.wording import problem, shown

LOG_LEVELS = ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL")
# Bare PostgreSQL and SQLite URLs, as hosting providers hand them out, get the asynchronous drivers that are installed.
_DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}


def is_loopback(host: str) -> bool:
    """Return whether `host` (a name or an IP address, IPv6 with or without brackets) can only mean this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _web_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_sound = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # brackets that do not match, a port that is no number
        is_sound, parts = False, urlsplit("")
    if parts.scheme not in ("http", "https") or not is_sound or re.search(r"\s", url):
        raise problem(f"must be a URL such as https://voice.example.com (got {shown(url)})")
    if parts.username is not None or parts.query or parts.fragment:
        # The value is not repeated: what stands before an @ is a password.
        raise problem("must be a plain URL", "leave out user name, '?...' and '#...'")
    return url.rstrip("/")


def _https_url(url: str) -> str:
    if urlsplit(_web_url(url)).scheme != "https":
        raise problem(f"must begin with https:// (got {shown(url)})")
    return url.rstrip("/")


def _api_url(url: str) -> str:
    parts = urlsplit(_web_url(url))
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise problem(f"must begin with https://, because it carries credentials (got {shown(url)})")
    return url.rstrip("/")


def _database_url(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _DRIVERS:
        # The value is not repeated: it holds a password.
        raise problem("must be a PostgreSQL or SQLite URL", "write postgresql://user:password@host/name")
    return f"{_DRIVERS[scheme]}://{rest}"


def _redis_url(url: str) -> str:
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise problem("must begin with redis://, rediss:// or unix://")
    return url


def _sid(prefix: str) -> AfterValidator:
    def check(sid: str) -> str:
        if not re.fullmatch(rf"{prefix}[0-9a-fA-F]{{32}}", sid):
            raise problem(
                f"must be {prefix} and 32 hexadecimal digits (got {shown(sid)})", "copy it from Twilio's console"
            )
        return sid

    return AfterValidator(check)


def _file(path: Path) -> Path:
    if not path.is_file():
        raise problem(f"must be an existing file (got {shown(str(path))})")
    return path


def _log_level(name: str) -> str:
    if name.upper() not in LOG_LEVELS:
        raise problem(f"must be one of {', '.join(LOG_LEVELS)} (got {shown(name)})")
    return name.upper()


def _port(value: object) -> object:
    if isinstance(value, str) and value.startswith("tcp://"):
        # https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
        raise problem("was set by Kubernetes for a Service named trunkline", "set enableServiceLinks: false on the pod")
    return value


def _secrets_by_name(value: object) -> object:
    if isinstance(value, str):  # a variable that is really called TRUNKLINE_SECRET_NAME
        raise problem("NAME stands for a name of your own", "call it TRUNKLINE_SECRET_SHOP_KEY, or what you like")
    return value


def _hosts_and_ports(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip().lower() for part in value.split(",") if part.strip())


def _sealing_keys(text: SecretStr) -> SecretStr:
    try:
        has_keys = bool(read_keys(text.get_secret_value().split(",")))
    except BadSealingKeys as error:
        raise problem(str(error), "make a key with: openssl rand -base64 32") from error
    if not has_keys:
        raise problem("holds no key", "write id:base64 of 32 bytes, or leave it unset")
    return text


def _host_and_port(text: str) -> str:
    host, separator, port = text.rpartition(":")
    is_port = port.isascii() and port.isdigit() and 0 < int(port) < 65_536
    if not separator or not host or not is_port or re.search(r"[\s/@]", host) or (":" in host) != host.startswith("["):
        raise problem(f"must be host:port (got {shown(text)})", "write it like 10.0.0.7:8080 or [fd00::7]:8080")
    return text.lower()


def _listed(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _network(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return ipaddress.ip_network(value.strip("[]"))
    except ValueError:
        raise problem(
            f"must be an IP address or a network (got {shown(value)})", "write it like 10.0.0.7 or 10.0.0.0/8"
        ) from None


def _page_origin(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_sound = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_sound, parts = False, urlsplit("")
    if "*" in text:
        raise problem("must name each origin: whoever has a key must not meet any page", "leave out the *")
    if parts.scheme not in ("http", "https") or not is_sound or text != f"{parts.scheme}://{parts.netloc}":
        raise problem(f"must be an origin (got {shown(text)})", "write it like https://desk.example.com")
    return text.lower()


Port = Annotated[int, BeforeValidator(_port)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
"""http or https, without user name, query or fragment; a trailing slash is cut off."""
HttpsUrl = Annotated[str, AfterValidator(_https_url)]
ApiUrl = Annotated[str, AfterValidator(_api_url)]
"""https, or http on this machine."""
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
"""PostgreSQL or SQLite, with the asynchronous driver named."""
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
ExistingFile = Annotated[Path, AfterValidator(_file)]
LogLevel = Annotated[str, AfterValidator(_log_level)]
Secret = Annotated[SecretStr, Field(min_length=1)]
SealingKeyTexts = Annotated[SecretStr, AfterValidator(_sealing_keys)]
"""`id:base64 of 32 bytes`, comma between; the first one is the current one."""
ToolSecretsByName = Annotated[dict[str, Secret], NoDecode, BeforeValidator(_secrets_by_name)]
HostsAndPorts = Annotated[
    tuple[Annotated[str, AfterValidator(_host_and_port)], ...], NoDecode, BeforeValidator(_hosts_and_ports)
]
"""`host:port`, comma between, in small letters; IPv6 addresses in brackets."""
Network = Annotated[ipaddress.IPv4Network | ipaddress.IPv6Network, BeforeValidator(_network)]
"""Addresses: one of them, or as many as a network has."""
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_listed)]
"""Addresses and networks, comma between."""
PageOrigins = Annotated[tuple[Annotated[str, AfterValidator(_page_origin)], ...], NoDecode, BeforeValidator(_listed)]
"""Origins of pages, comma between; none of them stands for several."""
AccountSid = Annotated[str, _sid("AC")]
ApiKeySid = Annotated[str, _sid("SK")]
