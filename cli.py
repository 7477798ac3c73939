"""The command line: every verb reads the settings, calls a room and prints what came of it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar
from uuid import uuid4

import typer

from config.agents_folder import AgentCatalog
from config.env_example import render_env_example
from config.errors import AgentErrors, AgentProblem, ConfigError
from config.settings import Settings
from switchboard.cores import usable_cores
from telemetry import logs
from verbs import agents, copies, keys, people, sealing, webhooks
from verbs.ground import importing, load_settings, stop, with_database

app = typer.Typer(
    help="Trunkline: voice agents that answer phone calls.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(agents.verbs, name="agents")
bench_app = typer.Typer(help="How many calls a core carries, measured at the wire.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")
numbers_app = typer.Typer(help="The telephone numbers of the Twilio account.", no_args_is_help=True)
app.add_typer(numbers_app, name="numbers")
app.add_typer(keys.verbs, name="keys")
app.add_typer(webhooks.verbs, name="webhooks")
app.command("backup")(copies.backup)
app.command("restore")(copies.restore)
search_app = typer.Typer(help="Calls found by the words of their transcripts.", no_args_is_help=True)
app.add_typer(search_app, name="search")
app.add_typer(people.do_not_call, name="do-not-call")
app.add_typer(people.receipts, name="receipts")
for verb in (people.erase, people.export, people.purge):
    app.command()(verb)
app.add_typer(sealing.verbs, name="sealing")

_ROOT = Path(__file__).parent
_Result = TypeVar("_Result")
_BENCH_RESULTS = _ROOT / "bench" / "results"
_CHILD_STOP_SECS = 5.0


@app.command()
def serve() -> None:
    """Serve phone calls and the playground with the settings as they are."""
    _serve(load_settings())


@app.command(hidden=True)
def work(messages: int, passage: int) -> None:
    """Serve as one process of several; started by `serve` with the numbers of two sockets, and by nobody else."""
    from switchboard.first_words import NoSupervisor, open_sockets, read_begin
    from switchboard.member import Member

    try:
        ours, theirs = open_sockets(messages, passage)
        begin = read_begin(ours)
    except NoSupervisor as error:
        stop(str(error), 2)
    logs.configure(begin.settings["log_level"], form=begin.settings["log_format"])
    logs.name_process(begin.number)
    with importing():
        from api.signals import run_as_member, run_on_loop
        from server import RunningServer

    settings, member = Settings.model_validate(begin.settings), Member(begin, ours, theirs)
    server = RunningServer(settings, drain_secs=settings.drain_secs, member=member)
    raise typer.Exit(run_on_loop(run_as_member(member, server)))


@app.command()
def run() -> None:
    """Serve; without a Gemini key a stand-in Gemini speaks, so that a newcomer hears something at once."""
    settings = load_settings()
    if not settings.uses_emulator:
        return _serve(settings)
    with _stand_in_gemini(settings.data_dir) as (base_url, ca_file):
        stand_in = {"gemini_base_url": base_url, "gemini_ca_file": ca_file}
        _serve(load_settings(**stand_in), is_emulated=True, **stand_in)


@app.command()
def demo() -> None:
    """Play one whole phone call on free ports, without any key, and print it as it goes."""
    settings = load_settings(log_level="WARNING")
    with importing():
        from demo.run import run_demo

    raise typer.Exit(asyncio.run(run_demo(settings, write=print, now=datetime.now())))


@app.command()
def call(
    to: Annotated[str | None, typer.Argument(help="Whom to call, E.164; leave it out with --simulate.")] = None,
    agent: Annotated[str | None, typer.Option(help="Which agent speaks.")] = None,
    from_number: Annotated[str | None, typer.Option("--from", help="The number they see; one of ours.")] = None,
    variable: Annotated[list[str] | None, typer.Option(help="name=value for the agent's texts; repeat it.")] = None,
    ring_secs: Annotated[int | None, typer.Option(help="How long the phone rings.")] = None,
    at: Annotated[str | None, typer.Option(help="When, as 2026-03-01T09:00:00+01:00; now when left out.")] = None,
    simulate: Annotated[str | None, typer.Option(help="An agent to phone, by a simulated telephone.")] = None,
    fault: Annotated[
        str | None, typer.Option(help="What goes wrong on a simulated call; the names: simulators/faults.py.")
    ] = None,
) -> None:
    """Have the running server call somebody; or phone an agent of it without a telephone (--simulate)."""
    settings = load_settings(log_level="WARNING")
    if simulate is not None:
        _simulate(settings, simulate, fault)
    if to is None or agent is None:
        stop("say whom to call and which agent speaks: cli.py call +15551230177 --agent front-desk", 2)
    pairs = [one.partition("=") for one in variable or []]
    if any(not equals for _, equals, _ in pairs):
        stop("--variable: write name=value", 2)
    given = {"from": from_number, "ring_secs": ring_secs, "at": at}
    body = {"agent": agent, "to": to, "variables": {name: value for name, _, value in pairs}}
    body |= {name: value for name, value in given.items() if value is not None}
    from net.our_server import NoServer, ServerSaysNo, place_call

    base_url = settings.model_copy(update={"public_base_url": None}).effective_public_base_url
    api_key = settings.api_key.get_secret_value() if settings.api_key else None
    try:
        placed = asyncio.run(place_call(base_url, body, api_key=api_key, idempotency_key=uuid4().hex))
    except (NoServer, ServerSaysNo) as error:
        stop(str(error), 1)
    print(f"call {placed['call_id']} is {placed['status']}")


def _simulate(settings: Settings, name: str, fault: str | None) -> NoReturn:
    from demo.phone import simulate_call
    from demo.trouble import NoTrouble, fault_of_a_call

    try:
        trouble = None if fault is None else fault_of_a_call(fault)
    except NoTrouble as error:
        stop(str(error), 2)
    agent = _catalog(settings).by_name(name)
    if agent is None or not agent.numbers:
        stop(f"no agent named {name} has a number; agents are the files in {settings.agents_dir}", 2)
    raise typer.Exit(asyncio.run(simulate_call(settings, agent, write=print, fault=trouble)))


@app.command()
def doctor() -> None:
    """Check what calls lean on, one line each, and print the TwiML for the numbers' fallback URLs."""
    logs.configure("CRITICAL")  # each finding is a line of its own
    from bots import BotErrors, load_bots
    from config.agent_file import Checks
    from doctor.findings import problem
    from doctor.run import run_doctor
    from pipelines.guest import settings_of_bots
    from pipelines.stages import check_dotted
    from pipelines.toolbox import Toolbox
    from storage.agent_errands import read_catalog

    sealing.know_all_tables()
    try:
        settings = Settings.load()
    except ConfigError as error:
        print("\n".join(str(problem("settings", line)) for line in str(error).splitlines()))
        raise typer.Exit(1) from error
    catalog, found = AgentCatalog(()), []
    try:
        bots = load_bots(settings.bots_dir)
        known_bots, check_tools = settings_of_bots(bots), Toolbox(bots, settings).faults_of
        checks, stored = Checks(known_bots, check_dotted, check_tools), list[AgentProblem]()
        catalog = asyncio.run(read_catalog(settings, checks, stored.append))
        found = [problem("agents and bots", str(one)) for one in stored]
    except (BotErrors, AgentErrors) as error:
        found = [problem("agents and bots", line) for line in str(error).splitlines()]
    machine: dict[str, Any] = {"cores": usable_cores(), "env_file": Path(".env")}
    examined = run_doctor(settings, catalog.agents, found, write=print, routing=catalog.routing, **machine)
    raise typer.Exit(0 if asyncio.run(examined) else 1)


