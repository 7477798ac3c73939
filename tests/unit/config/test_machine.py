"""`outbound.machine`: what is said to an answering machine, checked when the agent is loaded."""

import wave
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from config.machine import FOLDER, Machine
from config.wording import describe


def write_wav(path: Path, *, secs: float = 1.0, rate_hz: int = 8000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        file.writeframes(bytes(int(secs * rate_hz) * channels * width))
    return path


def fault(folder: Path, **fields: Any) -> tuple[str, str]:
    with pytest.raises(ValidationError) as raised:
        Machine.model_validate(fields, context={FOLDER: folder})
    [error] = raised.value.errors()
    return describe(error)


def test_a_recorded_message_starts_from_the_folder_of_the_agents_file(tmp_path: Path) -> None:
    write_wav(tmp_path / "away.wav", rate_hz=16_000, channels=2)
    machine = Machine.model_validate({"do": "leave_message", "message_file": "away.wav"}, context={FOLDER: tmp_path})
    assert machine.message_file == tmp_path / "away.wav"


def test_bad_sections_are_refused_with_the_cure(tmp_path: Path) -> None:
    leave = {"do": "leave_message"}
    write_wav(tmp_path / "good.wav")
    write_wav(tmp_path / "eight.wav", width=1)
    write_wav(tmp_path / "empty.wav", secs=0)
    write_wav(tmp_path / "long.wav", secs=301)
    (tmp_path / "text.wav").write_text("no sound")
    assert fault(tmp_path, **leave) == ("leave_message has no message", "give one of message and message_file")
    both = {"message": "x", "message_file": "good.wav"}
    assert fault(tmp_path, **leave, **both)[0] == "leave_message has both a message and a message_file"
    assert fault(tmp_path, do="hang_up", message="x") == (
        "message is never said with do: hang_up",
        "write do: leave_message, or remove it",
    )
    assert fault(tmp_path, **leave, message_file="none.wav") == (
        "there is no file 'none.wav'",
        "paths start from the folder of the agent's file",
    )
    assert fault(tmp_path, **leave, message_file="text.wav")[1] == "save it as WAV, 16 bit PCM"
    assert fault(tmp_path, **leave, message_file=".")[1] == "save it as WAV, 16 bit PCM"
    assert fault(tmp_path, **leave, message_file="eight.wav")[0] == "is a WAV of another kind"
    assert fault(tmp_path, **leave, message_file="empty.wav")[0] == "lasts 0 s"
    assert fault(tmp_path, **leave, message_file="long.wav")[0] == "lasts 301 s"
    assert fault(tmp_path, do="sing")[0].startswith("must be 'leave_message', 'hang_up' or 'talk'")
    assert fault(tmp_path, do="talk", detection={"timeout_secs": 60})[0].startswith("must be <= 59")
