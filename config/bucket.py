"""Where recordings go once their call is over: the address of a bucket, and whether its endpoint may be used. Pure."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator

from config.setting_kinds import is_loopback
from config.wording import problem, shown

_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/[A-Za-z0-9!_.*'()/-]*)?")


def _bucket_url(url: str) -> str:
    found = _BUCKET.fullmatch(url)
    parts = (found[2] or "").strip("/").split("/") if found else []
    if found is None or any(part in (".", "..") for part in parts) or ("" in parts and len(parts) > 1):
        raise problem(
            f"must be a bucket and a prefix (got {shown(url)})", "write it like s3://voice-example/recordings"
        )
    return url.rstrip("/")


BucketUrl = Annotated[str, AfterValidator(_bucket_url)]
"""`s3://bucket` or `s3://bucket/prefix`, without a trailing slash."""


def split_bucket_url(url: str) -> tuple[str, str]:
    """Return the bucket and the prefix, which may be empty, of a `BucketUrl`."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return bucket, prefix


def is_private_host(host: str) -> bool:
    """Return whether a host is this machine, or an address that is not reached over the internet."""
    if is_loopback(host):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address.is_private and not address.is_unspecified
