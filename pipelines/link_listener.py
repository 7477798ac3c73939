"""What whoever holds a conversation is told by its link to the model, and what the link asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from google.genai.types import Content, FunctionResponse, LiveServerMessage

from pipelines.model_failures import ModelFailure


class Beginning(StrEnum):
    """How a connection goes on with the conversation."""

    NEW = "new"
    RESUMED = "resumed"
    SEEDED = "seeded"
    """Begun anew, and told what was said so far."""


class Cause(StrEnum):
    """Why another connection is needed; the `kind` of `trunkline_recoveries_total`."""

    CONNECT = "connect"
    DROPPED = "dropped"
    HANDOVER = "handover"
    STALLED = "stalled"
    OTHER_MODEL = "other_model"


@dataclass(frozen=True, slots=True)
class Resumption:
    """What a connection that goes on has to be told, in this order.

    Attributes:
        context: What was said since the handle was given out, on which the conversation is resumed.
        say_again_from_ms: Voice of the caller, sent to the connection before, from this call time on.
        prompt: What the model is to do now; empty: nothing but listen.
    """

    say_again_from_ms: float
    prompt: str = ""
    context: Sequence[Content] = ()


class LinkListener(Protocol):
    """Whoever holds the conversation. Called on the loop; only the `async` methods may wait."""

    async def link_message(self, message: LiveServerMessage) -> None:
        """The model says something."""
        ...

    async def link_voice(self, pcm: bytes) -> None:
        """The model speaks: PCM16 mono at 24 kHz, of any number of bytes, in order with its messages."""
        ...

    async def link_words(self, words: str) -> None:
        """What the model is about to say, or has just said, in words; in order with its voice."""
        ...

    async def link_pause(self) -> None:
        """All that the model has sent so far was told."""
        ...

    def link_ready(self, beginning: Beginning, cause: Cause, took_secs: float) -> None:
        """A connection stands; what was waiting is being sent."""
        ...

    async def link_lost(self, cause: Cause, failure: ModelFailure | None) -> None:
        """The connection is gone or being left; another one is being made."""
        ...

    def link_attempt_failed(self, failure: ModelFailure) -> None:
        """One attempt to connect failed; others follow."""
        ...

    def link_failed(self, cause: Cause, failure: ModelFailure) -> None:
        """This model will not be had. Nothing more is tried until `use` names another."""
        ...

    def link_going(self, time_left_secs: float | None) -> None:
        """The server will close the connection, in so long if it said so; it is replaced before."""
        ...

    def link_resumable(self) -> None:
        """The conversation could be resumed from here, with nothing lost."""
        ...

    def link_malformed(self, count: int) -> None:
        """A message could not be read; `count` so far in a row."""
        ...

    def history(self) -> Sequence[Content]:
        """What was said so far, for a connection that knows nothing."""
        ...

    def resumption(self, beginning: Beginning) -> Resumption:
        """What a connection that has just become ready has to be told."""
        ...

    def as_prompt(self, result: FunctionResponse) -> str:
        """Tell a tool's result in words, for a connection that never made the call; empty when more is to come."""
        ...

    def is_quiet(self) -> bool:
        """Whether this is a moment in which nobody would notice a change of connections."""
        ...
