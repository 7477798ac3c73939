"""Synthesizes every clip of this folder from clips.yaml. Run by hand, once; what it makes is committed.

Needs `kokoro-onnx`, which the project does not install, and the model and voices files of Kokoro-82M v1.0:

    python pipelines/clips/make_clips.py --model kokoro-v1.0.int8.onnx --voices voices-v1.0.bin

Clips whose file exists are left alone unless `--force` is given.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # pyright: ignore[reportMissingTypeStubs]
import yaml

FOLDER = Path(__file__).parent
RATE_HZ = 24_000
# 0 is best and biggest, 1 is worst and smallest. At 0.7 one clip in thirty has peaks that were never in it.
VORBIS_COMPRESSION = 0.5
# Every clip is as loud as any other (-20 dBFS on average); single peaks give way from half of full scale on.
LOUDNESS, KNEE, ROOM = 0.1, 0.5, 0.3
QUIET = 0.008
FRAME_SAMPLES = RATE_HZ // 100
MARGIN_SAMPLES = RATE_HZ * 60 // 1000
FADE_SAMPLES = RATE_HZ * 5 // 1000


def trim(samples: np.ndarray) -> np.ndarray:
    """Makes it as loud as the others, cuts the silence at both ends to 60 ms, and fades the ends."""
    samples = samples.astype(np.float32) * (LOUDNESS / float(np.sqrt((samples**2).mean())))
    above = np.maximum(np.abs(samples) - KNEE, 0)
    samples = np.sign(samples) * (np.minimum(np.abs(samples), KNEE) + ROOM * np.tanh(above / ROOM))
    count = len(samples) // FRAME_SAMPLES
    levels = np.sqrt((samples[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES) ** 2).mean(axis=1))
    (loud,) = np.nonzero(levels > QUIET)
    start = max(0, int(loud[0]) * FRAME_SAMPLES - MARGIN_SAMPLES)
    cut = samples[start : (int(loud[-1]) + 1) * FRAME_SAMPLES + MARGIN_SAMPLES].copy()
    cut[:FADE_SAMPLES] *= np.linspace(0, 1, FADE_SAMPLES, dtype=np.float32)
    cut[-FADE_SAMPLES:] *= np.linspace(1, 0, FADE_SAMPLES, dtype=np.float32)
    return cut


def make_all(engine: Any, *, force: bool) -> None:
    """Writes every clip that is missing (every clip at all with `force`): mono Ogg Vorbis, 24 kHz."""
    for language, entry in yaml.safe_load((FOLDER / "clips.yaml").read_text(encoding="utf-8")).items():
        (FOLDER / language).mkdir(exist_ok=True)
        for kind, text in entry["sentences"].items():
            path = FOLDER / language / f"{kind}.ogg"
            if path.exists() and not force:
                continue
            samples, _ = engine.create(text, voice=entry["voice"], lang=entry["lang"], speed=1.0)
            soundfile.write(  # pyright: ignore[reportUnknownMemberType]
                path,
                trim(np.asarray(samples)),
                RATE_HZ,
                format="OGG",
                subtype="VORBIS",
                compression_level=VORBIS_COMPRESSION,
            )


def main() -> None:
    """Reads the command line and makes the clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="Kokoro ONNX model file")
    parser.add_argument("--voices", required=True, help="Kokoro voices file")
    parser.add_argument("--force", action="store_true", help="make clips again that are already there")
    options = parser.parse_args()
    from kokoro_onnx import Kokoro  # pyright: ignore

    make_all(Kokoro(options.model, options.voices), force=options.force)


if __name__ == "__main__":
    main()
