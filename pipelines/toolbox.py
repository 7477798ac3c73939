"""What the model of a call may use: the bot's own tools, the built-in ones, and those that the agent's YAML makes."""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from pipecat.services.llm_service import FunctionCallParams
from pydantic_core import PydanticCustomError

from config.agent import AgentConfig
from config.errors import Fault
from config.settings import Settings
from config.signing_secret import key_of_secret
from config.tool_secrets import secret_variable
from config.tools import HttpTool, McpTools, NamedTool, Tool, ToolRules
from config.tools_checks import hosts_of, secrets_of
from config.twilio_credentials import twilio_credentials
from config.wording import suggest
from net.mcp_address import McpAddress, McpTool
from net.mcp_servers import McpServers
from net.pinned import AddressGuard
from net.tool_request import ToolRequests
from pipelines.built_in_tools import BUILT_IN_TOOLS, implied_tools
from pipelines.guest import AnyBot, GuestBot
from pipelines.handoff_tool import hand_over_to_for
from pipelines.http_tools import ask_service
from pipelines.mcp_tools import address_of, ask_server, missing_from, offered_by
from pipelines.message_tools import send_sms
from pipelines.tool_addresses import address_fault
from pipelines.tool_watch import NO_RULES, watch, watch_made
from pipelines.tools import Bot, OfferedTool
from telephony.rest import TwilioRest, open_rest
from transcripts.call import Call, Direction

_SWITCH = "speak_language"


