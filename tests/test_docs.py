"""What README.md and docs/ promise, held against the code: commands, links, variables, rooms, routes, examples."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main
from starlette.routing import Match
from typer.core import TyperGroup

import cli
from bots import load_bots
from config.agents_folder import load_agents
from config.settings import Settings, environment_name
from pipelines.guest import settings_of_bots
from pipelines.stages import check_dotted
from server import create_app
from telemetry import metrics
from tests.test_architecture import FENCED, MAY_IMPORT

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
OPERATE = ROOT / "docs" / "operate.md"

VARIABLE = re.compile(r"\b(?:TRUNKLINE|TWILIO|GOOGLE|DAILY|AWS|OTEL)_[A-Z][A-Z_]*[A-Z]\b")
FENCE = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"`([^`\n]+)`")
FILE_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?")
EXAMPLE = re.compile(r"# ((?:bots|config/agents)/[\w-]+\.(?:py|yaml))\n")


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def code_of(text: str) -> list[str]:
    """Every piece of code of a page: fenced blocks line by line, then what stands between backticks."""
    lines = [line for _, block in FENCE.findall(text) for line in block.splitlines()]
    return lines + INLINE_CODE.findall(FENCE.sub("", text))


def examples() -> dict[str, str]:
    """Example files of all pages by their path, which is the first line of the block."""
    found: dict[str, str] = {}
    for page in PAGES:
        for _, block in FENCE.findall(read(page)):
            if head := EXAMPLE.match(block):
                assert head[1] not in found, f"{named(page)}: {head[1]} is shown twice"
                found[head[1]] = block
    return found


def table(text: str, first_column: str) -> list[list[str]]:
    """The rows of the table whose first column has this name, each as its cells."""
    found = re.search(rf"^\| {re.escape(first_column)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert found, f"there is no table that begins with {first_column}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines()]


def slug(heading: str) -> str:
    """The anchor of a heading, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", read(ROOT / "Makefile"), re.MULTILINE))
    asked = {word for piece in code_of(read(page)) for word in re.findall(r"^\s*make ([a-z]+)", piece)}
    assert asked <= targets


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_verb_of_the_command_line_exists(page: Path) -> None:
    for piece in code_of(read(page)):
        if "cli.py " in piece:
            check_verb(shlex.split(piece.split("cli.py ", 1)[1], comments=True))
        elif image := re.search(r"docker run .*\btrunkline\b(.*)", piece):
            check_verb(shlex.split(image[1]) or ["serve"])


def check_verb(words: list[str]) -> None:
    command = typer.main.get_command(cli.app)
    while isinstance(command, TyperGroup):
        assert words, f"{command.name} needs a verb"
        assert words[0] in command.commands, f"cli.py has no verb {words[0]}"
        command = command.commands[words.pop(0)]
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_every_simulated_call_is_to_an_agent_that_exists() -> None:
    asked = {name for page in PAGES for name in re.findall(r"--simulate ([\w-]+)", read(page))}
    shipped = {path.stem for path in (ROOT / "config" / "agents").glob("*.yaml")}
    assert asked
    assert asked <= shipped | {Path(path).stem for path in examples()}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_resolves(page: Path) -> None:
    text = FENCE.sub("", read(page))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"^\[[^\]]+\]: (\S+)", text, re.MULTILINE)
    for target in targets:
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{named(page)}: {target} leads nowhere"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", FENCE.sub("", read(linked)), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, f"{named(page)}: {target} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_reference_of_a_link_is_defined_and_used(page: Path) -> None:
    text = FENCE.sub("", read(page))
    defined = set(re.findall(r"^\[([^\]]+)\]: ", text, re.MULTILINE))
    used = {name for name in re.findall(r"\[([a-z]+)\](?![(:])", text) if name in defined}
    assert used == defined


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_file_that_is_named_exists(page: Path) -> None:
    shown = set(examples())
    rooms = {*MAY_IMPORT, "tests", "docs"}
    for piece in INLINE_CODE.findall(FENCE.sub("", read(page))):
        if not FILE_NAME.fullmatch(piece) or piece in shown:
            continue
        first, slash, rest = piece.partition("/")
        is_file = bool(slash and first in rooms and rest) or piece in {"server.py", "cli.py", "pyproject.toml"}
        if is_file and piece not in {"config/agents/x.yaml"}:
            assert (ROOT / piece).exists(), f"{named(page)}: there is no {piece}"


def test_every_variable_that_is_named_is_a_setting_and_in_the_example() -> None:
    settings = {environment_name(field) for field in Settings.model_fields}
    lent = set(VARIABLE.findall(read(ROOT / "config" / "guest_environment.py")))
    listed = set(VARIABLE.findall(read(ROOT / ".env.example")))
    for path in [*PAGES, ROOT / "Dockerfile", ROOT / "Makefile", ROOT / ".ci" / "run"]:
        named_by_operators = {name for name in VARIABLE.findall(read(path)) if name.startswith("TRUNKLINE_SECRET_")}
        unknown = set(VARIABLE.findall(read(path))) - settings - lent - named_by_operators
        assert not unknown, f"{named(path)}: {', '.join(sorted(unknown))} is no setting"
    assert listed == settings


