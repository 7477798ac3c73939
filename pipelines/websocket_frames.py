"""What both short ways, to Twilio and to the model, know of WebSocket frames (RFC 6455, section 5.2)."""

import struct

try:
    from websockets.speedups import apply_mask
except ImportError:  # websockets ships it for every common machine; elsewhere its own Python does
    from websockets.utils import apply_mask

TEXT, BINARY = 0x81, 0x82
"""Final frames of data."""
CONTROL = frozenset((0x88, 0x89, 0x8A))
"""Close, ping, pong; final."""
MASKED = 0x80


def text_head(size: int, masked: int = 0) -> bytes:
    """Return what stands before the mask, or the payload, of a text frame; `masked` is `MASKED` for one with a mask."""
    if size < 126:
        return bytes((TEXT, masked | size))
    if size < 65536:
        return struct.pack("!BBH", TEXT, masked | 126, size)
    return struct.pack("!BBQ", TEXT, masked | 127, size)


__all__ = ["BINARY", "CONTROL", "MASKED", "TEXT", "apply_mask", "text_head"]
