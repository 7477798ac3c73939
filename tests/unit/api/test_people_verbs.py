"""The verbs about people: what they print, what they write, and which exit code they end with."""

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest
from loguru import logger

from config.settings import Settings
from storage.engine import Database
from storage.key_ring import KeyRing
from tests.unit.api.test_cli import environment, invoke
from tests.unit.transcripts.calls import make_call
from transcripts.call import EndReason
from transcripts.store import CallStore

__all__ = ["environment"]

ANN = "+15551230199"


@pytest.fixture(autouse=True)
def _logs_given_back() -> Iterator[None]:
    """A verb sends the log to its own standard error, which the next test does not have."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logger.remove()
    logger.add(sys.stderr)
    root.handlers[:] = handlers
    root.setLevel(level)


async def _add_call(settings: Settings, call_id: str, *, is_over: bool = True) -> None:
    keys = await asyncio.to_thread(KeyRing.load, settings)
    db = Database(settings.database_url, keys)
    await db.connect(5)
    try:
        await db.migrate()
        store = CallStore(db)
        await store.open_call(make_call(call_id, f"CA{call_id}"))
        await store.go_live(call_id)
        if is_over:
            ended_at = datetime.now(UTC) - timedelta(days=3)
            await store.finish_call(call_id, EndReason.CALLER_HUNG_UP, ended_at=ended_at)
    finally:
        await db.close()


def test_a_list_of_numbers_is_kept(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "numbers.txt"
    file.write_text("# who asked for it\n+15551230177\n\n+15551230178  # by letter\n+15551230177\n")
    assert invoke(environment, "do-not-call", "import", str(file)).stdout == "3 numbers read, 2 of them new\n"
    assert invoke(environment, "do-not-call", "add", "+15551230178").stdout == "it was on the list already\n"
    assert invoke(environment, "do-not-call", "add", "+15551230179").stdout == "it is on the list\n"
    listed = invoke(environment, "do-not-call", "list").stdout.splitlines()
    assert sorted(line.split()[0] for line in listed) == ["+15551230177", "+15551230178", "+15551230179"]
    assert invoke(environment, "do-not-call", "remove", "+15551230179").exit_code == 0
    again = invoke(environment, "do-not-call", "remove", "+15551230179")
    assert (again.exit_code, again.stderr) == (1, "it is not on the list\n")
    file.write_text("+15551230180\n0171 123\n")
    wrong = invoke(environment, "do-not-call", "import", str(file))
    assert (wrong.exit_code, wrong.stderr) == (2, f"{file}:2: no number in E.164 form; write +15551230177\n")
    assert "+15551230180" not in invoke(environment, "do-not-call", "list").stdout


def test_a_person_is_exported_and_erased_and_the_receipt_is_checked(
    environment: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    asyncio.run(_add_call(settings, "c1"))
    asyncio.run(_add_call(settings, "c2", is_over=False))
    out, receipt = tmp_path / "ann.zip", tmp_path / "receipt.json"
    assert invoke(environment, "export", "--phone", ANN, "--out", str(out)).exit_code == 0
    with ZipFile(out) as archive:
        assert json.loads(archive.read("index.json"))["counts"]["calls"] == 2
    refused = invoke(environment, "erase", "--phone", ANN)
    assert (refused.exit_code, "(c2)" in refused.stderr) == (1, True)
    assert invoke(environment, "erase", "--phone", "0171").exit_code == 2
    asyncio.run(_finish(settings, "c2"))
    assert invoke(environment, "erase", "--phone", ANN, "--out", str(receipt)).exit_code == 0
    assert json.loads(receipt.read_text())["erased"]["calls"] == 2
    genuine = invoke(environment, "receipts", "verify", str(receipt), "--phone", ANN)
    assert genuine.exit_code == 0
    assert "is genuine" in genuine.stdout
    assert invoke(environment, "receipts", "verify", str(receipt), "--phone", "+15551230111").exit_code == 1
    receipt.write_text(receipt.read_text().replace('"calls": 2', '"calls": 3'))
    forged = invoke(environment, "receipts", "verify", str(receipt))
    assert (forged.exit_code, "was changed" in forged.stderr) == (1, True)


def test_what_has_expired_is_counted_and_then_removed(environment: dict[str, str], settings: Settings) -> None:
    asyncio.run(_add_call(settings, "c1"))
    file = settings.agents_dir / "front-desk.yaml"
    file.write_text(file.read_text() + "\nretention: {numbers_days: 1, call_days: 2}\n")
    for _ in range(2):
        counted = invoke(environment, "purge", "--dry-run").stdout.splitlines()
        assert counted[0] == "1 calls would lose everything"
        assert "1 calls would lose their numbers" in counted
        assert counted[-1] == "the audit log would lose 0 entries"
    assert invoke(environment, "purge").stdout.splitlines()[0] == "1 calls lost everything"
    assert invoke(environment, "purge", "--dry-run").stdout.startswith("0 calls")


async def _finish(settings: Settings, call_id: str) -> None:
    db = Database(settings.database_url, await asyncio.to_thread(KeyRing.load, settings))
    await db.connect(5)
    await db.migrate()
    await CallStore(db).finish_call(call_id, EndReason.CALLER_HUNG_UP)
    await db.close()
