"""The map of docs/architecture.md as a test: which room may open which door, and what a file may look like."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

MAY_IMPORT: dict[str, set[str]] = {
    "config": set(),
    "telemetry": set(),
    "switchboard": {"config", "telemetry"},
    "storage": {"config", "telemetry"},
    "net": {"telemetry"},
    "telephony": {"config", "telemetry", "net"},
    "transcripts": {"config", "telemetry", "storage", "net"},
    "pipelines": {"config", "telemetry", "switchboard", "net", "telephony", "transcripts"},
    "calling": {"config", "telemetry", "storage", "telephony", "transcripts"},
    "bots": {"config", "pipelines"},
    "aftercall": {"config", "telemetry", "storage", "net", "transcripts"},
    "privacy": {"config", "telemetry", "storage", "net", "telephony", "transcripts", "aftercall"},
    "api": {
        "config",
        "telemetry",
        "switchboard",
        "storage",
        "net",
        "telephony",
        "transcripts",
        "calling",
        "pipelines",
        "aftercall",
        "privacy",
    },
    "doctor": {"config", "storage", "telephony", "transcripts", "pipelines"},
    "verbs": {"aftercall", "backup", "bots", "config", "pipelines", "privacy", "storage", "telemetry", "transcripts"},
    "simulators": set(),
    "demo": {"config", "storage", "transcripts", "simulators"},
    "chaos": {"bots", "config", "pipelines", "simulators", "telemetry", "transcripts"},
    "backup": {"config", "storage", "transcripts", "privacy"},
    "bench": {"simulators", "config", "storage", "transcripts", "pipelines", "api"},
}
"""Our own rooms that each room may import, besides itself. `server.py`, `cli.py` and the tests open every door."""

OPEN_DOORS = {"server.py", "cli.py"}

FENCED: dict[str, set[str]] = {
    "pydantic_settings": {"config"},
    "prometheus_client": {"telemetry"},
    "opentelemetry": {"telemetry"},
    "alembic": {"storage"},
    "dbos": {"storage"},
    "aiosqlite": {"storage"},
    "psycopg": {"storage"},
    "sqlalchemy": {"storage", "transcripts", "aftercall", "privacy"},
    "sqlmodel": {"storage", "transcripts", "aftercall", "privacy"},
    "cryptography": {"storage", "simulators"},
    "httpx": {"net", "simulators"},
    "httpcore": {"net"},
    "httpx2": {"net"},
    "httpcore2": {"net"},
    "mcp": {"net"},
    "standardwebhooks": {"net"},
    "twilio": {"telephony", "simulators"},
    "google.genai": {"pipelines", "aftercall"},
    "obstore": {"transcripts"},
    "jwt": {"api"},
    "limits": {"api"},
    "pipecat": {"pipelines", "bots", "bench"},
    "onnxruntime": {"pipelines"},
    "fastapi": {"api", "pipelines", "simulators", "bench"},
    "trustme": {"simulators"},
}
"""Libraries that only some rooms may know. `pipelines` meets fastapi at one border: a socket goes in at
`pipelines/phone_line.py`."""

FORBIDDEN_NAMES = {"utils", "helpers", "common", "core", "manager", "handler", "base", "misc"}
BROAD = {"Exception", "BaseException"}
MOST_LINES = 500


def python_files() -> list[Path]:
    skipped = {".venv", "node_modules", "__pycache__", "data"}
    return sorted(path for path in ROOT.rglob("*.py") if not skipped & set(path.relative_to(ROOT).parts))


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else path.name


def is_guest(path: Path, tree: ast.Module) -> bool:
    """A bot written for Pipecat's own runner is exempt from our rules."""
    return room_of(path) == "bots" and any(isinstance(n, ast.AsyncFunctionDef) and n.name == "bot" for n in tree.body)


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
            # `from google import genai` names the library in its second half.
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def import_problems(path: Path, tree: ast.Module) -> Iterator[str]:
    room = room_of(path)
    if room == "tests" or room in OPEN_DOORS or is_guest(path, tree):
        return
    if room not in MAY_IMPORT:
        yield f"{path.relative_to(ROOT)}: room {room} is not on the map: add it to docs/architecture.md first"
        return
    seen: set[str] = set()
    for line, name in imports(tree):
        where = f"{path.relative_to(ROOT)}:{line}"
        first = name.split(".")[0]
        if first in MAY_IMPORT and first != room and first not in MAY_IMPORT[room]:
            seen.add(f"{where}: {room} may not import {first} (arrows point down, see MAY_IMPORT)")
        for library, rooms in FENCED.items():
            if (name == library or name.startswith(library + ".")) and room not in rooms:
                seen.add(f"{where}: {library} is fenced to {', '.join(sorted(rooms))}")
    yield from sorted(seen)


