"""A caller on hold: what he hears, what is kept from the model, and the files and sentences he may hear."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.agent import AgentConfig
from config.transfers import Transfer
from pipelines.hold_music import BadHoldFile, hold_music, read_hold_file
from pipelines.transfer_tool import transfer_call_for
from pipelines.warm_transfer import longest_secs

pytestmark = pytest.mark.unit

WARM: dict[str, Any] = {"to": ["+15551230198"], "describe": "The owner.", "mode": "warm"}


def write_wav(path: Path, *, rate_hz: int = 8000, channels: int = 1, secs: float = 1.0) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(bytes(int(secs * rate_hz) * 2 * channels))
    return path


def test_the_music_is_eight_seconds_at_a_gentle_level_and_has_no_seam() -> None:
    spoken = hold_music()
    samples = np.frombuffer(spoken.pcm, np.int16).astype(np.int32)
    assert (len(samples), spoken.rate_hz, spoken.text) == (8 * 24_000, 24_000, "")
    assert 4000 < np.abs(samples).max() < 8000
    steps = np.abs(np.diff(samples))
    assert abs(samples[0] - samples[-1]) <= steps.max()
    quiet = np.abs(samples).reshape(-1, 2400).max(axis=1)
    assert quiet.min() > 200, "nobody on hold shall believe that the line is dead"


def test_a_file_of_the_operators(tmp_path: Path) -> None:
    good = write_wav(tmp_path / "good.wav", secs=2)
    assert Transfer(**WARM, hold=str(good)).hold_sentence is None
    spoken = read_hold_file(good)
    assert (len(spoken.pcm), spoken.rate_hz) == (32_000, 8000)
    bad = [
        write_wav(tmp_path / "stereo.wav", channels=2),
        write_wav(tmp_path / "fast.wav", rate_hz=44_100),
        write_wav(tmp_path / "short.wav", secs=0.5),
        tmp_path / "none.wav",
    ]
    (tmp_path / "text.wav").write_text("not a sound")
    for path in [*bad, tmp_path / "text.wav"]:
        with pytest.raises(BadHoldFile, match="mono, 16 bit"):
            read_hold_file(path)
        with pytest.raises(ValueError, match="channels, 16 bits|cannot be read"):
            Transfer(**WARM, hold=str(path))


@pytest.mark.parametrize(
    ("hold", "mode", "sentence"),
    [
        ("music", "warm", None),
        ("silence", "warm", None),
        ("talk", "warm", None),
        ("One moment, please.", "warm", "One moment, please."),
        ("One moment, please.", "cold", None),
    ],
)
def test_what_is_a_sentence(hold: str, mode: str, sentence: str | None) -> None:
    assert Transfer(**(WARM | {"hold": hold, "mode": mode})).hold_sentence == sentence


def test_a_tool_may_take_as_long_as_all_the_people_it_rings() -> None:
    two = Transfer(**(WARM | {"to": ["+15551230198", {"address": "+15551230197", "ring_secs": 40}]}))
    assert longest_secs(two) > 20 + 40
    assert longest_secs(Transfer(**(WARM | {"mode": "cold"}))) == 0


def test_the_model_is_asked_for_a_summary_where_somebody_hears_it() -> None:
    def tool(**changes: Any) -> Any:
        given = {"name": "a", "bot": "b", "transfers": {"owner": WARM | changes}}
        return transfer_call_for(AgentConfig.model_validate(given))

    cold, warm = tool(mode="cold"), tool()
    assert cold.__name__ == warm.__name__ == "transfer_call"
    assert "summary" not in (cold.__doc__ or "")
    assert "summary: One or two sentences" in (warm.__doc__ or "")
    assert "owner (The owner.)" in (warm.__doc__ or "")
