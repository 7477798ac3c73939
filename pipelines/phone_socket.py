"""The short way in and out of a media socket, where the server under us has one."""

from collections.abc import Callable
from typing import Protocol, cast

from fastapi import WebSocket

EXTENSION = "trunkline.media_socket"
"""Its name in the extensions of an ASGI scope."""


class ShortWay(Protocol):
    """A socket whose text messages need neither queue nor task. Everything is called on the event loop."""

    def read_by(self, reader: Callable[[str], None] | None) -> None:
        """Give every text message to `reader`, which must not raise; None: to the application again."""
        ...

    def send_now(self, text: str) -> bool:
        """Write one text message; False when this is not the moment, and the long way has to be gone."""
        ...


def short_way_of(websocket: WebSocket) -> ShortWay | None:
    """Return the short way of an accepted socket; None under a server that has none."""
    extensions = cast(dict[str, object], websocket.scope.get("extensions") or {})
    return cast(ShortWay | None, extensions.get(EXTENSION))
