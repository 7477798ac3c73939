"""Trunkline as the server under test: the shipped agents unchanged, recordings and transcripts on."""

import os
import sys
from dataclasses import replace
from pathlib import Path

from bench.launch import Launch

_ROOT = Path(__file__).resolve().parent.parent
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")
_NO_LAG_LIMIT_MS = 60_000
DATA_FOLDER = "trunkline-data"
_CEILING = 1000
"""Calls at once: the bench looks for the machine's limit and not for the setting's."""


def launch(port: int, gemini_base_url: str, ca_file: Path, work_dir: Path, processes: int = 1) -> Launch:
    """How to start it.

    Args:
        port: where it is to listen, on the loopback.
        gemini_base_url: https address of the model.
        ca_file: PEM of the authority behind it.
        work_dir: its data folder is made in it; also where it is started, so that no `.env` is read.
        processes: how many server processes.
    """
    settings: dict[str, object] = {
        "PORT": port,
        "PROCESSES": processes,
        "MAX_CALLS": _CEILING,
        "MAX_CALLS_PER_PROCESS": _CEILING,
        "MAX_LOOP_LAG_MS": _NO_LAG_LIMIT_MS,
        "LOG_LEVEL": "WARNING",
        "GEMINI_BASE_URL": gemini_base_url,
        "GEMINI_CA_FILE": ca_file.resolve(),
        "AGENTS_DIR": _ROOT / "config" / "agents",
        "BOTS_DIR": _ROOT / "bots",
        "DATA_DIR": work_dir.resolve() / DATA_FOLDER,
        # Sentences for bad days are read aloud by the model at start: nothing that a call costs.
        "PREPARE_SENTENCES": False,
    }
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return Launch(
        name="Trunkline",
        argv=[sys.executable, str(_ROOT / "cli.py"), "serve"],
        cwd=work_dir,
        env=environment | {f"TRUNKLINE_{name}": str(value) for name, value in settings.items()},
        voice_path="/twilio/voice",
        port=port,
        keeps_rows=True,
        status_path="/twilio/status",
    )


def launch_without(lever: str, port: int, gemini_base_url: str, ca_file: Path, work_dir: Path) -> Launch:
    """How to start it, in one process, without one of its levers; the rest as for `launch`."""
    whole = launch(port, gemini_base_url, ca_file, work_dir)
    return replace(
        whole,
        name=f"without {lever}",
        argv=[sys.executable, "-m", "bench.levers.serve", "--without", lever],
        # It is started in its work folder, so that no `.env` is read, and finds the code all the same.
        env=whole.env | {"PYTHONPATH": str(_ROOT)},
    )
