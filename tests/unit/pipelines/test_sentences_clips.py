"""The shipped clips: each is there, says the default wording of its language, sounds, and is fit for a telephone."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from loguru import logger

from config.phrases import default_announcement, default_phrases
from pipelines.sentence_clips import CLIPS, SHIPPED, SentenceKind, ShippedClips, load_shipped
from pipelines.sentence_reading import RATE_HZ, trim_reading

LANGUAGES = ["en", "es", "fr"]


@pytest.fixture(scope="module")
def shipped() -> ShippedClips:
    return load_shipped()


def test_every_kind_is_there_in_every_language(shipped: ShippedClips) -> None:
    assert set(shipped) == {(language, kind) for language in LANGUAGES for kind in SHIPPED}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_clip_says_the_default_wording(shipped: ShippedClips, language: str) -> None:
    phrases = default_phrases(language)
    for kind in SHIPPED:
        is_consent = kind is SentenceKind.CONSENT
        wording = default_announcement(language) if is_consent else getattr(phrases, kind)
        assert shipped[language, kind].text == wording, kind


def test_a_clip_sounds_from_its_first_moment_to_its_last(shipped: ShippedClips) -> None:
    for (language, kind), spoken in shipped.items():
        samples = np.frombuffer(spoken.pcm, dtype="<i2")
        assert spoken.rate_hz == RATE_HZ
        level = samples.astype(np.float64) / 32768
        assert -21.5 < 20 * np.log10(np.sqrt((level**2).mean())) < -18.5, (language, kind)
        assert np.abs(level).max() < 0.95, (language, kind)
        around_ms = (len(spoken.pcm) - len(trim_reading(spoken.pcm, spoken.text))) / 2 / RATE_HZ * 1000
        assert around_ms < 100, (language, kind)
        letters_per_sec = len(spoken.text) / (len(samples) / RATE_HZ)
        assert 8 < letters_per_sec < 22, (language, kind)


def test_no_file_is_there_that_nothing_reads() -> None:
    known = {f"{language}/{kind}.ogg" for language in LANGUAGES for kind in SHIPPED}
    known |= {"README.md", "clips.yaml", "make_clips.py"}
    there = [path for path in CLIPS.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {path.relative_to(CLIPS).as_posix() for path in there} == known
    assert sum(path.stat().st_size for path in there) < 2 * 1024 * 1024


def test_a_damaged_installation_is_named_and_the_rest_of_it_used(tmp_path: Path, shipped: ShippedClips) -> None:
    shutil.copytree(CLIPS, tmp_path / "clips")
    (tmp_path / "clips" / "en" / "busy.ogg").write_bytes(b"OggS")
    (tmp_path / "clips" / "en" / "filler.ogg").unlink()
    lines: list[str] = []
    number = logger.add(lambda line: lines.append(str(line)), level="ERROR", format="{message} {extra}")
    try:
        found = load_shipped(tmp_path / "clips")
        assert load_shipped(tmp_path / "nowhere") == {}
    finally:
        logger.remove(number)
    assert set(shipped) - set(found) == {("en", SentenceKind.BUSY), ("en", SentenceKind.FILLER)}
    assert ["busy.ogg" in lines[0] or "filler.ogg" in lines[0], "install the server again" in lines[0]] == [True, True]
    assert len(lines) == 3