@app.command()
def chaos(
    fault: Annotated[str | None, typer.Option(help="Only the drills of this fault.")] = None,
    processes: Annotated[int, typer.Option(min=0, help="How many processes; 0: one for each core.")] = 0,
    at_once: Annotated[int, typer.Option(min=1, help="Drills side by side in a process.")] = 3,
) -> None:
    """Play every fault of Gemini and Twilio on a live call, and print what its caller heard; 1 when a row is bad."""
    logs.configure("CRITICAL")  # what goes wrong goes wrong on purpose
    from chaos.drills import select
    from chaos.run import run_table

    try:
        drills = select(fault)
    except ValueError as error:
        stop(str(error), 2)
    cores = processes or os.cpu_count() or 1
    raise typer.Exit(run_table(drills, processes=cores, at_once=at_once, write=print))


@app.command()
def plan(
    calls: Annotated[int, typer.Option(min=1, help="Calls at once, at the peak.")],
    minutes_per_day: Annotated[float, typer.Option(min=0, help="Minutes of calls in a day.")],
    assume: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for an assumption; a plan names them.")] = None,
    curve: Annotated[Path, typer.Option(help="What `bench density` measured.")] = _ROOT / "docs" / "density.json",
) -> None:
    """Print what a load needs and costs: processes, machines, limits at Twilio and Gemini, a month's bill."""
    try:
        from bench.plan_request import CannotPlan, plan_text
    except ModuleNotFoundError as error:
        stop(f"{error.name} is missing; plan in a checkout", 2)
    try:
        print(plan_text(calls, minutes_per_day, assume or [], curve))
    except CannotPlan as error:
        stop(str(error), 2)


