"""Webhook forms: read once, at the door."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.away_step import DialOutcome, DialReport
from telephony.webhooks import (
    BadForm,
    IncomingCall,
    StatusReport,
    StreamOver,
    parse_answered_leg,
    parse_form,
    parse_incoming_call,
    parse_status_report,
    parse_stream_over,
)

pytestmark = pytest.mark.unit


def test_a_ringing_call_is_read() -> None:
    form = parse_form(b"CallSid=CA1&From=%2B15557654321&To=%2B15551230100&CallStatus=ringing&Empty=")
    assert parse_incoming_call(form) == IncomingCall("CA1", "+15551230100", "+15557654321")
    assert form["Empty"] == [""]


@pytest.mark.parametrize("caller", ["", "anonymous", "%2B266696687", "client%3Aalex"])
def test_a_caller_may_have_no_number(caller: str) -> None:
    form = parse_form(f"CallSid=CA1&From={caller}&To=sip%3Afront%40h".encode())
    assert parse_incoming_call(form) == IncomingCall("CA1", "sip:front@h", None)


@pytest.mark.parametrize(
    ("given", "report"),
    [
        ({}, None),
        ({"DialCallStatus": "completed", "DialCallDuration": "42"}, DialReport(DialOutcome.ANSWERED, 42)),
        ({"DialCallStatus": "answered"}, DialReport(DialOutcome.ANSWERED)),
        ({"DialCallStatus": "busy"}, DialReport(DialOutcome.BUSY)),
        ({"DialCallStatus": "no-answer"}, DialReport(DialOutcome.NO_ANSWER)),
        ({"DialCallStatus": "canceled"}, DialReport(DialOutcome.CANCELLED)),
        ({"DialCallStatus": "something-new"}, DialReport(DialOutcome.FAILED)),
        ({"DialCallStatus": "no-answer", "CallStatus": "completed"}, DialReport(DialOutcome.CALLER_HUNG_UP)),
        ({"DialCallStatus": "completed", "CallStatus": "completed"}, DialReport(DialOutcome.ANSWERED)),
        ({"DialCallStatus": "completed", "DialCallDuration": "soon"}, DialReport(DialOutcome.ANSWERED)),
    ],
)
def test_the_end_of_a_stream_and_of_a_transfer_are_told_apart(given: dict[str, str], report: DialReport | None) -> None:
    form = {"CallSid": ["CA1"], **{name: [value] for name, value in given.items()}}
    assert parse_stream_over(form) == StreamOver("CA1", report)
    assert parse_stream_over({**form, "StreamSid": ["MZ1"]}) == StreamOver("CA1", report, "MZ1")
    if report is not None:
        assert DialReport.from_details(report.as_details()) == report


def test_an_answered_leg_names_the_call_that_dialled_it() -> None:
    assert parse_answered_leg({"CallSid": ["CA2"], "ParentCallSid": ["CA1"]}) == "CA1"
    with pytest.raises(BadForm):
        parse_answered_leg({"CallSid": ["CA2"]})


@pytest.mark.parametrize(
    ("word", "is_final"),
    [
        ("initiated", False),
        ("in-progress", False),
        ("completed", True),
        ("busy", True),
        ("no-answer", True),
        ("", None),
    ],
)
def test_a_status_is_final_or_not(word: str, is_final: bool | None) -> None:
    form = {"CallSid": ["CA1"], "CallStatus": [word]}
    if is_final is None:
        with pytest.raises(BadForm, match="CallStatus is missing"):
            parse_status_report(form)
    else:
        assert parse_status_report(form) == StatusReport("CA1", word, is_final)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=1&" * 201])
def test_a_body_that_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(BadForm, match="not an URL-encoded form"):
        parse_form(body)


@pytest.mark.parametrize("sid", ["", "1", "CA", "CA1/../x", "CA1\0", "CA" + "1" * 99])
def test_a_call_sid_looks_like_one(sid: str) -> None:
    with pytest.raises(BadForm, match="CallSid"):
        parse_incoming_call({"CallSid": [sid], "To": ["+15551230100"]})


@given(st.binary(max_size=200))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    call_sid = ""
    with contextlib.suppress(BadForm):
        call_sid = parse_stream_over(parse_form(body)).call_sid
    assert call_sid == "" or call_sid.startswith("CA")
