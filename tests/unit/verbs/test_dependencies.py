"""The audit of dependencies: what it finds, and that it never says that all is well when nothing was checked."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from verbs.dependencies import Report, audit, read_report, told

LOCK = "".join(f"{name} \\\n    --hash=sha256:{'0' * 64}\n    # via x\n" for name in ("idna==3.10", "anyio==4.9.0"))


class _Vulnerabilities(BaseHTTPRequestHandler):
    """A service in OSV's form, which knows of one vulnerability."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fixed = {"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.11"}]}]}
        found = {"id": "PYSEC-1", "affected": [{"package": {"name": "idna", "ecosystem": "PyPI"}, **fixed}]}
        body = json.dumps({"vulns": [found]} if asked["package"]["name"] == "idna" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Vulnerabilities) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def test_a_vulnerability_fails_and_is_named_with_its_cure(tmp_path: Path, service: str) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(LOCK)
    text, exit_code = audit(lock, "-s", "osv", "--osv-url", service, "--cache-dir", str(tmp_path / "cache"))
    assert exit_code == 1
    assert "idna 3.10: PYSEC-1, cured by 3.11" in text
    assert "anyio" not in text


def test_a_service_out_of_reach_is_said_in_one_line(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(LOCK)
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        text, exit_code = audit(lock, "-s", "osv", "--osv-url", url, "--cache-dir", str(tmp_path / "cache"))
    assert exit_code == 0
    assert text.startswith("dependency audit: SKIPPED, nothing was checked: ")
    assert "\n" not in text


def test_packages_that_were_not_checked_are_named() -> None:
    known = {"name": "a", "version": "1", "vulns": list[str]()}
    unknown = {"name": "b", "skip_reason": "not found"}
    report = read_report(json.dumps({"dependencies": [known, unknown]}), "")
    assert told(report) == ("dependency audit: no known vulnerability in 1 packages; NOT checked: b", 0)
    nothing = read_report(json.dumps({"dependencies": [unknown]}), "")
    assert "SKIPPED, nothing was checked" in told(nothing)[0]
    assert told(read_report("", "ERROR:pip_audit._cli:no route")) == (
        "dependency audit: SKIPPED, nothing was checked: no route",
        0,
    )
    assert told(Report(problem="late"))[1] == 0