@bench_app.command("density")
def density(
    calls: Annotated[str, typer.Option(help="Calls at once, one number for each step.")] = "1,10,25,50,75,100",
    cores: Annotated[int, typer.Option(min=1, help="Cores of the server; it gets a process for each.")] = 1,
    seconds: Annotated[float, typer.Option(help="How long each call lasts.")] = 40.0,
    runs: Annotated[int, typer.Option(min=1, help="How often; the report has the medians.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for JSON, table and plot.")] = _BENCH_RESULTS,
    only: Annotated[list[str] | None, typer.Option(help="Only trunkline, bridge or generated; repeat it.")] = None,
) -> None:
    """Measure Trunkline, a bare bridge and a generated bot with more and more calls; 1 when a row is bad."""
    try:
        from bench.density_request import CannotMeasure, Order, measure, read_calls
    except ModuleNotFoundError as error:
        stop(f"{error.name} is missing; measure in a checkout, after `make .venv`", 2)
    try:
        wrongs = measure(Order(read_calls(calls), cores, seconds, runs), out, only or [], print)
    except CannotMeasure as error:
        stop(str(error), 2)
    if wrongs:
        stop("\n".join(wrongs), 1)


@bench_app.command("levers")
def levers(
    calls: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 30,
    seconds: Annotated[float, typer.Option(help="How long each call lasts.")] = 25.0,
    runs: Annotated[int, typer.Option(min=1, help="How often; the report has the medians.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for JSON and table.")] = _BENCH_RESULTS,
    only: Annotated[list[str] | None, typer.Option(help="Only this lever; repeat it.")] = None,
) -> None:
    """Measure Trunkline as it is, and without each of its levers, on one core; 1 when a row is bad."""
    try:
        from bench.density_request import CannotMeasure
        from bench.levers.request import measure_levers
    except ModuleNotFoundError as error:
        stop(f"{error.name} is missing; measure in a checkout, after `make .venv`", 2)
    try:
        wrongs = measure_levers(calls, seconds, runs, only or [], out, print)
    except CannotMeasure as error:
        stop(str(error), 2)
    if wrongs:
        stop("\n".join(wrongs), 1)


@bench_app.command("smoke")
def smoke(out: Annotated[Path, typer.Option(help="Folder for JSON, table and plot.")] = _BENCH_RESULTS) -> None:
    """Measure Trunkline and a bare bridge with a few calls, within two minutes; 1 when a row is bad."""
    try:
        from bench.density_request import SMOKE, SMOKE_CANDIDATES, CannotMeasure, measure
    except ModuleNotFoundError as error:
        stop(f"{error.name} is missing; measure in a checkout, after `make .venv`", 2)
    try:
        wrongs = measure(SMOKE, out / "smoke", SMOKE_CANDIDATES, print, has_plan=False)
    except CannotMeasure as error:
        stop(str(error), 2)
    if wrongs:
        stop("\n".join(wrongs), 1)


@search_app.command("index")
def index_words() -> None:
    """Have every call of agents with `search: true` found by its words, and no other; may be repeated."""
    settings = load_settings(log_level="WARNING")
    from storage.agent_errands import read_catalog
    from transcripts.word_errands import index_calls

    try:
        catalog = with_database(read_catalog(settings, agents.checks_of(settings)))
    except AgentErrors as error:
        stop(str(error), 2)
    print(with_database(index_calls(settings, [agent.name for agent in catalog.agents if agent.search])))


@numbers_app.command("list")
def list_numbers() -> None:
    """List the account's numbers: who answers each, and what Twilio asks and tells."""
    from doctor import numbers

    settings = load_settings(log_level="WARNING")
    _print_numbers(numbers.list_numbers(settings, _catalog(settings)))


@numbers_app.command("connect")
def connect_number(
    number: Annotated[str, typer.Argument(help="The number, E.164, or its last digits.")],
    agent: Annotated[str | None, typer.Option(help="Who shall answer; its file must list the number.")] = None,
    fallback_url: Annotated[str | None, typer.Option(help="Asked when we do not answer: a TwiML Bin.")] = None,
) -> None:
    """Have Twilio send a number's calls to this server, at its public address."""
    from doctor import numbers

    settings = load_settings(log_level="WARNING")
    _print_numbers(numbers.connect(settings, _catalog(settings), number, agent, fallback_url))


