"""Numbers: one form inside, whatever people type outside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.numbers import BadNumber, parse_e164

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("text", ["+15551230100", " +1 (555) 123-0100 ", "tel:+1-555-123-0100", "+1.555.123.0100"])
def test_what_people_type_becomes_e164(text: str) -> None:
    assert parse_e164(text) == "+15551230100"


@pytest.mark.parametrize(
    "text", ["", "5551230100", "+1", "+1555", "anonymous", "+266696687", "client:alex", "sip:a@b", "+15551230100;ext=5"]
)
def test_what_is_no_full_number_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(BadNumber) as caught:
        parse_e164(text)
    assert str(caught.value).startswith("Not a full telephone number.")


@given(st.text())
def test_any_text_is_a_number_or_refused(text: str) -> None:
    try:
        number = parse_e164(text)
    except BadNumber:
        return
    assert number[0] == "+"
    assert number[1:].isdigit()
    assert len(number) <= 16
