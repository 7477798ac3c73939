"""Models that are connected while the phone still rings: opened at the webhook, collected by the stream."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from google.genai import Client
from loguru import logger

from config.agent import AgentConfig
from config.pipeline import GeminiLive as GeminiLiveSettings
from pipelines.gemini_setup import LiveSetup, declare_tools
from pipelines.guest import AnyBot, GuestBot
from pipelines.model_link import ModelLink
from pipelines.script import TakenOver, greeting_of, instructions_of, opening_after, opening_of
from pipelines.sentences import Sentences
from pipelines.toolbox import Toolbox
from pipelines.tools import Bot, OfferedTool
from transcripts.call import Call


def make_link(
    client: Client,
    call: Call,
    agent: AgentConfig,
    bot: Bot,
    *,
    tools: Sequence[OfferedTool],
    opening: str,
    taken_over: TakenOver | None = None,
) -> ModelLink | None:
    """Return the link to the model of this agent, not yet open; None when its pipeline has no `gemini_live`.

    `tools` are those of this call; `opening` is what the model will be asked for first; `taken_over` says how the
    agent came by a call that another one had.
    """
    stage = agent.pipeline.find("gemini_live")
    if stage is None:
        return None
    settings = GeminiLiveSettings.model_validate(stage.settings)
    declared = tuple(declare_tools(tools, settings.model))
    setup = LiveSetup(
        settings,
        agent.language,
        instructions_of(agent, call, bot.hints, taken_over),
        declared,
        agent.listening.interrupting.may_interrupt,
        agent.listening.languages,
    )
    return ModelLink(client, setup, begins_with_content=bool(opening))


@dataclass
class Ringing:
    """The links of the calls that ring at this process. Whoever keeps their slots says when to forget one."""

    client: Client | None
    bots: Mapping[str, AnyBot]
    sentences: Sentences
    toolbox: Toolbox
    _links: dict[str, ModelLink] = field(default_factory=dict[str, ModelLink])
    _closing: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def expect(self, call: Call, agent: AgentConfig, *, taken_over: TakenOver | None = None) -> ModelLink | None:
        """Begin to connect the model for a call whose stream will come, or that this agent is to take over.

        Immediate; the second time nothing happens. Returns what is being opened now.
        """
        bot = self.bots.get(agent.bot)
        if self.client is None or call.call_id in self._links or bot is None or isinstance(bot, GuestBot):
            return None
        if taken_over is None:
            opening = opening_of(greeting_of(agent, call, self.sentences))
        else:
            opening = opening_after(agent, call)
        tools = self.toolbox.tools_for(bot, agent, call)
        link = make_link(self.client, call, agent, bot, tools=tools, opening=opening, taken_over=taken_over)
        if link is not None:
            self._links[call.call_id] = link
            link.open()
        return link

    def collect(self, call_id: str, wanted: ModelLink) -> ModelLink:
        """Return the open link of this call, or `wanted` when there is none or the agent was changed since."""
        link = self._links.pop(call_id, None)
        if link is None:
            return wanted
        if link.setup == wanted.setup and link.begins_with_content == wanted.begins_with_content:
            return link
        logger.info("the agent was changed while its phone rang: the model is connected again")
        self._close(link)
        return wanted

    def forget(self, call_id: str) -> None:
        """The stream will not come: close the connection. Does nothing once it was collected."""
        link = self._links.pop(call_id, None)
        if link is not None:
            self._close(link)

    async def close(self) -> None:
        """Forget all of them, and wait until they are closed."""
        for call_id in list(self._links):
            self.forget(call_id)
        if self._closing:
            await asyncio.wait(self._closing)

    def _close(self, link: ModelLink) -> None:
        closing = asyncio.create_task(link.close(), name="link that nobody collected")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
