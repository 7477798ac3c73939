"""Synthesizes every clip of this folder from clips.yaml. Run by hand, once; what it makes is committed.

Needs `kokoro-onnx`, which the project does not install, and the model and voices files of Kokoro-82M v1.0:

    python simulators/audio/make_clips.py --model kokoro-v1.0.int8.onnx --voices voices-v1.0.bin

Clips whose file exists are left alone unless `--force` is given.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # pyright: ignore[reportMissingTypeStubs]
import yaml

FOLDER = Path(__file__).parent
RATE_HZ = 24_000
FRAME_SAMPLES = 240
# 0 is best and biggest, 1 is worst and smallest: about 36 kbit/s, beyond what a phone line lets through.
VORBIS_COMPRESSION = 0.7
PEAK = 0.7


def trim(samples: np.ndarray, *, margin_ms: int) -> np.ndarray:
    """Cuts the silence before and after the voice, keeping `margin_ms` of it, and scales the peak to `PEAK`."""
    samples = samples.astype(np.float32) * (PEAK / max(float(np.abs(samples).max()), 1e-6))
    count = len(samples) // FRAME_SAMPLES
    levels = np.sqrt((samples[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES) ** 2).mean(axis=1))
    (loud,) = np.nonzero(levels > 0.008)
    margin = margin_ms * RATE_HZ // 1000
    start = max(0, int(loud[0]) * FRAME_SAMPLES - margin)
    end = min(len(samples), (int(loud[-1]) + 1) * FRAME_SAMPLES + margin)
    cut = samples[start:end].copy()
    fade = min(len(cut) // 2, RATE_HZ * 5 // 1000)
    cut[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)
    cut[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return cut


def shorten_pauses(samples: np.ndarray, *, longest_ms: int) -> np.ndarray:
    """Cuts the middle out of every silence longer than `longest_ms`, so that nobody takes it for the end of speech."""
    count = len(samples) // FRAME_SAMPLES
    levels = np.sqrt((samples[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES) ** 2).mean(axis=1))
    most = longest_ms * RATE_HZ // 1000 // FRAME_SAMPLES
    kept = np.ones(len(samples), dtype=bool)
    quiet_from = 0
    for frame in range(count + 1):
        if frame < count and levels[frame] <= 0.008:
            continue
        surplus = frame - quiet_from - most
        if surplus > 0:
            start = (quiet_from + most // 2) * FRAME_SAMPLES
            kept[start : start + surplus * FRAME_SAMPLES] = False
        quiet_from = frame + 1
    return samples[kept]


def write_vorbis(path: Path, samples: np.ndarray) -> None:
    """Writes mono Ogg Vorbis at 24 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(
        path, "w", samplerate=RATE_HZ, channels=1, format="OGG", subtype="VORBIS", compression_level=VORBIS_COMPRESSION
    ) as file:
        # libsndfile's Vorbis encoder overflows the stack when it is given minutes of audio in one write.
        for start in range(0, len(samples), RATE_HZ):
            file.write(samples[start : start + RATE_HZ])  # pyright: ignore[reportUnknownMemberType]


def make_words(engine: Any, voice: str, words: list[str], letters: dict[str, str]) -> None:
    """Writes words.ogg, all words in a row, and words.json: word -> [first sample, number of samples]."""
    parts: list[np.ndarray] = []
    index: dict[str, list[int]] = {}
    position = 0
    gap = np.zeros(RATE_HZ // 20, dtype=np.float32)
    spoken = {word: f"{word}." for word in words} | {f"letter-{key}": f"{text}." for key, text in letters.items()}
    for key, text in spoken.items():
        samples, _ = engine.create(text, voice=voice, lang="en-us", speed=1.0)
        cut = trim(np.asarray(samples), margin_ms=10)
        index[key] = [position, len(cut)]
        parts += [cut, gap]
        position += len(cut) + len(gap)
    write_vorbis(FOLDER / "words.ogg", np.concatenate(parts))
    (FOLDER / "words.json").write_text(json.dumps(index, indent=0, sort_keys=True) + "\n")


def make_all(engine: Any, *, force: bool) -> None:
    """Writes every clip that is missing (every clip at all with `force`)."""
    listed = yaml.safe_load((FOLDER / "clips.yaml").read_text())
    for kind in ("caller", "agent"):
        for clip_id, entry in listed[kind].items():
            path = FOLDER / kind / f"{clip_id}.ogg"
            if path.exists() and not force:
                continue
            text = entry if isinstance(entry, str) else entry["text"]
            samples, _ = engine.create(text, voice=listed["voices"][kind], lang="en-us", speed=1.0)
            write_vorbis(path, shorten_pauses(trim(np.asarray(samples), margin_ms=40), longest_ms=260))
    if force or not (FOLDER / "words.ogg").exists():
        words = list(dict.fromkeys(listed["words"].split()))
        make_words(engine, listed["voices"]["agent"], words, listed["letters"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="Kokoro ONNX model file")
    parser.add_argument("--voices", required=True, help="Kokoro voices file")
    parser.add_argument("--force", action="store_true", help="make clips again that are already there")
    options = parser.parse_args()
    from kokoro_onnx import Kokoro  # pyright: ignore

    make_all(Kokoro(options.model, options.voices), force=options.force)


if __name__ == "__main__":
    main()
