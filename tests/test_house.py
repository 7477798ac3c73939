"""The lock files, the licence, and what a change has to pass: the parts of the house that are no code."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
SHIPPED, WITH_TOOLS = ROOT / "requirements-server.lock", ROOT / "requirements.lock"
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
SUMMARY = "===== 3 passed in 0.01s ====="


def pins(lock: Path) -> dict[tuple[str, str], set[str]]:
    """(name, version) -> hashes of a lock file; fails on any line that is none of its three kinds."""
    found: dict[tuple[str, str], set[str]] = {}
    current: set[str] = set()
    for line in lock.read_text(encoding="utf-8").splitlines():
        text = line.strip().removesuffix("\\").strip()
        if not text or text.startswith("#"):
            continue
        if head := re.fullmatch(r"([a-z0-9][a-z0-9.-]*)==([\w.!+]+)(?: ; .+)?", text):
            current = found.setdefault((head[1], head[2]), set())
        else:
            assert HASH.fullmatch(text), f"{lock.name}: neither a pinned version nor a hash: {text}"
            current.add(text)
    return found


@pytest.mark.parametrize("lock", [SHIPPED, WITH_TOOLS], ids=lambda path: path.name)
def test_every_locked_version_carries_its_hashes(lock: Path) -> None:
    found = pins(lock)
    assert len(found) > 100
    assert not [name for name, hashes in found.items() if not hashes]


@pytest.mark.parametrize("lock", [SHIPPED, WITH_TOOLS], ids=lambda path: path.name)
def test_a_lock_names_no_place_to_download_from(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash=)", text, re.MULTILINE), "an option such as an index or a link"
    assert " @ " not in text


def test_the_shipped_versions_are_those_that_are_tested() -> None:
    shipped, tested = pins(SHIPPED), pins(WITH_TOOLS)
    assert shipped.keys() < tested.keys()
    assert all(tested[pin] == hashes for pin, hashes in shipped.items())


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [(SHIPPED, PROJECT["dependencies"]), (WITH_TOOLS, PROJECT["dependencies"] + GROUPS["dev"])],
    ids=["shipped", "with tools"],
)
def test_a_lock_satisfies_what_the_project_asks_for(lock: Path, wanted: list[str]) -> None:
    versions: dict[str, list[Version]] = {}
    for name, version in pins(lock):
        versions.setdefault(name, []).append(Version(version))
    for line in wanted:
        asked = Requirement(line)
        locked = versions.get(re.sub(r"[-_.]+", "-", asked.name).lower(), [])
        assert locked, f"{asked.name} is not locked: make lock"
        assert all(asked.specifier.contains(version) for version in locked), f"{asked} is not {locked}: make lock"


def test_the_licence_is_the_one_that_is_declared() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["license"] == "BSD-2-Clause"
    assert text.startswith("BSD 2-Clause License\n")
    assert "Copyright (c) 2026, The Trunkline authors" in text
    assert text.count("Redistributions") == 2


def test_the_changelog_knows_the_version_or_what_is_to_be_released() -> None:
    headings = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert len(headings) == 1 or headings[1] == PROJECT["version"]


def run_ci(folder: Path, *, check_exit: int, test_exit: int) -> subprocess.CompletedProcess[str]:
    """Run .ci/run with a `make` of ours first on its path, which says what it was asked and exits as told."""
    make = folder / "make"
    make.write_text(
        "#!/bin/sh\n"
        'echo "make $1, CI=$CI"\n'
        f'if [ "$1" = check ]; then exit {check_exit}; fi\n'
        f'echo "{SUMMARY}"\n'
        f'if [ {test_exit} -ne 0 ]; then echo "make: *** Error {test_exit}" >&2; fi\n'
        f"exit {test_exit}\n"
    )
    # Nothing is to be installed here, whatever this machine has.
    (folder / "chromium").write_text("#!/bin/sh\n")
    (folder / "python3").write_text("#!/bin/sh\n")
    for name in ("make", "chromium", "python3"):
        (folder / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    environment.pop("CI", None)
    command = [ROOT / ".ci" / "run"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, cwd=folder)


@pytest.mark.parametrize(
    ("check_exit", "test_exit"), [(0, 0), (2, 0), (0, 2), (2, 3)], ids=["both good", "check", "tests", "neither good"]
)
def test_ci_runs_both_hides_no_failure_and_ends_with_the_summary(
    tmp_path: Path, check_exit: int, test_exit: int
) -> None:
    done = run_ci(tmp_path, check_exit=check_exit, test_exit=test_exit)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["make check, CI=true", "make test, CI=true"]
    assert lines[-1] == SUMMARY
    assert (done.returncode == 0) is (check_exit == test_exit == 0)
    assert done.stderr == ""
