"""What survives a connection: the state that a resumption handle stands for."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace

from simulators.mind import Mind, Reply

_MOST_HANDLES = 5000
"""The oldest expire, so that an emulator may serve for days."""


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A tool call whose result is awaited, and the reply that goes on with it."""

    call_id: str
    tool: str
    reply: Reply
    is_blocking: bool


@dataclass(slots=True)
class Memory:
    """What one connection knows of its conversation.

    `unanswered`: the last text of the history that the model has not replied to. `unheard`: what it should have replied
    to, and gave an empty turn instead. `text_in`, `text_out`: characters.
    `open_calls` are shared with the connections that went before.
    """

    mind: Mind
    is_history_given: bool = False
    unanswered: str | None = None
    unheard: str | None = None
    open_calls: dict[str, OpenCall] = field(default_factory=dict[str, OpenCall])
    text_in: int = 0
    text_out: int = 0
    said_secs: float = 0.0

    def copy(self) -> Memory:
        """The same at this moment: what is learned later is not in it, but calls that are open stay answerable."""
        return replace(self, mind=self.mind.copy())


@dataclass(slots=True)
class Memories:
    """All handles ever given out by one emulator. Each stands for what was known when it was given out."""

    _by_handle: dict[str, Memory] = field(default_factory=dict[str, Memory])

    def keep(self, memory: Memory) -> str:
        """A new handle for this memory as it is now."""
        handle = f"handle-{uuid.uuid4().hex}"
        self._by_handle[handle] = memory.copy()
        if len(self._by_handle) > _MOST_HANDLES:
            del self._by_handle[next(iter(self._by_handle))]
        return handle

    def find(self, handle: str) -> Memory | None:
        """What to go on with; each call returns a memory of its own."""
        memory = self._by_handle.get(handle)
        return memory.copy() if memory else None

    def forget(self, handle: str) -> None:
        """Makes a handle expire: resuming with it is refused from now on."""
        self._by_handle.pop(handle, None)
