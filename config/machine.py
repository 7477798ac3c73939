"""What an agent does when it is an answering machine that takes its call: `outbound.machine:`."""

import wave
from pathlib import Path
from typing import Annotated, Literal, Self, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from config.phrases import Sentence
from config.wording import problem, shown

FOLDER = "folder"
"""In the context of a validation: the folder that paths in the file start from."""

_LONGEST_FILE_SECS = 300
_LOWEST_HZ, _HIGHEST_HZ = 8000, 48_000


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Detection(_Section):
    """How Twilio tells a machine from a person. The bounds and defaults are Twilio's."""

    timeout_secs: int = Field(
        default=30, ge=3, le=59, description="How long Twilio may listen before it says that it does not know."
    )
    speech_threshold_ms: int = Field(
        default=2400, ge=1000, le=6000, description="Whoever speaks longer than this after answering is a machine."
    )
    speech_end_threshold_ms: int = Field(
        default=1200, ge=500, le=5000, description="Quiet after which what was said counts as over."
    )
    silence_timeout_ms: int = Field(
        default=5000, ge=2000, le=10_000, description="Quiet after answering, after which Twilio does not know."
    )


def _playable(path: Path, info: ValidationInfo) -> Path:
    folder = cast("dict[str, Path]", info.context or {}).get(FOLDER)
    found = path if folder is None or path.is_absolute() else folder / path
    try:
        with wave.open(str(found), "rb") as file:
            secs = file.getnframes() / file.getframerate()
            is_usual = file.getsampwidth() == 2 and file.getnchannels() <= 2
            is_usual = is_usual and _LOWEST_HZ <= file.getframerate() <= _HIGHEST_HZ
    except FileNotFoundError:
        raise problem(
            f"there is no file {shown(str(path))}", "paths start from the folder of the agent's file"
        ) from None
    except (OSError, EOFError, wave.Error, ZeroDivisionError) as error:
        raise problem(f"cannot be read as WAV ({error})", "save it as WAV, 16 bit PCM") from None
    if not is_usual:
        raise problem("is a WAV of another kind", "save it with 16 bit, one or two channels, 8 to 48 kHz")
    if not 0 < secs <= _LONGEST_FILE_SECS:
        raise problem(f"lasts {secs:.0f} s", f"a message lasts from a moment to {_LONGEST_FILE_SECS} s")
    return found.absolute()


SoundFile = Annotated[Path, AfterValidator(_playable)]
"""The path of a WAV that was there when the agent was checked; absolute afterwards."""


class Machine(_Section):
    """What to do with an answering machine. Without this section nobody looks for one."""

    do: Literal["leave_message", "hang_up", "talk"] = Field(
        description="`leave_message` after its tone, `hang_up` at once, or `talk` to it as to a person."
    )
    message: Sentence | None = Field(
        default=None, description="What `leave_message` says, in the agent's own voice, word for word."
    )
    message_file: SoundFile | None = Field(
        default=None, description="A recorded message instead, WAV; the path starts from the agent's file."
    )
    detection: Detection = Field(default_factory=Detection, description="How a machine is told from a person.")

    @model_validator(mode="after")
    def _has_what_it_says(self) -> Self:
        given = [name for name in ("message", "message_file") if getattr(self, name) is not None]
        if self.do == "leave_message" and len(given) != 1:
            what = "both a message and a message_file" if given else "no message"
            raise problem(f"leave_message has {what}", "give one of message and message_file")
        if self.do != "leave_message" and given:
            raise problem(f"{given[0]} is never said with do: {self.do}", "write do: leave_message, or remove it")
        return self
