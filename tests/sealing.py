"""Sealing keys for tests."""

from config.sealing_keys import KeyText
from storage.key_ring import KeyRing

KEYS = KeyRing([KeyText("test", bytes(range(32)))])
OTHER_KEYS = KeyRing([KeyText("other", bytes(range(1, 33)))])
BOTH_KEYS = KeyRing([KeyText("other", bytes(range(1, 33))), KeyText("test", bytes(range(32)))])
"""After a change of keys: what `KEYS` sealed is still opened."""