def test_the_table_of_settings_is_complete_and_its_defaults_are_true() -> None:
    rows = table(read(OPERATE), "variable")
    shown = {name.strip("`"): default.strip("`") for name, default, _ in rows}
    expected = {
        environment_name(name): "" if field.default_factory or field.default is None else str(field.default)
        for name, field in Settings.model_fields.items()
    }
    assert shown == expected


def test_a_setting_is_said_to_have_no_effect_exactly_when_no_code_reads_it() -> None:
    said = {name.strip("`") for name, _, meaning in table(read(OPERATE), "variable") if "No effect yet" in meaning}
    folders = [ROOT / room for room in MAY_IMPORT if room not in {"simulators", "bench"}]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    files += [ROOT / "server.py", ROOT / "cli.py"]
    code = "\n".join(read(path) for path in files if path != ROOT / "config" / "settings.py")
    unread = {field for field in Settings.model_fields if not re.search(rf"\bsettings\.{field}\b", code)}
    assert said == {environment_name(field) for field in unread}


def test_the_rooms_are_those_of_the_architecture_test() -> None:
    rows = table(read(ROOT / "docs" / "architecture.md"), "room")
    rooms = {room.strip("`/"): set(INLINE_CODE.findall(doors)) for room, _, doors, _ in rows}
    assert rooms == MAY_IMPORT
    fenced: dict[str, set[str]] = {}
    for room, _, _, libraries in rows:
        for library in INLINE_CODE.findall(libraries):
            fenced.setdefault(library, set()).add(room.strip("`/"))
    assert fenced == FENCED


def test_every_room_that_exists_is_on_the_map_and_says_when_it_does_not() -> None:
    for room, holds, _, _ in table(read(ROOT / "docs" / "architecture.md"), "room"):
        is_there = any((ROOT / room.strip("`/")).glob("*.py"))
        assert is_there != ("no file yet" in holds), room


def test_every_route_that_is_named_exists() -> None:
    app = create_app(Settings.load(env_file=None, host="127.0.0.1", public_base_url=None))

    def is_served(path: str) -> bool:
        scopes = [{"type": "http", "method": method} for method in ("GET", "POST")] + [{"type": "websocket"}]
        return any(route.matches({**scope, "path": path})[0] is Match.FULL for route in app.routes for scope in scopes)

    wanted = re.compile(r"(?<![\w.])/(?:twilio/[a-z]+|livez|readyz|metrics|playground)\b(?![./])")
    asked = {path for page in [ROOT / "README.md", OPERATE] for path in wanted.findall(read(page))}
    assert asked >= {"/livez", "/readyz", "/metrics"}
    assert not {path for path in asked if not is_served(path)}
    assert not is_served("/twilio/nonsense")


def test_every_metric_that_is_named_exists_and_none_is_left_out() -> None:
    exposed = set(re.findall(r"^# TYPE (trunkline_\w+)", metrics.render().decode(), re.MULTILINE))
    asked = {name for page in PAGES for name in re.findall(r"\btrunkline_[a-z_]+\b", read(page))}
    assert asked == {name for name in exposed if not name.endswith("_created")}


def test_the_examples_load_as_bots_and_agents(tmp_path: Path) -> None:
    shown = examples()
    assert {Path(path).suffix for path in shown} == {".py", ".yaml"}
    for path, text in shown.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    bots = load_bots(tmp_path / "bots")
    catalog = load_agents(tmp_path / "config" / "agents", known_bots=settings_of_bots(bots), check_dotted=check_dotted)
    assert {agent.bot for agent in catalog.agents} == set(bots)
    for name in bots:
        assert bots[name] is not None


def test_no_example_takes_a_name_or_a_number_that_is_shipped() -> None:
    # A newcomer who copies an example must not meet "two agents claim one number".
    for path, text in examples().items():
        assert not (ROOT / path).exists()
        for number in re.findall(r"\+1555\d{7}", text):
            used = [file for file in (ROOT / "config" / "agents").glob("*.yaml") if number in read(file)]
            assert not used


def test_decisions_are_short_and_say_how_they_would_show_to_be_wrong() -> None:
    assert [path.name[:4] for path in DECISIONS] == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]
    for path in DECISIONS:
        text = read(path)
        assert text.count("\n") <= 30, path.name
        assert re.search(r"^We chose .*?\bover\b", text, re.MULTILINE | re.DOTALL), path.name
        assert "**Why.**" in text, path.name
        assert "**We will know it is wrong when**" in text, path.name


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_has_one_title_and_every_fence_is_closed(page: Path) -> None:
    text = read(page)
    assert len(re.findall(r"^# ", FENCE.sub("", text), re.MULTILINE)) == 1
    assert len(re.findall(r"^[ ]*```", text, re.MULTILINE)) == 2 * len(FENCE.findall(text))
