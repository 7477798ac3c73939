"""`cli.py backup` and `cli.py restore`: what they say, and how they end."""

import asyncio
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger
from typer.testing import CliRunner, Result

from cli import app
from config.settings import Settings, environment_name
from tests.unit.backup.test_backup import fill


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_copy_is_made_and_restored_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(environment_name(name), raising=False)

    def run(*arguments: str, data_dir: str = "data") -> Result:
        return CliRunner().invoke(app, list(arguments), env={"TRUNKLINE_DATA_DIR": data_dir})

    nothing = run("backup", "copy")
    assert (nothing.exit_code, "start the server once" in nothing.stderr) == (2, True)
    asyncio.run(fill(Settings.load(env_file=None, data_dir=tmp_path / "data")))
    made = run("backup", "copy")
    assert made.exit_code == 0, made.output
    assert "without them nothing of it can be read: keep a copy of data/sealing.keys elsewhere" in made.stdout
    again = run("backup", "copy")
    assert (again.exit_code, "has something in it" in again.stderr) == (2, True)
    lost = run("restore", "copy", data_dir="new")
    assert (lost.exit_code, lost.stderr.startswith("nothing was restored: ")) == (2, True)
    assert "put it back" in lost.stderr
    (tmp_path / "new").mkdir(exist_ok=True)
    (tmp_path / "new" / "sealing.keys").write_bytes((tmp_path / "data" / "sealing.keys").read_bytes())
    (tmp_path / "new" / "sealing.keys").chmod(0o600)
    done = run("restore", "copy", data_dir="new")
    assert done.exit_code == 0, done.output
    assert "erase them before the server starts" in done.stdout
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["recordings", "sealing.keys", "trunkline.db"]
    full = run("restore", "copy", data_dir="new")
    assert (full.exit_code, "is not empty" in full.stderr) == (2, True)
    with_keys = run("backup", "--with-keys", "copy-with-keys")
    assert "whoever has it can read and hear everything" in with_keys.stdout
