"""What reading sentences aloud uses of the model, told as the model tells it: also after the sound was there.

The sound of a sentence is whole long before its turn ends, and what it used is told with the end. Nobody waits for
that: the conversation stays open for it, beside everything else.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from loguru import logger

from pipelines.sentence_reading import WrongReading

SENTENCES = "sentences"
"""The source of what is used so, in a call's costs and an agent's."""
_MOST_OPEN = 6


class TellUsage(Protocol):
    """Is told what one message of a model says was used, in its provider's words; instant, and never fails."""

    def __call__(
        self, agent_name: str, source: str, model: str, usage: Mapping[str, Any], call_id: str | None = None
    ) -> None:
        """Take whose it is; without a call it is the agent's of that day."""
        ...


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose costs a reading is: a call's, or an agent's."""

    agent_name: str
    call_id: str | None = None


class Meter:
    """Holds conversations whose sound is there, until the model has told what they used."""

    def __init__(self, tell: TellUsage | None) -> None:
        """Take who is told; None: nobody, and no conversation stays open."""
        self._tell = tell
        self._open: set[asyncio.Task[None]] = set()
        self.counts = tell is not None

    @property
    def is_counting(self) -> bool:
        """Whether anything has yet to be told."""
        return bool(self._open)

    def count(self, payer: Payer, model: str, usage: Mapping[str, Any]) -> None:
        """Tell what one message says."""
        if self._tell is not None:
            self._tell(payer.agent_name, SENTENCES, model, usage, payer.call_id)

    def see_off(self, talk: "asyncio.Task[None]") -> None:
        """Let a conversation end by itself."""
        self._open.add(talk)
        talk.add_done_callback(self._ended)

    async def wait_for_room(self) -> None:
        """Return when few enough are open: each of them is a connection more at the model's provider."""
        while len(self._open) >= _MOST_OPEN:
            await asyncio.wait(self._open, return_when=asyncio.FIRST_COMPLETED)

    async def close(self) -> None:
        """End them all; what is told later than this is counted nowhere."""
        for talk in list(self._open):
            await end(talk)

    def _ended(self, talk: "asyncio.Task[None]") -> None:
        self._open.discard(talk)
        if not talk.cancelled() and (error := talk.exception()) is not None and not isinstance(error, WrongReading):
            logger.bind(problem=type(error).__name__).info("the model did not tell what a sentence has used")


async def end(talk: "asyncio.Task[None]") -> None:
    """Cancel a conversation, and return when it is over, however it ends."""
    talk.cancel()
    await asyncio.gather(talk, return_exceptions=True)
