"""Twilio's answering machine detection: what to ask for, and what it tells.

Source: Twilio's "Answering Machine Detection" and "Asynchronous AMD". `DetectMessageEnd` tells of a machine when its
greeting is over, `Enable` as soon as it is one. Asynchronous: the call goes on meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from telephony.webhooks import BadForm, Form, read_call_sid


class AnsweredBy(StrEnum):
    """Who took the call, in Twilio's words."""

    HUMAN = "human"
    MACHINE_START = "machine_start"
    MACHINE_END_BEEP = "machine_end_beep"
    MACHINE_END_SILENCE = "machine_end_silence"
    MACHINE_END_OTHER = "machine_end_other"
    FAX = "fax"
    UNKNOWN = "unknown"

    @property
    def is_machine(self) -> bool:
        """Whether it is an answering machine."""
        return self.value.startswith("machine_")

    @property
    def is_greeting_over(self) -> bool:
        """Whether the machine has said all, and records."""
        return self.value.startswith("machine_end_")


@dataclass(frozen=True, slots=True)
class AnswerReport:
    """Who took a call, and how long it took to tell."""

    call_sid: str
    answered_by: AnsweredBy
    took_ms: int | None


def detection_parameters(
    *,
    waits_for_end: bool,
    callback_url: str,
    timeout_secs: int,
    speech_threshold_ms: int,
    speech_end_threshold_ms: int,
    silence_timeout_ms: int,
) -> Mapping[str, str | int]:
    """Return what `calls.create` of the SDK takes, so that Twilio tells `callback_url` who took the call.

    `waits_for_end`: a machine is told of when its greeting is over, as against at once.
    """
    return {
        "machine_detection": "DetectMessageEnd" if waits_for_end else "Enable",
        "async_amd": "true",  # text: the SDK would send True as such, and Twilio reads it otherwise
        "async_amd_status_callback": callback_url,
        "async_amd_status_callback_method": "POST",
        "machine_detection_timeout": timeout_secs,
        "machine_detection_speech_threshold": speech_threshold_ms,
        "machine_detection_speech_end_threshold": speech_end_threshold_ms,
        "machine_detection_silence_timeout": silence_timeout_ms,
    }


def parse_answer_report(form: Form) -> AnswerReport:
    """Read the callback. A word that Twilio may add one day reads as unknown. Raises `BadForm` without one."""
    word = next(iter(form.get("AnsweredBy", ())), "")
    if not word:
        raise BadForm("AnsweredBy is missing")
    known = {value.value for value in AnsweredBy}
    took = next(iter(form.get("MachineDetectionDuration", ())), "")
    return AnswerReport(
        read_call_sid(form),
        AnsweredBy(word) if word in known else AnsweredBy.UNKNOWN,
        int(took) if took.isascii() and took.isdigit() and len(took) < 9 else None,
    )
