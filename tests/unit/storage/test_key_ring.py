"""Sealing keys in a file: one first key whoever comes first, for its owner only; another one, and none is lost."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.sealing_keys import KeyText
from config.settings import Settings
from storage.envelope import open_text, seal_text
from storage.key_ring import BadKeyFile, KeyRing, SealingKeyMissing, keyed_hash, number_index

pytestmark = pytest.mark.unit

GOOD = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER = "YTEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def load(folder: Path, **changes: object) -> KeyRing:
    return KeyRing.load(Settings.load(env_file=None, data_dir=folder, **changes))


def started(folder: Path) -> KeyRing:
    ring = load(folder)
    ring.make_first()
    return ring


def start(folder: Path) -> list[str]:
    return started(folder).key_ids


def turn(folder: Path) -> str:
    return load(folder).make_another()


def test_reading_makes_no_file(tmp_path: Path) -> None:
    ring = load(tmp_path)
    assert ring.key_ids == []
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SealingKeyMissing):
        _ = ring.current


def test_the_first_start_makes_a_key_for_its_owner_only(tmp_path: Path) -> None:
    ring = started(tmp_path / "data")
    file = tmp_path / "data" / "sealing.keys"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]
    sealed = seal_text("words", "t.c:1", ring)
    assert open_text(sealed, "t.c:1", started(tmp_path / "data")) == "words"
    assert ring.file == file


def test_all_who_start_at_once_share_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(start, [tmp_path] * 12))
        assert len({tuple(keys) for keys in found}) == 1
        made = list(threads.map(turn, [tmp_path] * 6))
    assert len(set(made)) == 6
    assert set(load(tmp_path).key_ids) == {*made, *found[0]}
    assert [file.name for file in tmp_path.iterdir()] == ["sealing.keys"]


def test_a_key_that_another_process_has_made_is_found_when_it_is_needed(tmp_path: Path) -> None:
    one, two = started(tmp_path), load(tmp_path)
    before = seal_text("before", "t.c:1", two)
    new = one.make_another()
    assert one.current.key_id == new
    assert two.current.key_id != new
    assert open_text(seal_text("after", "t.c:1", one), "t.c:1", two) == "after"
    assert two.current.key_id == new
    assert open_text(before, "t.c:1", two) == "before"


def test_a_file_that_others_may_read_is_refused_with_a_cure(tmp_path: Path) -> None:
    started(tmp_path)
    (tmp_path / "sealing.keys").chmod(0o640)
    with pytest.raises(BadKeyFile, match=r"may be read by others; run: chmod 600 .*sealing\.keys"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no key", "key 1 must be id:base64"),
        (b"k1:AAAA", "has 3 bytes instead of 32"),
        (b"k1:?", "is not base64"),
        (b"\xff\xfe", "is not text"),
        (f"k1:{GOOD}\nk1:{OTHER}".encode(), "same id"),
        (f"k1:{GOOD}\nk2:{GOOD}".encode(), "same key"),
    ],
)
def test_a_file_that_holds_no_keys_is_refused_without_quoting_it(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "sealing.keys"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(BadKeyFile, match=message) as caught:
        load(tmp_path)
    assert GOOD not in str(caught.value)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadKeyFile, match=r"sealing\.keys: cannot be (read|written)"):
        started(tmp_path / "file")


def test_keys_from_the_environment_need_no_file(tmp_path: Path) -> None:
    ring = load(tmp_path, sealing_keys=f"new:{GOOD}, old:{OTHER}")
    ring.make_first()
    assert ring.key_ids == ["new", "old"]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BadKeyFile, match="put the new one first"):
        ring.make_another()


@pytest.mark.parametrize("text", [" ,", "k1", "k 1:" + GOOD, f"k1:{GOOD[:-4]}", f"a:{GOOD},a:{OTHER}"])
def test_keys_that_cannot_be_used_stop_the_start_and_are_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match="TRUNKLINE_SEALING_KEYS") as caught:
        Settings.load(env_file=None, sealing_keys=text)
    assert GOOD[:20] not in str(caught.value)


def test_no_key_is_shown_by_mistake(tmp_path: Path) -> None:
    ring = load(tmp_path, sealing_keys=f"new:{GOOD}")
    assert "0123" not in repr(KeyText("new", b"0123456789abcdef" * 2)) + repr(ring.current)


def test_hashes_depend_on_the_purpose_and_not_on_sealing_keys() -> None:
    ring, other = KeyRing([KeyText("a", b"a" * 32)]), KeyRing([KeyText("b", b"b" * 32)])
    with pytest.raises(SealingKeyMissing, match="numbers"):
        number_index(ring, "+15551230100")
    for each in (ring, other):
        each.take_purposes({"numbers": b"n" * 32, "records": b"r" * 32})
    assert number_index(ring, " +15551230100") == number_index(other, "+15551230100")
    assert len(number_index(ring, "+15551230100")) == 32
    assert keyed_hash(ring, "records", "+15551230100") != number_index(ring, "+15551230100")
