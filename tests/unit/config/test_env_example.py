"""`.env.example` is written from Settings and says nothing else."""

from pathlib import Path

import pytest

from config.env_example import render_env_example
from config.settings import Settings, environment_name

ROOT = Path(__file__).parents[3]


def test_the_file_is_up_to_date() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert text == render_env_example(), "run: .venv/bin/python cli.py env-example > .env.example"


def test_it_names_every_setting_once() -> None:
    lines = render_env_example().splitlines()
    for name in Settings.model_fields:
        assert sum(line.startswith(f"#{environment_name(name)}=") for line in lines) == 1, name


def test_with_every_line_uncommented_it_means_the_defaults(
    bare_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    env_file = tmp_path / ".env"
    lines = render_env_example().splitlines()
    env_file.write_text("\n".join(line.removeprefix("#") for line in lines if not line.startswith("# ")))
    assert Settings.load(env_file=env_file) == Settings.load(env_file=None)
