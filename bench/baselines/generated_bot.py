"""The bot that `pipecat init` writes for Twilio and Gemini Live, made at bench time and not edited.

It is generated, gets a virtual environment of its own from `generated_bot.lock` (what its `pyproject.toml` asks for,
held to the versions that Trunkline is built on), and is run by Pipecat's own development runner, as its README runs it.
The lock file is renewed by `python -m bench.baselines.generated_bot`.

What is arranged around it, all of it by its environment and its `.env`, as its README asks:

- The stand-in model: google-genai takes GOOGLE_GEMINI_BASE_URL, and SSL_CERT_FILE for the authorities. The file holds
  the usual ones and the stand-in's, because reading all of them at each call is part of what such a bot does.
- Twilio's keys are dummies: an account and an API key. With an auth token the bot would ask api.twilio.com about each
  caller before it says a word; with an API key it leaves that out, which is to its advantage here.
- `loopback_only/` is on its PYTHONPATH: a name outside this machine, should it ask for one all the same, is not
  looked up.

Its TwiML says wss://HOST:PORT/ws, as Twilio needs it, and the runner itself speaks plain ws: TLS ends before it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import certifi

from bench.launch import Launch

VOICE_PATH = "/"
LOCK_FILE = Path(__file__).with_name("generated_bot.lock")
_ROOT = LOCK_FILE.parents[2]
_GUARD_DIR = Path(__file__).with_name("loopback_only")
_CHOICES = ["-t", "twilio", "-m", "realtime", "--realtime", "gemini_live_realtime"]
# Neither is part of the bot: instructions for coding agents, and files for Pipecat's own cloud.
_LEFT_OUT = ["--no-context-hub", "--no-deploy-to-cloud"]
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")
_KEYS = {
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_API_KEY": "SK" + "0" * 32,
    "TWILIO_API_SECRET": "not-needed-here",
    "GOOGLE_API_KEY": "not-needed-here",
    "GOOGLE_MODEL": "gemini-3.8-live",
    "GOOGLE_VOICE_ID": "Aoede",
}
_STEP_SECS = 600.0


class CannotGenerate(Exception):
    """A step of making the bot failed; the text says which, and how it ended."""


def launch(port: int, gemini_base_url: str, ca_file: Path, work_dir: Path) -> Launch:
    """Make the bot in `work_dir` and return how to start it on `port` of the loopback.

    The first time takes 15 s and more: 600 MB of packages are installed, and kept in the user's cache folder.

    Args:
        port: where its runner is to listen.
        gemini_base_url: https address of the model.
        ca_file: PEM of the authority behind it.
        work_dir: folder to make the bot in.

    Raises:
        CannotGenerate: `pipecat init` or the installation failed.
    """
    work_dir = work_dir.resolve()
    folder = generate(work_dir)
    python = install(cache_folder())
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in _KEYS.items()), encoding="utf-8")
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {
        "GOOGLE_GEMINI_BASE_URL": gemini_base_url,
        "SSL_CERT_FILE": str(_trust_bundle(ca_file, work_dir)),
        "PYTHONPATH": str(_GUARD_DIR),
    }
    address = ["--host", "127.0.0.1", "--port", str(port), "--proxy", f"127.0.0.1:{port}"]
    return Launch(
        name="generated bot",
        argv=[str(python), "bot.py", "-t", "twilio", *address],
        cwd=folder,
        env=environment,
        voice_path=VOICE_PATH,
        port=port,
        keeps_rows=False,
    )


def generate(work_dir: Path) -> Path:
    """Have `pipecat init` write the bot afresh; returns the folder of its `bot.py`.

    Raises:
        CannotGenerate: it did not.
    """
    project = work_dir / "generated-bot"
    shutil.rmtree(project, ignore_errors=True)
    work_dir.mkdir(parents=True, exist_ok=True)
    _run([_tool("pipecat"), "init", str(project), *_CHOICES, *_LEFT_OUT], work_dir)
    return project / "server"


def cache_folder() -> Path:
    """Where its packages are kept: another folder for each lock file."""
    parent = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return parent / "trunkline" / f"generated-bot-{hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()[:16]}"


def install(folder: Path) -> Path:
    """Make its virtual environment in `folder`, unless it is there; returns its Python.

    Raises:
        CannotGenerate: the packages could not be installed.
    """
    python, stamp = folder / "bin" / "python", folder / "installed"
    if stamp.is_file():
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    uv = _tool("uv")
    _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], folder.parent)
    options = ["--quiet", "--compile-bytecode", "--require-hashes", "--python", str(python)]
    _run([uv, "pip", "install", *options, "-r", str(LOCK_FILE)], folder.parent)
    # Last, so that an installation that was interrupted is made again.
    stamp.touch()
    return python


def renew_lock() -> None:
    """Write `generated_bot.lock` anew, from a bot that is generated for it.

    Raises:
        CannotGenerate: the versions could not be resolved.
    """
    with tempfile.TemporaryDirectory() as folder:
        asks = generate(Path(folder)) / "pyproject.toml"
        options = ["--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url"]
        named = ["--custom-compile-command", "python -m bench.baselines.generated_bot"]
        versions = ["-c", str(_ROOT / "requirements.lock"), str(asks), "-o", str(LOCK_FILE)]
        _run([_tool("uv"), "pip", "compile", *options, *named, "--no-annotate", *versions], Path(folder))


def _tool(name: str) -> str:
    """The program beside our own Python, where `make` puts it, or else the one on the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise CannotGenerate(f"{name} is not installed; `make .venv` installs it")
    return found


def _run(command: Sequence[str], cwd: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_STEP_SECS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotGenerate(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise CannotGenerate(f"{' '.join(command)} ended with {done.returncode}:\n{last}")


def _trust_bundle(ca_file: Path, work_dir: Path) -> Path:
    """The usual authorities and the stand-in's in one file: SSL_CERT_FILE takes the place of the usual ones."""
    usual = Path(certifi.where())  # google-genai's own choice
    bundle = work_dir / "generated-bot-ca.pem"
    bundle.write_text(f"{usual.read_text(encoding='utf-8')}\n{ca_file.read_text(encoding='utf-8')}", encoding="utf-8")
    return bundle


if __name__ == "__main__":
    renew_lock()