class Toolbox:
    """The tools of this process."""

    def __init__(self, bots: Mapping[str, AnyBot], settings: Settings) -> None:
        """Take all bots by name, and the settings for what tools may send, and whom they may ask."""
        self._bots = bots
        self._secrets = {name: secret.get_secret_value() for name, secret in settings.tool_secrets.items()}
        self._guard = AddressGuard(frozenset(settings.tool_private_hosts))
        self._requests = ToolRequests(self._guard)
        self._servers = McpServers(self._guard)
        self._settings = settings
        self.texting: TwilioRest | None = None
        self._agents: Callable[[], Sequence[AgentConfig]] = tuple

    @asynccontextmanager
    async def opened(self, agents: Callable[[], Sequence[AgentConfig]]) -> AsyncGenerator[None]:
        """Be ready for calls until the end of the block; `agents` returns those in use at each moment."""
        self._agents = agents
        try:
            await self._servers.begin(self._addresses())
            if any(isinstance(tool.settings, HttpTool) for agent in agents() for tool in agent.tools):
                await self._requests.prepare()
            async with open_rest(twilio_credentials(self._settings), self._settings.twilio_api_base) as self.texting:
                yield
        finally:
            await self._servers.close()
            await self._requests.close()

    def tools_for(self, bot: Bot, agent: AgentConfig, call: Call) -> list[OfferedTool]:
        """Return the tools of one call, in order: the bot's own, the handoff, then those of `tools:`. Immediate.

        Called again for the same call it returns as many with the same names and declarations.
        """
        variables = {**agent.variables, **call.variables}
        is_browser = call.direction is Direction.BROWSER
        named: dict[str, ToolRules] = {
            tool.name: tool.settings for tool in agent.tools if isinstance(tool.settings, NamedTool)
        }
        functions = {function.__name__: function for function in bot.tools}
        if agent.handoff.to:
            functions["hand_over_to"] = hand_over_to_for(agent)
        if agent.listening.languages:  # one who may switch need not say so twice
            named.setdefault(_SWITCH, NO_RULES)
        for name in (*implied_tools(agent), *named):
            if name not in functions:
                functions[name] = BUILT_IN_TOOLS[name](agent)
        offered: list[OfferedTool] = []
        for name, function in functions.items():
            rules = named.get(name, NO_RULES)
            if is_browser and function is send_sms:
                continue  # nobody there has a number
            if rules.only.holds(call.direction.value, variables):
                offered.append(watch(function, rules, agent.limits))
        taken = {*functions, *BUILT_IN_TOOLS, *(tool.name for tool in agent.tools)}
        for tool in agent.tools:
            settings = tool.settings
            if isinstance(settings, NamedTool) or self._withheld(agent, tool) is not None:
                continue
            if isinstance(settings, HttpTool):
                if settings.only.holds(call.direction.value, variables):
                    offered.append(self._http_tool(tool.name, settings, agent))
            else:
                for name, found, rules in self._offered_by(tool.name, settings, taken):
                    taken.add(name)
                    if rules.only.holds(call.direction.value, variables):
                        offered.append(self._mcp_tool(name, found, rules, tool.name, settings, agent))
        return offered

    def missing(self, agent: AgentConfig) -> Iterator[tuple[str, str]]:
        """Yield what a call of this agent has to do without at the moment, each with the reason."""
        for tool in agent.tools:
            if isinstance(tool.settings, McpTools):
                if (withheld := self._withheld(agent, tool)) is not None:
                    yield tool.name, f"the secret {withheld} was withdrawn from the agent"
                    continue
                found = self._servers.tools_of(self._address_of(tool.name, tool.settings))
                if isinstance(found, str):
                    yield tool.name, found
                else:
                    yield from ((name, f"{tool.name} does not have it") for name in missing_from(tool.settings, found))

    def faults_of(self, agent: AgentConfig) -> Iterator[Fault]:
        """Yield what is wrong with an agent's tools and webhooks that its file alone does not tell."""
        yield from self._webhook_faults(agent)
        bot = self._bots.get(agent.bot)
        own = {tool.__name__ for tool in bot.tools} if isinstance(bot, Bot) else set[str]()
        if agent.handoff.to:
            own.add("hand_over_to")
        if isinstance(bot, GuestBot) and agent.handoff.to:
            message = f"the bot {agent.bot!r} brings its own pipeline, and cannot hand over"
            yield Fault(("handoff", "to"), message, "remove handoff:, or take another bot")
        for position, tool in enumerate(agent.tools):
            place = ("tools", position, tool.name)
            if isinstance(bot, GuestBot):
                yield Fault(
                    place, f"the bot {agent.bot!r} brings its own pipeline", "remove tools:, or take another bot"
                )
                continue
            if tool.name == "transfer_call" and tool.name not in own and not agent.transfers:
                yield Fault(place, "transfer_call has nowhere to go", "add transfers: with a destination")
            if tool.name == "schedule_callback" and not agent.outbound.enabled:
                yield Fault(place, "the agent may not place calls", "write outbound: {enabled: true}, or remove it")
            yield from (Fault(place, *fault) for fault in _name_faults(tool, agent.bot, own))
            yield from (Fault((*place, *path), *fault) for path, *fault in self._secret_faults(agent, tool))
            yield from (Fault((*place, *path), *fault) for path, *fault in self._address_faults(tool))

    def look(self) -> None:
        """Agents have been changed: have connections to the servers that they name now. Immediate."""
        self._servers.want(self._addresses())

    def _secret_faults(self, agent: AgentConfig, tool: Tool) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
        hosts = hosts_of(tool)
        for path, name in secrets_of(tool):
            # Of a secret that an agent may not send it is not even told whether there is one.
            if not agent.origin.may_send(name, hosts):
                granted = (agent.origin.secrets or {}).get(name, frozenset())
                options = "".join(f" --host {host}" for host in sorted({*hosts, *granted}))
                cure = f"have the operator run: cli.py agents grant-secret {agent.name} {name}{options}"
                yield path, f"the secret {name} is not granted to this agent for {', '.join(hosts)}", cure
            elif name not in self._secrets:
                yield path, f"there is no secret {name}", f"set {secret_variable(name)}, or correct the name"

    def _withheld(self, agent: AgentConfig, tool: Tool) -> str | None:
        """Return the first secret that a tool needs, and that its agent was not granted, or not any more."""
        needed = (name for _, name in secrets_of(tool))
        return next((name for name in needed if not agent.origin.may_send(name, hosts_of(tool))), None)

    def _webhook_faults(self, agent: AgentConfig) -> Iterator[Fault]:
        """What a key may not do by having calls told to somebody; and what could not be signed."""
        for position, webhook in enumerate(agent.webhooks):
            place, host = ("webhooks", position), urlsplit(webhook.url).hostname or ""
            if agent.origin.is_stored and (found := address_fault(webhook.url, self._guard)) is not None:
                yield Fault((*place, "url"), *found)
            if webhook.secret is None:
                continue
            name = webhook.secret.secret
            if not agent.origin.may_send(name, [host.lower()]):
                cure = f"have the operator run: cli.py agents grant-secret {agent.name} {name} --host {host.lower()}"
                yield Fault((*place, "secret"), f"the secret {name} is not granted to this agent for {host}", cure)
            elif (wrong := self._signing_fault(name)) is not None:
                yield Fault((*place, "secret"), *wrong)

    def _signing_fault(self, name: str) -> tuple[str, str] | None:
        """Return why nothing can be signed with a secret, and the cure; the secret is not repeated."""
        secret, variable = self._secrets.get(name), secret_variable(name)
        if secret is None:
            return (
                f"there is no secret {name}",
                f"set {variable}, correct the name, or remove the line to have one made",
            )
        try:
            key_of_secret(secret)
        except PydanticCustomError as error:
            told = error.context or {}
            return f"the secret {name} {told.get('message')}", f"{told.get('cure')}; it is read from {variable}"
        return None

    def _http_tool(self, name: str, tool: HttpTool, agent: AgentConfig) -> OfferedTool:
        async def work(params: FunctionCallParams, arguments: Mapping[str, Any]) -> None:
            await ask_service(params, tool, arguments, self._requests, self._secrets)

        return watch_made(name, tool.describe, tool.parameters, tool, agent.limits, work)

    def _offered_by(self, name: str, tool: McpTools, taken: set[str]) -> Iterator[tuple[str, McpTool, ToolRules]]:
        self._servers.want(self._addresses())  # agents may have been edited since
        found = self._servers.tools_of(self._address_of(name, tool))
        if not isinstance(found, str):
            yield from offered_by(name, tool, found, taken)

    def _mcp_tool(
        self, name: str, tool: McpTool, rules: ToolRules, server: str, settings: McpTools, agent: AgentConfig
    ) -> OfferedTool:
        address, most_chars = self._address_of(server, settings), settings.mcp.max_result_chars

        async def work(params: FunctionCallParams, arguments: Mapping[str, Any]) -> None:
            await ask_server(params, tool, arguments, self._servers, address, rules, self._secrets, most_chars)

        return watch_made(name, tool.description, tool.parameters, rules, agent.limits, work)

    def _address_of(self, name: str, tool: McpTools) -> McpAddress:
        return address_of(name, tool, self._secrets)

    def _addresses(self) -> list[McpAddress]:
        """Every server that an agent in use names."""
        return [
            self._address_of(tool.name, tool.settings)
            for agent in self._agents()
            for tool in agent.tools
            if isinstance(tool.settings, McpTools) and self._withheld(agent, tool) is None
        ]

    def _address_faults(self, tool: Tool) -> Iterator[tuple[tuple[str, ...], str, str]]:
        settings = tool.settings
        if isinstance(settings, HttpTool):
            found = address_fault(settings.http.url, self._guard)
            path = ("http", "url")
        elif isinstance(settings, McpTools) and settings.mcp.url is not None:
            found = address_fault(settings.mcp.url, self._guard)
            path = ("mcp", "url")
        else:
            return
        if found is not None:
            yield path, *found


def _name_faults(tool: Tool, bot: str, own: set[str]) -> Iterator[tuple[str, str]]:
    if isinstance(tool.settings, NamedTool):
        if tool.name not in own and tool.name not in BUILT_IN_TOOLS:
            cure = suggest(tool.name, [*BUILT_IN_TOOLS, *own], "there are")
            yield f"there is no tool {tool.name!r}", f"{cure} A new tool has http: or mcp: below its name"
    elif isinstance(tool.settings, HttpTool):
        if tool.name in own:
            yield f"the bot {bot!r} has a tool of that name", "give this one another name"
        elif tool.name in BUILT_IN_TOOLS:
            yield f"{tool.name} is a built-in tool", "give this one another name"
