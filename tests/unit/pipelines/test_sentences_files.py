"""Readings as files: whole or not at all, and nothing that is wrong with a file or a disk stops anything."""

import json
import os
import resource
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from loguru import logger

from pipelines.sentence_files import BrokenFile, SentenceFiles, pack, unpack
from pipelines.sentence_reading import RATE_HZ, Reading

READING = Reading("gemini-3.8-live", "Aoede", "de-DE", "Einen Moment, bitte – “gleich”.")
OTHER = Reading("gemini-3.8-live", "Aoede", "de-DE", "Auf Wiederhören.")
PCM = (8000 * np.sin(np.arange(RATE_HZ * 2) / 20)).astype("<i2").tobytes()


@pytest.fixture
def files(tmp_path: Path) -> SentenceFiles:
    return SentenceFiles(tmp_path / "sentences")


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is logged as a warning or worse."""
    lines: list[str] = []
    number = logger.add(lambda line: lines.append(str(line)), level="WARNING", format="{message} {extra}")
    yield lines
    logger.remove(number)


def test_a_saved_reading_is_found_by_another_process(files: SentenceFiles, tmp_path: Path) -> None:
    assert files.load(READING) is None
    assert files.save(READING, PCM)
    assert SentenceFiles(tmp_path / "sentences").load(READING) == PCM
    assert files.load(OTHER) is None
    assert files.load_all([OTHER, READING]) == [None, PCM]


def test_it_is_a_wav_file_that_says_what_it_is(files: SentenceFiles) -> None:
    files.save(READING, PCM)
    path = files.path(READING)
    with wave.open(str(path)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, RATE_HZ)
        assert sound.readframes(sound.getnframes()) == PCM
    assert READING.text.encode() in path.read_bytes()
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("field", ["model", "voice", "language", "text"])
def test_every_part_of_a_reading_makes_another_file(files: SentenceFiles, field: str) -> None:
    parts = {name: getattr(READING, name) for name in ("model", "voice", "language", "text")}
    assert files.path(Reading(**{**parts, field: "x"})) != files.path(READING)


def changed(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


SPOILT: list[Callable[[bytes], bytes]] = [
    lambda content: b"",
    lambda content: content[:10],
    lambda content: content[:100],
    lambda content: content[:-2000],
    lambda content: bytes(len(content)),
    lambda content: changed(content, 20),  # the format
    lambda content: changed(content, 60),  # the comment
    lambda content: changed(content, len(content) - 9),  # the sound
    lambda content: pack(OTHER, PCM),
    lambda content: pack(READING, bytes(len(PCM))),
    lambda content: pack(READING, PCM[:2000]),
    lambda content: content.replace(b"ICMT", b"IART"),
    lambda content: b"RIFF\xff\xff\xff\xffWAVE" + b"\xff" * 40,
]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_spoilt_file_is_no_reading_and_is_told_once(
    files: SentenceFiles, warnings: list[str], spoil: Callable[[bytes], bytes]
) -> None:
    files.save(READING, PCM)
    path = files.path(READING)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(BrokenFile):
        unpack(path.read_bytes(), READING)
    assert files.load(READING) is None
    assert files.load(READING) is None
    assert len(warnings) == 1
    assert "made again" in warnings[0]
    assert "Moment" not in warnings[0]
    assert files.save(READING, PCM)
    assert files.load(READING) == PCM


def test_a_directory_in_the_files_place_is_no_reading(files: SentenceFiles, warnings: list[str]) -> None:
    files.path(READING).mkdir(parents=True)
    assert files.load(READING) is None
    assert not files.save(READING, PCM)
    assert len(warnings) == 2
    assert [path.name for path in files.path(READING).parent.iterdir()] == [files.path(READING).name]


def test_a_disk_that_is_full_leaves_nothing_half(files: SentenceFiles, warnings: list[str]) -> None:
    files.save(OTHER, PCM)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(PCM) // 2, hard))
    try:
        assert not files.save(READING, PCM)
        assert not files.save(READING, PCM)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(warnings) == 1
    assert "cannot be saved" in warnings[0]
    assert [path.name for path in files.path(OTHER).parent.iterdir()] == [files.path(OTHER).name]
    assert files.load(READING) is None


def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path: Path, warnings: list[str]) -> None:
    (tmp_path / "file").write_text("")
    files = SentenceFiles(tmp_path / "file")
    with files.claimed(READING) as is_ours:
        assert is_ours
    assert not files.save(READING, PCM)
    assert files.load(READING) is None
    files.prune([READING])
    assert warnings


def test_one_process_makes_a_reading_and_the_others_wait(files: SentenceFiles, tmp_path: Path) -> None:
    other = SentenceFiles(tmp_path / "sentences")
    with files.claimed(READING) as is_ours:
        assert is_ours
        with other.claimed(READING) as is_theirs, other.claimed(OTHER) as is_another:
            assert not is_theirs
            assert is_another
        with other.claimed(READING) as is_theirs:
            assert not is_theirs
    with other.claimed(READING) as is_theirs:
        assert is_theirs


def test_the_claim_of_a_killed_process_expires(files: SentenceFiles, tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        "from pipelines.sentence_files import SentenceFiles\nfrom pipelines.sentence_reading import Reading\n"
        f"claim = SentenceFiles(Path({str(tmp_path / 'sentences')!r})).claimed(Reading(*sys.argv[1:]))\n"
        "print(claim.__enter__(), flush=True)\nos._exit(9)\n"
    )
    words = [READING.model, READING.voice, READING.language, READING.text]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=60)
    assert done.stdout == "True\n", done.stderr
    with files.claimed(READING) as is_ours:
        assert not is_ours
    claim = files.path(READING).with_suffix(".claim")
    os.utime(claim, (0, time.time() - 61))
    with files.claimed(READING) as is_ours:
        assert is_ours
    assert not claim.exists()


def test_only_what_nobody_wants_for_a_month_is_removed(files: SentenceFiles) -> None:
    for reading in (READING, OTHER):
        files.save(reading, PCM)
    folder = files.path(READING).parent
    theirs, left = folder / "notes.txt", folder / "tmp123.tmp"
    for path in (theirs, left):
        path.write_text("x")
    for path in folder.iterdir():
        os.utime(path, (0, time.time() - 29 * 24 * 3600))
    files.prune([READING])
    assert {path.name for path in folder.iterdir()} == {files.path(READING).name, files.path(OTHER).name, theirs.name}
    for path in folder.iterdir():
        os.utime(path, (0, time.time() - 31 * 24 * 3600))
    files.prune([READING])
    assert {path.name for path in folder.iterdir()} == {files.path(READING).name, theirs.name}
    assert time.time() - files.path(READING).stat().st_mtime < 60, "its month begins when nobody wants it any more"


def test_the_comment_is_what_the_file_is_named_for() -> None:
    packed = pack(READING, PCM)
    start = packed.index(b"{")
    comment = json.loads(packed[start : packed.index(b"\0", start)])
    assert comment.pop("crc32") > 0
    assert Reading(**comment) == READING
    assert len(packed) % 2 == 0
    assert int.from_bytes(packed[4:8], "little") == len(packed) - 8
