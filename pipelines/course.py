"""What the parts of one call in progress know of it, in one place: whose it is now, and what runs for it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from config.agent import AgentConfig
from pipelines.attention import Attention
from pipelines.call_recording import CallRecording
from pipelines.call_services import CallServices
from pipelines.conductor import Conductor
from pipelines.ladder import Ladder
from pipelines.live import LiveCall
from pipelines.model_failures import ModelFailure
from pipelines.pipeline_run import PipelineRun
from pipelines.scribe import Scribe
from pipelines.script import TakenOver
from pipelines.stages import Assembly
from pipelines.tools import Bot
from pipelines.transports import CallTransport
from telephony.next_step import NextStep
from transcripts.call import Call, EndReason


@dataclass
class Course:
    """One call while it runs.

    Attributes:
        agent: Whose call it is now; a handoff changes it, and its bot.
        on_model_failed: Takes a failure of the model that is past mending by itself.
        assembly: The stages that run now, or will run next.
        pipeline: What runs them; None before the first.
        ladder: What is left to do when the model fails; None before the first pipeline, and between two agents.
        conductor: Who ends the call.
        attention: How the agent listens and speaks from now on.
    """

    call: Call
    agent: AgentConfig
    bot: Bot
    voice: CallTransport
    services: CallServices
    live: LiveCall
    scribe: Scribe
    recording: CallRecording
    on_model_failed: Callable[[ModelFailure], None]
    pipeline: PipelineRun | None = None
    ladder: Ladder | None = None
    assembly: Assembly = field(init=False)
    conductor: Conductor = field(init=False)
    attention: Attention = field(init=False)

    @property
    def is_ending(self) -> bool:
        """Whether the call is over, or is being said goodbye to."""
        return self.conductor.reason is not None or self.conductor.is_saying_goodbye

    def plan(
        self,
        agent: AgentConfig,
        bot: Bot,
        voice: CallTransport,
        *,
        goes_on: bool = False,
        taken_over: TakenOver | None = None,
    ) -> Assembly:
        """Return what an agent's pipeline on this line is made from; nothing is built yet."""
        services = self.services
        return Assembly(
            call=self.call,
            agent=agent,
            bot=bot,
            tools=services.toolbox.tools_for(bot, agent, self.call),
            transport=voice.transport,
            line=voice.line,
            scribe=self.scribe,
            gemini=services.gemini,
            ringing=services.ringing,
            sentences=services.sentences,
            recording=self.recording,
            on_model_failed=self.on_model_failed,
            goes_on=goes_on,
            taken_over=taken_over,
        )

    def attend_as(self, agent: AgentConfig) -> Attention:
        """Return how this agent listens and speaks at first."""
        return Attention(agent, self.scribe, self.conductor, assembly=lambda: self.assembly, ladder=lambda: self.ladder)

    def leave(self, reason: EndReason, step: NextStep) -> None:
        """End the call; where it is on a phone Twilio then takes the step."""
        if self.voice.is_phone:
            self.conductor.leave(reason, step)
        else:
            self.conductor.end(reason)

    async def tell_model(self, text: str) -> None:
        """Tell the model something, which it then speaks of."""
        self.scribe.await_words()
        await self.assembly.tell(text)

    def hush(self) -> None:
        """Have nothing be heard of what the model says from now on."""
        if (model := self.assembly.model) is not None:
            model.hush()