def environment_problems(path: Path, tree: ast.Module) -> Iterator[str]:
    room = room_of(path)
    if path.relative_to(ROOT).as_posix() == "config/settings.py" or room in {"tests", "simulators", "bench"}:
        return
    if is_guest(path, tree):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            if node.attr in {"environ", "getenv", "putenv"}:
                yield f"{path.relative_to(ROOT)}:{node.lineno}: only config/settings.py reads the environment"


def habit_problems(path: Path, tree: ast.Module) -> Iterator[str]:
    where = path.relative_to(ROOT)
    if path.stem in FORBIDDEN_NAMES:
        yield f"{where}: name the file for what is in it, not '{path.stem}'"
    lines = path.read_text().count("\n")
    if lines > MOST_LINES:
        yield f"{where}: {lines} lines; {MOST_LINES} is the wall: divide it"
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = node.value.func
            if isinstance(called, ast.Attribute) and called.attr in {"create_task", "ensure_future"}:
                if isinstance(called.value, ast.Name) and called.value.id == "asyncio":
                    yield f"{where}:{node.lineno}: a task nobody holds may vanish: keep it"
        if isinstance(node, ast.ExceptHandler) and len(node.body) == 1 and isinstance(node.body[0], ast.Pass):
            if node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
            ):
                yield f"{where}:{node.lineno}: a swallowed exception"


@pytest.mark.parametrize("rule", [import_problems, environment_problems, habit_problems])
def test_rule_holds_everywhere(rule):
    problems = [problem for path in python_files() for problem in rule(path, ast.parse(path.read_text(), str(path)))]
    assert not problems, "\n" + "\n".join(problems)


def test_server_stays_a_composition_root():
    assert (ROOT / "server.py").read_text().count("\n") <= 150


@pytest.mark.parametrize(
    ("file", "source", "expected"),
    [
        ("config/x.py", "import pipelines", "may not import pipelines"),
        ("api/x.py", "from bots import load_bots", "may not import bots"),
        ("pipelines/x.py", "from simulators.caller import y", "may not import simulators"),
        ("transcripts/x.py", "import httpx", "fenced to"),
        ("api/x.py", "from google import genai", "fenced to"),
        ("api/x.py", "from pipecat.frames.frames import Frame", "fenced to"),
        ("attic/x.py", "import json", "not on the map"),
    ],
)
def test_a_wrong_import_is_named(file, source, expected):
    found = list(import_problems(ROOT / file, ast.parse(source)))
    assert found
    assert expected in found[0]


def test_other_wrongs_are_named():
    source = (
        "import asyncio, os\nos.environ['X']\nasyncio.create_task(f())\ntry:\n    pass\nexcept Exception:\n    pass\n"
    )
    tree = ast.parse(source)
    assert any("environment" in problem for problem in environment_problems(ROOT / "api/x.py", tree))
    wrong = ROOT / "tests" / "test_architecture.py"
    found = list(habit_problems(wrong, tree))
    assert any("nobody holds" in problem for problem in found)
    assert any("swallowed" in problem for problem in found)


def test_the_types_of_every_room_are_checked() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["basedpyright"]["include"]
    assert sorted(told) == sorted([*MAY_IMPORT, *OPEN_DOORS])
