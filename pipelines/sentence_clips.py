"""The sentences that are shipped as sound: `pipelines/clips/`, one folder for each language."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import cast

import numpy as np
import soundfile  # pyright: ignore[reportMissingTypeStubs]
import yaml
from loguru import logger

CLIPS = Path(__file__).parent / "clips"
_DAMAGED = "a shipped sentence is missing or damaged: install the server again"


class SentenceKind(StrEnum):
    """Which of an agent's sentences, the most needed first; but for consent and `disclosure` among its phrases."""

    FILLER = "filler"
    APOLOGY = "apology"
    CONNECTING = "connecting"
    TOOL_FILLER = "tool_filler"
    BUSY = "busy"
    DRAIN_GOODBYE = "drain_goodbye"
    CONSENT = "consent"
    DISCLOSURE = "disclosure"
    CONSENT_QUESTION = "consent_question"
    TIME_WARNING = "time_warning"
    GOODBYE = "goodbye"
    SILENCE_GOODBYE = "silence_goodbye"
    TAKE_MESSAGE = "take_message"
    MESSAGE_THANKS = "message_thanks"


SHIPPED = frozenset(SentenceKind) - {SentenceKind.DISCLOSURE, SentenceKind.CONSENT_QUESTION}
"""Those that a shipped clip may stand in for; who calls cannot be said in other words than the agent's."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A sentence as sound.

    Attributes:
        text: What is said in it, word for word.
        pcm: PCM16 little-endian, mono.
        rate_hz: Its sample rate.
    """

    text: str
    pcm: bytes
    rate_hz: int


ShippedClips = Mapping[tuple[str, SentenceKind], Spoken]
"""(language such as "en", kind) -> the clip."""


def load_shipped(folder: Path = CLIPS) -> ShippedClips:
    """Return every shipped clip. Reads and decodes files for some tenths of a second: call it in a thread.

    A clip that is missing or damaged is logged and left out; a call without it is better than none.
    """
    found: dict[tuple[str, SentenceKind], Spoken] = {}
    try:
        listed = yaml.safe_load((folder / "clips.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        logger.bind(error=f"{type(error).__name__}: {error}").error(_DAMAGED)
        return found
    for language, entry in cast(Mapping[str, Mapping[str, Mapping[str, str]]], listed).items():
        for kind, text in entry["sentences"].items():
            path = folder / language / f"{kind}.ogg"
            try:
                found[language, SentenceKind(kind)] = _read(path, text)
            except (OSError, soundfile.LibsndfileError) as error:
                logger.bind(file=str(path), error=f"{type(error).__name__}: {error}").error(_DAMAGED)
    return found


def _read(path: Path, text: str) -> Spoken:
    with path.open("rb") as file:
        samples, rate_hz = soundfile.read(file, dtype="int16")  # pyright: ignore[reportUnknownVariableType]
    return Spoken(text, np.asarray(samples, dtype="<i2").tobytes(), int(cast(int, rate_hz)))