@numbers_app.command("disconnect")
def disconnect_number(number: Annotated[str, typer.Argument(help="The number, E.164, or its last digits.")]) -> None:
    """Clear what of a number leads to this server, and nothing else."""
    from doctor import numbers

    _print_numbers(numbers.disconnect(load_settings(log_level="WARNING"), number))


def _catalog(settings: Settings) -> AgentCatalog:
    from config.agent_file import Checks
    from storage.agent_errands import read_catalog

    try:
        return asyncio.run(read_catalog(settings, Checks()))
    except AgentErrors as error:
        stop(str(error), 2)


def _print_numbers(work: Coroutine[Any, Any, list[str]]) -> None:
    from doctor.numbers import CannotConnect

    try:
        print("\n".join(asyncio.run(work)))
    except CannotConnect as error:
        stop(str(error), 2)


@app.command("env-example")
def env_example() -> None:
    """Print every environment variable with its meaning and default; this is .env.example."""
    print(render_env_example(), end="")


def _serve(settings: Settings, *, is_emulated: bool = False, **overrides: Any) -> None:
    from switchboard.start_failure import CannotStart

    def on_ready(server: Any) -> None:
        print(_describe(settings, server.base_url, is_emulated=is_emulated), flush=True)

    count = settings.processes or usable_cores()
    try:
        if count == 1:
            with importing():
                from api.signals import run
                from server import RunningServer

            run(RunningServer(settings, drain_secs=settings.drain_secs), on_ready)
        else:
            from switchboard.supervisor import supervise

            supervise(settings, count, on_ready, reload=lambda: Settings.load(**overrides))
    except CannotStart as error:
        stop(str(error), error.exit_code)


def _describe(settings: Settings, base_url: str, *, is_emulated: bool) -> str:
    if is_emulated:
        gemini = "a stand-in Gemini (set GOOGLE_API_KEY in .env for the real one)"
    elif settings.uses_emulator:
        gemini = "no Gemini: neither GOOGLE_API_KEY nor TRUNKLINE_GEMINI_BASE_URL is set, so its agents cannot talk"
    else:
        gemini = f"Gemini at {settings.gemini_base_url}" if settings.gemini_base_url else "Gemini"
    database = "SQLite" if settings.database_url.startswith("sqlite") else "PostgreSQL"
    public_url = settings.public_base_url or "https://<your public address>"
    lines = [
        f"Trunkline is ready on {base_url}. It runs on {gemini} and {database}.",
        f"  Talk in the browser:   {base_url}/playground",
        f"  Connect a number:      in Twilio's console, set its voice webhook to POST {public_url}/twilio/voice",
        f"                         and its status callback to {public_url}/twilio/status",
    ]
    if settings.may_run_open:
        lines.append("                         and set TRUNKLINE_PUBLIC_BASE_URL and TWILIO_AUTH_TOKEN in .env")
    lines.append("  Phone without a phone: .venv/bin/python cli.py call --simulate front-desk")
    return "\n".join(lines)


def _exit_in_order(_number: int, _frame: object) -> None:
    sys.exit(0)


@contextmanager
def _stand_in_gemini(data_dir: Path) -> Generator[tuple[str, Path]]:
    """Run the stand-in Gemini as a child process; yields its address and the certificate authority behind it.

    While it runs, its ready line is in the data folder, so that `call --fault` finds it.
    """
    from demo.trouble import ready_file

    file = ready_file(data_dir)
    arguments = ["-m", "simulators.gemini_live", "--port", "0", "--ca-dir", str(file.parent.resolve())]
    # Nothing is ever written into it: that it ends tells the child of our end, by kill -9 too.
    arguments.append("--until-stdin-ends")
    # Until the server takes care of it, SIGTERM must not leave the child behind.
    signal.signal(signal.SIGTERM, _exit_in_order)
    # A session of its own: Ctrl-C in the terminal must reach the server alone, whose calls still need the stand-in.
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    child = subprocess.Popen([sys.executable, *arguments], cwd=_ROOT, start_new_session=True, **pipes)
    try:
        line = child.stdout.readline() if child.stdout else ""
        if not line:
            stop(f"the stand-in Gemini did not start (exit code {child.wait()})", 1)
        ready = json.loads(line)
        file.write_text(line, encoding="utf-8")
        yield ready["base_url"], Path(ready["ca_file"])
    finally:
        file.unlink(missing_ok=True)
        child.terminate()
        try:
            child.wait(_CHILD_STOP_SECS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe:
                pipe.close()


if __name__ == "__main__":
    app()
