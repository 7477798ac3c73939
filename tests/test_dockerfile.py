"""The image, as far as it can be judged without building it: lint, who it runs as, what is in it, its health check."""

import ast
import fnmatch
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from config.settings import Settings, environment_name
from tests.test_architecture import MAY_IMPORT, imports

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = ROOT / "Dockerfile"
NOT_SHIPPED = {"bench"}
BY_HAND = {"pipelines/clips/make_clips.py", "simulators/audio/make_clips.py"}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continued lines joined, comments left out."""
    lines = [line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in joined.splitlines() if line.strip()]


def arguments_of(instruction: str) -> list[str]:
    return [arguments for name, arguments in instructions() if name == instruction]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    return found[max(index for index, (name, _) in enumerate(found) if name == "FROM") :]


def shipped() -> list[Path]:
    """The files that the allow-list of .dockerignore lets into the image."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    allowed = [line[1:] for line in lines if line.startswith("!")]
    never = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    found: list[Path] = []
    for entry in allowed:
        path = ROOT / entry
        files = path.rglob("*") if entry.endswith("/") else [path]
        found += [file for file in files if file.is_file()]
    return [file for file in found if not any(fnmatch.fnmatch(part, rule) for part in file.parts for rule in never)]


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.prefix) / "bin" / "hadolint"
    command = [hadolint, "--format", "json", "--failure-threshold", "style", DOCKERFILE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert json.loads(done.stdout) == [], done.stdout
    assert done.returncode == 0


def test_it_is_built_in_two_stages_from_named_versions() -> None:
    images = arguments_of("FROM")
    assert len(images) == 2
    assert images[0].endswith(" AS builder")
    for image in images:
        name = image.split(" ")[0]
        assert re.fullmatch(r"python:3\.1[12](\.\d+)?-slim(-\w+)?", name), name
    copied = [arguments for name, arguments in last_stage() if name == "COPY"]
    assert copied == ["--from=builder /venv /venv", ". ."]


def test_everything_installed_is_pinned_by_its_hash() -> None:
    installs = [arguments for arguments in arguments_of("RUN") if "pip" in arguments]
    assert len(installs) == 1
    assert "--require-hashes" in installs[0]
    assert "requirements-server.lock" in installs[0]
    assert not [
        arguments for name, arguments in last_stage() if name == "RUN" and ("pip" in arguments or "apt" in arguments)
    ]


def test_it_runs_as_a_number_that_is_not_root_and_writes_to_one_volume() -> None:
    users = [arguments for name, arguments in last_stage() if name == "USER"]
    assert users == ["10001:10001"]
    names = [name for name, _ in last_stage()]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "RUN" not in names[names.index("USER") :]
    assert arguments_of("VOLUME") == ["/data"]


def test_its_environment_is_made_of_settings_that_can_be_used() -> None:
    pairs = dict(pair.split("=", 1) for line in arguments_of("ENV") for pair in line.split())
    ours = {name: value for name, value in pairs.items() if name.startswith("TRUNKLINE_")}
    assert ours == {"TRUNKLINE_HOST": "0.0.0.0", "TRUNKLINE_DATA_DIR": "/data"}
    fields = {environment_name(field): field for field in Settings.model_fields}
    values = {fields[name]: value for name, value in ours.items()}
    settings = Settings.load(env_file=None, twilio_auth_token="secret", **values)
    assert settings.data_dir == Path("/data")
    assert arguments_of("EXPOSE") == [str(Settings.model_fields["port"].default)]
    assert not [name for name in pairs if re.search("KEY|TOKEN|SECRET|PASSWORD", name)]


def test_it_serves_unless_told_otherwise() -> None:
    assert json.loads(arguments_of("ENTRYPOINT")[0]) == ["python", "cli.py"]
    assert json.loads(arguments_of("CMD")[0]) == ["serve"]


def test_the_build_sees_no_secret_no_data_and_no_test() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*", "an allow-list begins by leaving everything out"
    names = {file.relative_to(ROOT).as_posix() for file in shipped()}
    assert not [name for name in names if name.startswith((".", "tests/", "data/")) or name.endswith(".pyc")]
    assert {"server.py", "cli.py", "requirements-server.lock", "LICENSE"} <= names


def test_every_room_is_in_the_image() -> None:
    rooms = {room for room in MAY_IMPORT if any((ROOT / room).glob("*.py"))} - NOT_SHIPPED
    assert rooms == {file.relative_to(ROOT).parts[0] for file in shipped() if len(file.relative_to(ROOT).parts) > 1}


def test_every_library_that_is_imported_is_in_the_lock_of_the_image() -> None:
    locked = set(
        re.findall(r"^([\w.-]+)==", (ROOT / "requirements-server.lock").read_text(encoding="utf-8"), re.MULTILINE)
    )
    providers = importlib.metadata.packages_distributions()
    for file in shipped():
        if file.suffix != ".py" or file.relative_to(ROOT).as_posix() in BY_HAND:
            continue
        for line, name in imports(ast.parse(file.read_text(encoding="utf-8"))):
            top = name.split(".")[0]
            if top in sys.stdlib_module_names or top in MAY_IMPORT or top in {"server", "cli", "__future__"}:
                continue
            sources = {re.sub(r"[-_.]+", "-", source).lower() for source in providers.get(top, [])}
            assert sources & locked, f"{file.relative_to(ROOT)}:{line}: {name} is not in requirements-server.lock"


def test_what_is_in_the_image_is_enough_to_check_its_agents(tmp_path: Path) -> None:
    for file in shipped():
        target = tmp_path / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    image = dict(pair.split("=", 1) for line in arguments_of("ENV") for pair in line.split())
    environment = {**image, "PATH": os.environ["PATH"], "TWILIO_AUTH_TOKEN": "as-operate-md-says"}
    done = subprocess.run(
        [sys.executable, "cli.py", "agents", "check"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert "every agent can be used" in done.stdout


class Health(HTTPServer):
    """A server whose /livez answers `status`, and all else 404."""

    status = 200


class Answers(BaseHTTPRequestHandler):
    """Answers as the server is told to."""

    def do_GET(self) -> None:
        assert isinstance(self.server, Health)
        self.send_response(self.server.status if self.path == "/livez" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(("status", "is_healthy"), [(200, True), (503, False), (None, False)])
def test_the_health_check_tells_alive_from_dead(status: int | None, is_healthy: bool) -> None:
    [check] = arguments_of("HEALTHCHECK")
    command = json.loads(check[check.index("CMD ") + 4 :])
    assert command[0] == "python"
    server = Health(("127.0.0.1", 0), Answers)
    server.status = status or 0
    serving = threading.Thread(target=server.serve_forever)
    if status is None:
        server.server_close()
    else:
        serving.start()
    # A proxy that leads nowhere: the check must not ask by way of it.
    proxy = "http://127.0.0.1:9"
    environment = {"TRUNKLINE_PORT": str(server.server_port), "HTTP_PROXY": proxy, "http_proxy": proxy}
    try:
        done = subprocess.run([sys.executable, *command[1:]], env=environment, capture_output=True, timeout=20)
    finally:
        if status is not None:
            server.shutdown()
            serving.join()
            server.server_close()
    assert (done.returncode == 0) is is_healthy, done.stderr.decode()
