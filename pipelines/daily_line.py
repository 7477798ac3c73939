"""A Daily room as a line. Imported only when a room is joined: Daily's native library is loaded with it.

What is proven without a room of Daily's own: that it is built, that its clock stands and its greeting waits until
somebody comes in. Joining a room and the audio in it are Pipecat's and Daily's code and have not been tried here.
"""

from typing import Any

from pipecat.frames.frames import Frame, LLMRunFrame, TTSSpeakFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.daily.transport import (
    DailyInputTransport,
    DailyOutputTransport,
    DailyParams,
    DailyTransport,
)

from pipelines.line import CallLine
from pipelines.line_taps import AgentTap, CallerTap


class Opening:
    """What opens the conversation, held back until there is somebody to hear it."""

    def __init__(self) -> None:
        """Begin with nobody there."""
        self._is_open = False
        self._held: list[Frame] = []

    def takes(self, frame: Frame) -> bool:
        """Keep a frame that has the agent speak first; False for any other, and for all once somebody is there."""
        if self._is_open or not isinstance(frame, LLMRunFrame | TTSSpeakFrame):
            return False
        self._held.append(frame)
        return True

    def release(self) -> list[Frame]:
        """Somebody is there: return what was held. Nothing the second time."""
        self._is_open = True
        held, self._held = self._held, []
        return held


class _Input(CallerTap, DailyInputTransport):
    def __init__(self, transport: DailyTransport, client: Any, params: DailyParams) -> None:
        super().__init__(transport, client, params)  # pyright: ignore[reportUnknownMemberType]
        self.opening = Opening()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if not self.opening.takes(frame):
            await super().process_frame(frame, direction)


class _Output(AgentTap, DailyOutputTransport):
    pass


class RoomTransport(DailyTransport):
    """Pipecat's Daily transport, with a line whose time begins when the first other participant comes in."""

    def __init__(self, room_url: str, token: str, bot_name: str, line: CallLine) -> None:
        """Take the room, a token that admits the bot, the name it shows there, and a line whose clock is held."""
        params = DailyParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_in_sample_rate=line.caller_hz,
            audio_out_sample_rate=line.agent_hz,
            audio_out_end_silence_secs=0,
        )
        super().__init__(room_url, token, bot_name, params)
        self._line = line
        self._incoming = _Input(self, self._client, params)
        outgoing = _Output(self, self._client, params)
        self._incoming.line = outgoing.line = line
        self._input, self._output = self._incoming, outgoing

    async def _on_joined(self, data: Any) -> None:
        await super()._on_joined(data)  # pyright: ignore[reportUnknownMemberType]
        # Whoever was faster than the bot has joined before it could be told.
        if any(participant_id != "local" for participant_id in self.participants()):
            await self._answer()

    async def _on_participant_joined(self, participant: Any) -> None:
        await super()._on_participant_joined(participant)  # pyright: ignore[reportUnknownMemberType]
        await self._answer()

    async def _on_participant_left(self, participant: Any, reason: Any) -> None:
        # Daily gives "leftCall" for whoever wished to leave; who was cut off comes with another reason.
        self._line.is_hung_up = reason == "leftCall"
        await super()._on_participant_left(participant, reason)  # pyright: ignore[reportUnknownMemberType]

    async def _on_error(self, error: Any) -> None:
        await super()._on_error(error)  # pyright: ignore[reportUnknownMemberType]
        # Pipecat only tells; the agent would sit before a closed door until its time is up.
        await self._call_event_handler("on_client_disconnected", None)

    async def _answer(self) -> None:
        if self._line.clock.is_held:
            self._line.clock.start()
        for frame in self._incoming.opening.release():
            await self._incoming.push_frame(frame)
