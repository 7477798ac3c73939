"""What the doctor says of sealing keys."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.settings import Settings
from doctor.findings import Grade
from doctor.sealing_checks import check_sealed_rows, check_sealing_keys
from storage.engine import Database
from storage.key_ring import KeyRing
from storage.sealing_rows import seal_old_rows
from transcripts.call import Call, Direction
from transcripts.store import CallStore

KEY = base64.b64encode(b"k" * 32).decode()


def settings_of(folder: Path, **changes: object) -> Settings:
    return Settings.load(env_file=None, data_dir=folder, **changes)


async def start(settings: Settings) -> None:
    database = Database(settings.database_url, KeyRing.load(settings))
    await database.connect(wait_secs=5)
    await database.migrate()
    await database.close()


async def test_each_way_that_keys_can_stand(tmp_path: Path) -> None:
    settings, file = settings_of(tmp_path), tmp_path / "sealing.keys"
    found = await check_sealing_keys(settings)
    assert found.grade is Grade.OK
    assert found.found.startswith(f"none yet; the first start makes one in {file}")
    assert not file.exists()
    await start(settings)
    found = await check_sealing_keys(settings)
    assert found.grade is Grade.OK
    assert found.found.startswith(f"generated in {file}, for its owner only: 1 key, the current one is ")
    KeyRing.load(settings).make_another()
    assert "run `cli.py sealing rotate`" in (await check_sealing_keys(settings)).found
    for mode, sentence in ((0o644, f"run: chmod 600 {file}"), (0o600, "")):
        file.chmod(mode)
        found = await check_sealing_keys(settings)
        assert (found.grade is Grade.PROBLEM) is bool(sentence)
        assert sentence in found.found
    file.write_text("not a key")
    found = await check_sealing_keys(settings)
    assert found.grade is Grade.PROBLEM
    assert "put back the file of keys from your copy" in found.found
    file.unlink()
    for others in (settings, settings_of(tmp_path, sealing_keys=f"mine:{KEY}")):
        found = await check_sealing_keys(others)
        assert found.grade is Grade.PROBLEM
        assert "without it nothing of that can be read" in found.found


async def test_keys_of_the_environment(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, sealing_keys=f"mine:{KEY}")
    await start(settings)
    found = await check_sealing_keys(settings)
    assert found.found == "from TRUNKLINE_SEALING_KEYS: 1 key, the current one is mine"
    assert not (tmp_path / "sealing.keys").exists()


@pytest.mark.parametrize("url", ["postgresql+psycopg://nobody@127.0.0.1:1/none"])
async def test_a_database_that_is_away_is_told_of_elsewhere(tmp_path: Path, url: str) -> None:
    found = await check_sealing_keys(settings_of(tmp_path, sealing_keys=f"mine:{KEY}", database_url=url))
    assert found.grade is Grade.OK


async def test_rows_in_the_clear_where_everything_was_sealed_are_a_problem(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, sealing_keys=f"mine:{KEY}")
    assert "cannot be asked yet" in (await check_sealed_rows(settings)).found
    await start(settings)
    database = Database(settings.database_url, KeyRing.load(settings))
    await database.connect(wait_secs=5)
    await database.migrate()
    await seal_old_rows(database)
    found = await check_sealed_rows(settings)
    assert (found.grade, found.found) == (Grade.OK, "nothing stands in the clear where everything was sealed")
    for number in range(5):
        at = datetime(2026, 3, 1, 9, tzinfo=UTC)
        await CallStore(database).open_call(Call(f"c{number}", None, "a", Direction.INBOUND, None, None, {}, at))
    async with database.writer() as session:
        plant = "UPDATE calls SET from_number = '+15550000666' WHERE call_id <> 'c3'"
        await (await session.connection()).exec_driver_sql(plant)
    await database.close()
    found = await check_sealed_rows(settings)
    assert found.grade is Grade.PROBLEM
    assert "calls.from_number of the row call_id = c0" in found.found
    assert "and 1 more" in found.found
    assert "restore these rows from a backup or delete them" in found.found
    assert "0666" not in found.found
