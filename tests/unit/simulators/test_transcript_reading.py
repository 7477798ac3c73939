"""What the stand-in's text model says of a transcript: sensible, and the same every time."""

import json
from typing import Any

import pytest

from simulators.transcript_reading import Said, answer_about, find_transcript

BOOKING = [
    Said("agent", "Good morning, Blue Door Dental. How can I help?"),
    Said("caller", "My name is Alex Morgan. Could I book an appointment on Tuesday at ten?"),
    Said("agent", "Your appointment is booked for Tuesday at ten. Is there anything else?"),
    Said("caller", "That's all, thank you. Goodbye!"),
]
COMPLAINT = [
    Said("caller", "The waiting time was a bit long. Stop, stop!"),
    Said("agent", "I am sorry, Tuesday is taken."),
]
TASK = "The call began at 2026-03-01T09:00+00:00."  # a Sunday


@pytest.mark.parametrize(
    ("schema", "said", "value"),
    [
        ({"type": "boolean", "description": "Did the caller want an appointment?"}, BOOKING, True),
        ({"type": "boolean", "description": "Was there a complaint about parking?"}, BOOKING, False),
        ({"type": ["integer", "null"], "description": "At what hour?"}, BOOKING, 10),
        ({"type": ["integer", "null"], "description": "At what hour?"}, COMPLAINT, None),
        ({"type": ["string", "null"], "format": "date", "description": "For which day?"}, BOOKING, "2026-03-03"),
        ({"type": ["string", "null"], "description": "The caller's name"}, BOOKING, "Alex Morgan"),
        ({"type": ["string", "null"], "description": "The caller's name"}, COMPLAINT, None),
        ({"type": "string", "enum": ["positive", "neutral", "negative"]}, BOOKING, "positive"),
        ({"type": "string", "enum": ["positive", "neutral", "negative"]}, COMPLAINT, "negative"),
        ({"type": "string", "enum": ["reached", "not_reached", "unclear"]}, BOOKING, "reached"),
        ({"type": "string", "enum": ["reached", "not_reached", "unclear"]}, COMPLAINT, "not_reached"),
        ({"type": "string", "enum": ["reached", "not_reached", "unclear"]}, BOOKING[:1], "unclear"),
        ({"type": ["string", "null"], "enum": ["complaint", "appointment", None]}, BOOKING, "appointment"),
        ({"type": ["array", "null"], "items": {"type": "string"}, "description": "Complaints"}, BOOKING, None),
        ({"type": "number", "description": "How many?"}, [], 0.0),
    ],
)
def test_what_was_said_decides(schema: dict[str, Any], said: list[Said], value: Any) -> None:
    whole = {"type": "object", "properties": {"it": schema}}
    assert answer_about(whole, said, TASK) == {"it": value}


def test_a_transcript_is_found_between_other_things() -> None:
    listed = [{"speaker": one.speaker, "text": one.text} for one in BOOKING]
    assert find_transcript(f"BEGIN [1] x\n{json.dumps(listed, indent=0)}\nEND [2]") == BOOKING
    assert find_transcript("agent: Good morning!\ncaller: [hello]") == []
