"""Are there known vulnerabilities in what we depend on? Asked of a public service, by pip-audit, in `make check`.

Without a network the answer is that nothing was checked, in one line, and not that all is well.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SOCKET_SECS = 4
_PROBE_SECS = 20.0
_LONGEST_SECS = 120.0
_SKIPPED = "dependency audit: SKIPPED, nothing was checked"


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found.

    Attributes:
        audited: How many packages the service knew.
        unaudited: Those that it was not told of, or did not know.
        vulnerabilities: One line for each.
        problem: Why there is no answer at all; None: there is one.
    """

    audited: int = 0
    unaudited: list[str] = field(default_factory=list[str])
    vulnerabilities: list[str] = field(default_factory=list[str])
    problem: str | None = None


def audit(lock: Path, *options: str) -> tuple[str, int]:
    """Audit every package of a lock file; returns what to print, and the exit code. Blocks.

    `options` go to pip-audit. One package is asked about first: where there is no service, there is none for the rest.
    """
    lines = lock.read_text(encoding="utf-8").splitlines(keepends=True)
    first = [number for number, line in enumerate(lines) if "==" in line][:2]
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "one.txt"
        probe.write_text("".join(lines[slice(*first)] if len(first) == 2 else lines), encoding="utf-8")
        asked = _run(probe, options, _PROBE_SECS)
    if asked.problem is None and asked.audited:
        asked = _run(lock, options, _LONGEST_SECS)
    return told(asked)


def told(report: Report) -> tuple[str, int]:
    """Return a report in words, and the exit code: 1 for a vulnerability, else 0."""
    if report.vulnerabilities:
        found = "\n".join(f"  {line}" for line in report.vulnerabilities)
        return f"dependency audit: {len(report.vulnerabilities)} known vulnerabilities\n{found}", 1
    if report.problem is not None:
        return f"{_SKIPPED}: {report.problem}", 0
    if not report.audited:
        return f"{_SKIPPED}: the service that was reached knows nothing of these packages", 0
    rest = f"; NOT checked: {', '.join(report.unaudited)}" if report.unaudited else ""
    return f"dependency audit: no known vulnerability in {report.audited} packages{rest}", 0


def read_report(output: str, errors: str) -> Report:
    """Read what pip-audit wrote: its JSON, or why there is none."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        said = [line.split(":", 2)[-1] for line in errors.splitlines() if line.startswith("ERROR")]
        return Report(problem=(said or ["pip-audit gave no report"])[-1])
    audited = [package for package in packages if "skip_reason" not in package]
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, cured by {', '.join(found['fix_versions']) or 'none'}"
        for package in audited
        for found in package["vulns"]
    ]
    return Report(len(audited), [package["name"] for package in packages if "skip_reason" in package], lines)


def _run(lock: Path, options: Sequence[str], longest_secs: float) -> Report:
    command = [sys.executable, "-m", "pip_audit", "-r", str(lock), "--disable-pip", "--no-deps", "--format", "json"]
    command += ["--progress-spinner", "off", "--timeout", str(_SOCKET_SECS), *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=longest_secs, check=False)
    except subprocess.TimeoutExpired:
        return Report(problem=f"there was no answer within {longest_secs:.0f} s")
    return read_report(done.stdout, done.stderr)


if __name__ == "__main__":
    text, exit_code = audit(Path(__file__).resolve().parent.parent / "requirements.lock")
    print(text)
    sys.exit(exit_code)
