"""Machine detection, as Twilio is asked for it and as it tells."""

import pytest

from simulators.answering_machine import detection_problem
from simulators.twilio_rest import CREATE_CALL
from telephony.machine_detection import AnsweredBy, detection_parameters, parse_answer_report
from telephony.webhooks import BadForm


def test_what_is_asked_for_is_known_to_the_sdk_and_within_twilios_bounds() -> None:
    asked = detection_parameters(
        waits_for_end=True,
        callback_url="https://voice.example.com/twilio/amd?call_id=1",
        timeout_secs=30,
        speech_threshold_ms=2400,
        speech_end_threshold_ms=1200,
        silence_timeout_ms=5000,
    )
    named = {"".join(word.title() for word in name.split("_")): str(value) for name, value in asked.items()}
    assert set(named) <= CREATE_CALL
    assert named["AsyncAmd"] == "true"
    assert named["MachineDetection"] == "DetectMessageEnd"
    assert detection_problem(named) is None


def form(**fields: str) -> dict[str, list[str]]:
    return {name: [value] for name, value in {"CallSid": "CA1", **fields}.items()}


def test_the_callback_is_read_and_a_new_word_of_twilios_is_unknown() -> None:
    report = parse_answer_report(form(AnsweredBy="machine_end_beep", MachineDetectionDuration="4120"))
    assert (report.call_sid, report.answered_by, report.took_ms) == ("CA1", AnsweredBy.MACHINE_END_BEEP, 4120)
    assert report.answered_by.is_machine
    assert report.answered_by.is_greeting_over
    assert not AnsweredBy.MACHINE_START.is_greeting_over
    assert parse_answer_report(form(AnsweredBy="robot", MachineDetectionDuration="-1")).answered_by == "unknown"
    assert parse_answer_report(form(AnsweredBy="fax", MachineDetectionDuration="soon")).took_ms is None
    for broken in ({"CallSid": ["CA1"]}, {"AnsweredBy": ["human"]}, {"CallSid": ["x"], "AnsweredBy": ["human"]}):
        with pytest.raises(BadForm):
            parse_answer_report(broken)
