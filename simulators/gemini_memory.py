"""What survives a connection: the state that a resumption handle stands for."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from simulators.mind import Mind, Reply


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A tool call whose result is awaited, and the reply that goes on with it."""

    call_id: str
    tool: str
    reply: Reply
    is_blocking: bool


@dataclass(slots=True)
class Memory:
    """One conversation, whatever connection it is on.

    `unanswered`: the last text of the history that the model has not replied to. `text_in`, `text_out`: characters.
    """

    mind: Mind
    is_history_given: bool = False
    unanswered: str | None = None
    open_calls: dict[str, OpenCall] = field(default_factory=dict[str, OpenCall])
    text_in: int = 0
    text_out: int = 0
    said_secs: float = 0.0


@dataclass(slots=True)
class Memories:
    """All handles ever given out by one emulator."""

    _by_handle: dict[str, Memory] = field(default_factory=dict[str, Memory])

    def keep(self, memory: Memory) -> str:
        """A new handle for this memory."""
        handle = f"handle-{uuid.uuid4().hex}"
        self._by_handle[handle] = memory
        return handle

    def find(self, handle: str) -> Memory | None:
        return self._by_handle.get(handle)

    def forget(self, handle: str) -> None:
        """Makes a handle expire: resuming with it is refused from now on."""
        self._by_handle.pop(handle, None)
