"""What the caller hears while a tool runs: the tool's own sentence, then the agent's."""

from collections.abc import Awaitable, Callable

from config.agent import Limits
from pipelines.scribe import Scribe

AGAIN_MS = 5000.0
"""Quiet between two fillers; a tool may take longer than one sentence covers."""
_SETTLE_MS = 300.0
"""A filler is not begun in the very moment in which the agent's last word fades."""


class ToolFilling:
    """Says fillers in one call. `tick` is to be called about ten times a second while a tool runs."""

    def __init__(self, scribe: Scribe, limits: Limits, say: Callable[[str | None], Awaitable[None]]) -> None:
        """Take what is heard, how long is waited, and who says a sentence: the given one, None: the agent's."""
        self._scribe = scribe
        self._after_secs = limits.tool_filler_secs
        self._say = say
        self._filled_ms: float | None = None

    async def tick(self) -> None:
        """Say what this moment asks for."""
        scribe = self._scribe
        if not scribe.tools_running:
            return
        began_ms, filler = scribe.tool_since_ms, scribe.tool_filler
        quiet_since_ms = max(began_ms, scribe.line.playout.end_ms, scribe.last_caller_ms)
        is_first = self._filled_ms is None or self._filled_ms < began_ms
        if is_first or self._filled_ms is None:
            after_secs = self._after_secs if filler.after_secs is None else filler.after_secs
            due_ms = max(began_ms + after_secs * 1000, quiet_since_ms + _SETTLE_MS)
        else:
            due_ms = max(quiet_since_ms, self._filled_ms) + AGAIN_MS
        if scribe.now_ms >= due_ms and not scribe.caller.is_speaking and scribe.is_agent_idle:
            self._filled_ms = scribe.now_ms
            await self._say(filler.text if is_first else None)
