"""What the model of a call may use: the bot's own tools, the built-in ones, and those that the agent's YAML makes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from config.agent import AgentConfig
from config.errors import Fault
from config.tools import NamedTool
from config.wording import suggest
from pipelines.built_in_tools import BUILT_IN_TOOLS, implied_tools
from pipelines.guest import AnyBot, GuestBot
from pipelines.handoff_tool import hand_over_to_for
from pipelines.tool_watch import NO_RULES, watch
from pipelines.tools import Bot, Tool
from transcripts.call import Call

_SWITCH = "speak_language"


@dataclass(frozen=True)
class Toolbox:
    """The tools of this process. `bots` are all there are, by name."""

    bots: Mapping[str, AnyBot]

    def tools_for(self, bot: Bot, agent: AgentConfig, call: Call) -> list[Tool]:
        """Return the tools of one call, in order: the bot's own, the handoff, then those of `tools:`. Immediate.

        Called again for the same call it returns as many with the same names and declarations.
        """
        variables = {**agent.variables, **call.variables}
        own = {tool.__name__: tool for tool in bot.tools}
        named = {entry.name: entry.settings for entry in agent.tools if isinstance(entry.settings, NamedTool)}
        offered = {name: (tool, named.get(name, NO_RULES)) for name, tool in own.items()}
        if agent.handoff.to:
            offered["hand_over_to"] = (hand_over_to_for(agent), NO_RULES)
        built_in = [name for name in [*implied_tools(agent), *named] if name not in own]
        offered |= {name: (BUILT_IN_TOOLS[name](agent), named.get(name, NO_RULES)) for name in built_in}
        if agent.listening.languages and _SWITCH not in offered:
            offered[_SWITCH] = (BUILT_IN_TOOLS[_SWITCH](agent), NO_RULES)  # one who may switch need not say so twice
        return [
            watch(tool, rules, agent.limits)
            for tool, rules in offered.values()
            if rules.only.holds(call.direction.value, variables)
        ]

    def faults_of(self, agent: AgentConfig) -> Iterator[Fault]:
        """Yield what is wrong with an agent's tools that its file alone does not tell."""
        bot = self.bots.get(agent.bot)
        own = {tool.__name__ for tool in bot.tools} if isinstance(bot, Bot) else set[str]()
        for position, tool in enumerate(agent.tools):
            place = ("tools", position, tool.name)
            if isinstance(bot, GuestBot):
                yield Fault(
                    place, f"the bot {agent.bot!r} brings its own pipeline", "remove tools:, or take another bot"
                )
            elif isinstance(tool.settings, NamedTool):
                if tool.name not in own and tool.name not in BUILT_IN_TOOLS:
                    cure = suggest(tool.name, [*BUILT_IN_TOOLS, *own], "there are")
                    new = "For a new tool add http: or mcp: below it"
                    yield Fault(place, f"there is no tool {tool.name!r}", f"{cure} {new}")
                elif tool.name == "transfer_call" and tool.name not in own and not agent.transfers:
                    yield Fault(place, "transfer_call has nowhere to go", "add transfers: with a destination")
            elif tool.name in own:
                yield Fault(place, f"the bot {agent.bot!r} has a tool of that name", "give this one another name")
            elif tool.name in BUILT_IN_TOOLS:
                yield Fault(place, f"{tool.name} is a built-in tool", "give this one another name")
