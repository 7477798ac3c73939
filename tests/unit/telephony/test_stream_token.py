"""The stream's token: good for one call, for a while, and impossible to change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.stream_token import BadToken, ExpiredToken, issue, verify

pytestmark = pytest.mark.unit

SECRET = b"s" * 32
TOKEN = issue(SECRET, call_id="c1", call_sid="CA1", now=1000.0, ttl_secs=60)


def test_a_token_names_its_call_until_it_expires() -> None:
    assert verify(SECRET, TOKEN, call_sid="CA1", now=1000.0) == "c1"
    assert verify(SECRET, TOKEN, call_sid="CA1", now=1060.0) == "c1"
    with pytest.raises(ExpiredToken):
        verify(SECRET, TOKEN, call_sid="CA1", now=1060.002)


def test_a_token_fits_a_parameter_and_hides_the_call_sid() -> None:
    assert len(issue(SECRET, call_id="c" * 36, call_sid="CA" + "0" * 32, now=2e9, ttl_secs=60)) < 200
    assert "CA1" not in TOKEN


@pytest.mark.parametrize("token", [None, "", "c1", "c1..", "c1.x.y", "..", "c1.٣.y", "c1.99999999999999.ÿ", "x" * 9999])
def test_what_is_no_token_is_refused(token: str | None) -> None:
    with pytest.raises(BadToken):
        verify(SECRET, token, call_sid="CA1", now=1000.0)


def test_a_token_of_another_call_or_secret_is_refused() -> None:
    with pytest.raises(BadToken):
        verify(SECRET, TOKEN, call_sid="CA2", now=1000.0)
    with pytest.raises(BadToken):
        verify(b"t" * 32, TOKEN, call_sid="CA1", now=1000.0)


def test_a_wrong_token_is_not_called_expired() -> None:
    with pytest.raises(BadToken) as caught:
        verify(SECRET, TOKEN, call_sid="CA2", now=9999.0)
    assert not isinstance(caught.value, ExpiredToken)


@given(position=st.integers(0, len(TOKEN) - 1), character=st.characters(codec="utf-8"))
def test_a_token_changed_anywhere_is_refused(position: int, character: str) -> None:
    changed = TOKEN[:position] + character + TOKEN[position + 1 :]
    if changed == TOKEN:
        return
    with pytest.raises(BadToken):
        verify(SECRET, changed, call_sid="CA1", now=1000.0)


@given(st.text())
def test_any_text_is_refused_without_another_exception(token: str) -> None:
    with pytest.raises(BadToken):
        verify(SECRET, token, call_sid="CA1", now=0.0)


@given(call_id=st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=36))
def test_any_call_id_comes_back(call_id: str) -> None:
    token = issue(SECRET, call_id=call_id, call_sid="CA1", now=0.0, ttl_secs=1)
    assert verify(SECRET, token, call_sid="CA1", now=0.0) == call_id
