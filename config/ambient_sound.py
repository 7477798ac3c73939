"""The audio file behind an agent's voice: where it is, and whether it can be played."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import soundfile  # pyright: ignore[reportMissingTypeStubs]

from config.listening import SHIPPED_SOUNDS

_LEAST_SECS = 2.0


def find_sound(fields: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return an agent's unchecked fields with `listening.ambient.sound` as a whole path when it names a file.

    A name without a folder is that of a file in `folder`, where the agent's own is. What is of the wrong form stays.
    """
    listening = fields.get("listening")
    ambient = cast(Mapping[str, Any], listening).get("ambient") if isinstance(listening, Mapping) else None
    sound = cast(Mapping[str, Any], ambient).get("sound") if isinstance(ambient, Mapping) else None
    if not isinstance(sound, str) or not Path(sound).suffix:
        return dict(fields)
    placed = {**cast(Mapping[str, Any], ambient), "sound": str(folder.absolute() / sound)}
    return {**fields, "listening": {**cast(Mapping[str, Any], listening), "ambient": placed}}


def sound_fault(sound: str) -> tuple[str, str] | None:
    """Return what is wrong with a sound's file and how to cure it; None for a shipped one, or when nothing is."""
    if sound in SHIPPED_SOUNDS:
        return None
    path = Path(sound)
    if not path.is_file():
        return f"there is no file {sound}", "put it beside the agent's file, or take office or cafe"
    try:
        with path.open("rb") as file, soundfile.SoundFile(file) as found:
            secs = found.frames / found.samplerate
    except (OSError, soundfile.LibsndfileError) as error:
        return f"{sound} cannot be played ({error})", "make it a WAV, FLAC or OGG file"
    if secs < _LEAST_SECS:
        return f"{sound} is only {secs:.1f} s long", f"it is repeated: make it {_LEAST_SECS:g} s at least"
    return None
