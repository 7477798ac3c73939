"""The three ways a voice gets in and out: phone, browser (WebRTC), Daily room. All end as a `CallTransport`."""

import asyncio
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fastapi import WebSocket
from pipecat.transports.base_transport import BaseTransport

from pipelines.clock import CallClock
from pipelines.line import CallLine
from pipelines.phone_line import PhoneTransport
from pipelines.phone_wire import PhoneWire
from pipelines.playout import Playout
from telephony.media_stream import MediaStream

_PHONE_HZ = 8000
_BROWSER_HZ = 16000
"""What voice activity takes and what a recording of a talk needs; Opus carries 48 kHz anyway."""
_BROWSER_DELAY_MS = 120.0
"""From our sending to the loudspeaker: a browser's jitter buffer and sound card. It returns no marks, so this is taken
for granted; without it the last tenth of a goodbye would be cut off."""


@dataclass(frozen=True)
class CallTransport:
    """A transport and the line that tells what is heard and said on it.

    `renew` returns another transport on the same line, for a call that goes on through another pipeline; None when the
    way in and out cannot be handed on. `is_phone`: there is a Twilio that can take the caller elsewhere.
    `wire` is its media socket, which may be left for a while; None where there is none.
    """

    transport: BaseTransport
    line: CallLine
    renew: Callable[[], BaseTransport] | None = None
    is_phone: bool = False
    wire: PhoneWire | None = None


def phone_transport(websocket: WebSocket, stream: MediaStream, clock: CallClock) -> CallTransport:
    """Twilio's media socket, accepted and `start` received, and a clock that was started then."""
    line = CallLine(clock, caller_hz=_PHONE_HZ, agent_hz=_PHONE_HZ)
    wire = PhoneWire(websocket, stream)

    def make() -> PhoneTransport:
        return PhoneTransport(wire, line)

    return CallTransport(make(), line, renew=make, is_phone=True, wire=wire)


class BadOffer(Exception):
    """What the browser sent is no WebRTC offer with audio."""


class BrowserPeer(Protocol):
    """A browser that called; see `pipelines.browser_line`."""

    async def wait_connected(self, timeout_secs: float) -> bool:
        """Wait until audio can flow; False when the browser did not come in that time."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


async def load_webrtc() -> None:
    """Load the WebRTC libraries, in a thread: seconds the first time, nothing after that."""
    await asyncio.to_thread(importlib.import_module, "pipelines.browser_line")


async def answer_browser(sdp: str, kind: str) -> tuple[BrowserPeer, str]:
    """Answer a browser's offer; returns the peer and our session description. Raises `BadOffer`."""
    await load_webrtc()
    from pipelines.browser_line import WebRtcPeer

    peer = WebRtcPeer()
    try:
        return peer, await peer.answer(sdp, kind)
    except ValueError as error:
        await peer.close()
        raise BadOffer(str(error)) from error
    except BaseException:
        await peer.close()
        raise


def browser_transport(peer: BrowserPeer) -> CallTransport:
    """The microphone and loudspeaker of a browser that `answer_browser` returned and that is connected."""
    from pipelines.browser_line import BrowserTransport, WebRtcPeer

    assert isinstance(peer, WebRtcPeer)
    line = CallLine(CallClock(), caller_hz=_BROWSER_HZ, agent_hz=_BROWSER_HZ, playout=Playout(_BROWSER_DELAY_MS))
    return CallTransport(BrowserTransport(peer.connection, line), line)


def room_transport(room_url: str, token: str, bot_name: str) -> CallTransport:
    """A Daily room. Its call begins (time 0, greeting) when somebody else comes into the room."""
    from pipelines.daily_line import RoomTransport

    line = CallLine(CallClock(), caller_hz=_BROWSER_HZ, agent_hz=_BROWSER_HZ, playout=Playout(_BROWSER_DELAY_MS))
    line.clock.hold()
    return CallTransport(RoomTransport(room_url, token, bot_name, line), line)
