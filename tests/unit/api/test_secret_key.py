"""The key of the stream tokens: one per folder, whoever comes first."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from api.secret_key import BadSecretKey, load_or_create

pytestmark = pytest.mark.unit


def test_a_key_is_made_once_and_only_for_us(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret.key"
    key = load_or_create(path)
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create(path) == key
    assert list(path.parent.iterdir()) == [path]
    assert load_or_create(tmp_path / "other" / "secret.key") != key


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as processes:
        keys = set(processes.map(load_or_create, [path] * 16))
    assert keys == {path.read_bytes()}
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_of_the_wrong_size_is_refused_with_a_cure(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_bytes(b"")
    with pytest.raises(BadSecretKey, match="holds 0 bytes instead of 32; delete it"):
        load_or_create(path)


def test_a_key_that_others_may_read_is_refused_with_a_cure(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    load_or_create(path)
    path.chmod(0o644)
    with pytest.raises(BadSecretKey, match="chmod 600"):
        load_or_create(path)
