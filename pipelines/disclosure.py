"""What has to be said first of all to somebody who is called, and is said to its end even when he speaks first.

Until it was heard the model and its local ears get silence for whatever comes in: a model that hears nobody is
interrupted by nobody. What the called person said meanwhile is in the recording, and is answered by nothing: he is
being told who calls.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from config.agent import AgentConfig
from config.pipeline import STAGES
from pipelines.announcer import Announcer
from pipelines.scribe import Scribe
from transcripts.call import Call, Direction

_POLL_SECS = 0.05
_LONGEST_SECS = 20.0
"""A model that has said nothing by then will be helped by the agent's ladder, and not by deafness."""

Hear = Callable[[bytes, float], None]
"""Takes the caller's PCM16, and until when it lasts in ms of call time."""


def discloses(agent: AgentConfig, call: Call) -> bool:
    """Whether whoever is on this call has yet to be told that an assistant speaks."""
    return call.direction is Direction.OUTBOUND and bool(agent.disclosure) and not call.is_disclosed


def disclosure_text(agent: AgentConfig, call: Call) -> str:
    """Return what is said, with the variables of the call filled in."""
    return agent.render(agent.disclosure or "", call.variables)


def may_close_ears(agent: AgentConfig) -> bool:
    """Whether this agent's pipeline can be kept from hearing: all of its stages are ours, and a model both hears and
    speaks. Any other agent's disclosure is said by Twilio's voice before the stream."""
    stages = agent.pipeline.stages
    return agent.pipeline.find("gemini_live") is not None and all(stage.name in STAGES for stage in stages)


@dataclass
class ClosedEars:
    """Silence for who would hear. `open` is called once, with the real ears behind it from then on."""

    hear_really: Hear
    use: Callable[[Hear], None]

    def hear(self, pcm: bytes, until_ms: float) -> None:
        """Pass on as much silence."""
        self.hear_really(bytes(len(pcm)), until_ms)

    def open(self) -> None:
        """Hear from now on."""
        self.use(self.hear_really)


async def open_when_heard(ears: ClosedEars, announcer: Announcer, scribe: Scribe, *, by_model: bool) -> None:
    """Open the ears when the disclosure was heard to its end.

    `by_model`: it is part of the model's first utterance; else it was announced already.
    """
    try:
        async with asyncio.timeout(_LONGEST_SECS):
            if by_model:
                while scribe.spoken_count <= scribe.announced_count or not scribe.is_agent_idle:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECS)
            else:
                while scribe.announced_count == 0:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECS)
                await announcer.wait_heard()
            scribe.event("agent.disclosed")
    except TimeoutError:
        scribe.event("agent.disclosure_lost")
    finally:
        ears.open()
