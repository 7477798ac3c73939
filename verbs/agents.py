"""`cli.py agents`: the agents of files checked, stored ones brought in and out, secrets granted to them."""

import re
from pathlib import Path
from typing import Annotated

import typer

from config.agent import AGENT_NAME
from config.agent_file import Checks, dotted
from config.errors import AgentErrors, AgentProblem
from config.settings import Settings
from verbs.ground import load_settings, stop, with_database

verbs = typer.Typer(help="The agents in the YAML files, and those that are stored.", no_args_is_help=True)

_SECRET = re.compile(r"[A-Z][A-Z0-9_]*")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


@verbs.command("check")
def check() -> None:
    """Check every agent and print each problem with its cure."""
    settings = load_settings()
    from storage.agent_errands import read_catalog

    stored: list[AgentProblem] = []
    try:
        with_database(read_catalog(settings, checks_of(settings), stored.append))
    except AgentErrors as error:
        stop(str(error), 2)
    if stored:
        stop("\n".join(map(str, stored)), 2)
    print(f"{settings.agents_dir}: every agent can be used")


@verbs.command("schema")
def schema() -> None:
    """Write the JSON Schema of agent files, for editors."""
    from config.agent_schema import SCHEMA_FILE, write_schema

    write_schema()
    print(f"wrote {SCHEMA_FILE}")


@verbs.command("export")
def export(
    name: Annotated[str, typer.Argument(help="A stored agent.")],
    version: Annotated[int | None, typer.Option(min=1, help="Which version; the published one if left out.")] = None,
) -> None:
    """Print a stored agent as YAML, as its file would hold it."""
    from storage.agent_errands import export_agent
    from storage.stored_agents import NoSuchStoredAgent, NoSuchVersion

    try:
        print(with_database(export_agent(load_settings(log_level="WARNING"), name, version)), end="")
    except NoSuchStoredAgent:
        stop(f"there is no stored agent {name}", 2)
    except NoSuchVersion:
        stop(f"{name} has no version {version}", 2)


@verbs.command("import")
def bring_in(
    file: Annotated[Path, typer.Argument(help="A YAML file; its name is the agent's.")],
    publish: Annotated[bool, typer.Option("--publish", help="Let it answer calls at once.")] = False,
) -> None:
    """Store a YAML file as a new agent, or as a new version of the stored agent of its name."""
    settings = load_settings(log_level="WARNING")
    from storage.agent_desk import BadAgent, ReadOnlyAgent
    from storage.agent_errands import import_agent

    try:
        print(with_database(import_agent(settings, checks_of(settings), file, is_published=publish)))
    except BadAgent as error:
        lines = [": ".join(filter(None, (dotted(f.path), f"{f.message}; {f.cure}"))) for f in error.faults]
        stop("\n".join(lines), 2)
    except (ReadOnlyAgent, AgentErrors) as error:
        stop(str(error), 2)


@verbs.command("grant-secret")
def grant_secret(
    agent: Annotated[str, typer.Argument(help="A stored agent, or the name of one to come.")],
    name: Annotated[str, typer.Argument(help="SHOP for TRUNKLINE_SECRET_SHOP.")],
    host: Annotated[
        list[str] | None, typer.Option(help="The only host that may get it; repeat it. Left out: any.")
    ] = None,
) -> None:
    """Let a stored agent's tools and webhooks use a secret; in place of what was granted before."""
    if not AGENT_NAME.fullmatch(agent):
        stop(f"{agent!r} is not a usable agent name: lower-case letters, digits and dashes", 2)
    if not _SECRET.fullmatch(name):
        stop(f"{name!r} is not the name of a secret: write SHOP for TRUNKLINE_SECRET_SHOP", 2)
    if wrong := [one for one in host or () if not _HOST.fullmatch(one.lower())]:
        stop(f"{wrong[0]!r} is not a host: write it like shop.example.com, without https:// and path", 2)
    from storage.agent_errands import grant_secret as granted

    print(with_database(granted(load_settings(log_level="WARNING"), agent, name, host or ())))


@verbs.command("withdraw-secret")
def withdraw_secret(
    agent: Annotated[str, typer.Argument(help="A stored agent.")],
    name: Annotated[str, typer.Argument(help="SHOP for TRUNKLINE_SECRET_SHOP.")],
) -> None:
    """Take back what was granted: from the next call on, tools that need the secret are not there."""
    from storage.agent_errands import withdraw_secret as withdrawn

    if not with_database(withdrawn(load_settings(log_level="WARNING"), agent, name)):
        stop(f"{agent} was not granted the secret {name}", 2)
    print(f"the stored agent {agent} may not send the secret {name} any more")


def checks_of(settings: Settings) -> Checks:
    """Return what agents are checked by: bots, stages, tools. Faulty bots end the program."""
    from bots import BotErrors, load_bots
    from pipelines.guest import settings_of_bots
    from pipelines.stages import check_dotted
    from pipelines.toolbox import Toolbox

    try:
        bots = load_bots(settings.bots_dir)
    except BotErrors as error:
        stop(str(error), 2)
    return Checks(settings_of_bots(bots), check_dotted, Toolbox(bots, settings).faults_of)
