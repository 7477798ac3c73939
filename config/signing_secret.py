"""A secret that webhooks are signed with, as the Standard Webhooks specification writes it: whsec_ and base64.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii

from config.wording import problem

_PREFIX = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64
_CURE = "make one with: openssl rand -base64 32, and write whsec_ before it"


def key_of_secret(secret: str) -> bytes:
    """Return the key that the secret stands for. Raises the problem with its cure; the secret is not repeated."""
    if not secret.startswith(_PREFIX):
        raise problem("must begin with whsec_", _CURE)
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise problem("must be whsec_ and base64", _CURE) from error
    if not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise problem(f"must hold {_LEAST_BYTES} to {_MOST_BYTES} bytes (it has {len(key)})", _CURE)
    return key
