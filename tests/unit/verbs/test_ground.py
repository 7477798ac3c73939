"""A verb that cannot open its database ends with one sentence that holds the cure, and no traceback."""

from pathlib import Path

import pytest
import typer

from config.settings import Settings
from privacy.errands import list_numbers
from verbs.ground import with_database

pytestmark = pytest.mark.unit


def test_keys_that_cannot_be_used_end_a_verb_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sealing.keys"
    file.write_text("no key")
    file.chmod(0o600)
    with pytest.raises(typer.Exit) as ended:
        with_database(list_numbers(Settings.load(env_file=None, data_dir=tmp_path), 10))
    assert ended.value.exit_code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert str(file) in line


def test_a_database_that_does_not_answer_ends_a_verb_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "postgresql+psycopg://trunkline@127.0.0.1:1/none"
    settings = Settings.load(env_file=None, data_dir=tmp_path, database_url=url, database_wait_secs=0)
    with pytest.raises(typer.Exit) as ended:
        with_database(list_numbers(settings, 10))
    assert ended.value.exit_code == 3
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("The database postgresql+psycopg://")
    assert "TRUNKLINE_DATABASE_URL" in line
