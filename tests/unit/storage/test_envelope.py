"""What is sealed opens at its place with its key, and never otherwise."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.sealing_keys import KeyText
from storage.envelope import (
    SealBroken,
    key_id_of,
    key_id_of_text,
    new_data_key,
    open_header,
    open_sealed,
    open_text,
    rewrap,
    rewrap_text,
    seal,
    seal_text,
)
from storage.key_ring import KeyRing, SealingKeyMissing

pytestmark = pytest.mark.unit

OLD, NEW = KeyText("2026-01", b"o" * 32), KeyText("2026-02", b"n" * 32)
RING = KeyRing([OLD])
TURNED = KeyRing([NEW, OLD])
PLACE = "turns.text:c1:0"
few = settings(max_examples=40, deadline=None)


@few
@given(st.binary(max_size=300), st.text(max_size=20))
def test_bytes_come_back_and_only_at_their_place(plain: bytes, place: str) -> None:
    sealed = seal(plain, place, RING)
    assert open_sealed(sealed, place, RING) == plain
    assert key_id_of(sealed) == "2026-01"
    with pytest.raises(SealBroken):
        open_sealed(sealed, place + "x", RING)


@few
@given(st.text(st.characters(exclude_categories=()), max_size=100))
def test_texts_come_back_with_every_character(plain: str) -> None:
    sealed = seal_text(plain, PLACE, RING)
    assert sealed.isascii()
    assert sealed.startswith("sealed:2026-01:")
    assert key_id_of_text(sealed) == "2026-01"
    assert open_text(sealed, PLACE, RING) == plain


@few
@given(st.data())
def test_no_bit_of_a_value_may_change_and_none_may_be_missing(data: st.DataObject) -> None:
    sealed = seal(b"a few words", PLACE, RING)
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    flipped = bytearray(sealed)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises((SealBroken, SealingKeyMissing)):
        open_sealed(bytes(flipped), PLACE, RING)
    with pytest.raises(SealBroken):
        open_sealed(sealed[: data.draw(st.integers(0, len(sealed) - 1))], PLACE, RING)
    with pytest.raises(SealBroken):
        open_sealed(sealed + b"x", PLACE, RING)


@few
@given(st.data())
def test_no_character_of_a_text_may_change_and_none_may_be_missing(data: st.DataObject) -> None:
    sealed = seal_text("a few words", PLACE, RING)
    at = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.characters().filter(lambda character: character != sealed[at]))
    for changed in (sealed[:at] + other + sealed[at + 1 :], sealed[:at], sealed[:at] + other + sealed[at:]):
        with pytest.raises((SealBroken, SealingKeyMissing)):
            open_text(changed, PLACE, RING)


def test_another_key_of_the_same_id_opens_nothing() -> None:
    sealed = seal_text("a few words", PLACE, RING)
    with pytest.raises(SealBroken) as caught:
        open_text(sealed, PLACE, KeyRing([KeyText("2026-01", b"x" * 32)]))
    assert "turns.text" in str(caught.value)
    assert "c1" not in str(caught.value)


def test_a_key_that_is_not_here_is_named() -> None:
    with pytest.raises(SealingKeyMissing, match="2026-01 is not in TRUNKLINE_SEALING_KEYS"):
        open_text(seal_text("words", PLACE, RING), PLACE, KeyRing([NEW]))


def test_a_value_is_never_sealed_alike_twice() -> None:
    assert seal_text("yes", PLACE, RING) != seal_text("yes", PLACE, RING)


@few
@given(st.binary(max_size=200))
def test_a_new_key_changes_the_beginning_and_not_the_content(plain: bytes) -> None:
    sealed = seal(plain, PLACE, RING)
    turned = rewrap(sealed, PLACE, TURNED)
    assert key_id_of(turned) == "2026-02"
    assert open_sealed(turned, PLACE, KeyRing([NEW])) == plain
    content = len(plain) + 28
    assert turned[-content:] == sealed[-content:]
    assert turned[:-content] != sealed[:-content]
    assert rewrap(turned, PLACE, TURNED) == turned
    with pytest.raises(SealBroken):
        rewrap(sealed, PLACE + "x", TURNED)


def test_a_text_is_rewrapped_too() -> None:
    turned = rewrap_text(seal_text("words", PLACE, RING), PLACE, TURNED)
    assert (key_id_of_text(turned), open_text(turned, PLACE, KeyRing([NEW]))) == ("2026-02", "words")


@pytest.mark.parametrize("text", ["", "words", "sealed", "Sealed:a:b"])
def test_a_text_that_is_not_sealed_has_no_key(text: str) -> None:
    assert key_id_of_text(text) is None


@pytest.mark.parametrize("text", ["sealed:", "sealed:2026-01", "sealed:2026-01:", "sealed:2026-01:AQ", "sealed:ö:AQ"])
def test_what_only_begins_like_a_sealed_text_is_broken(text: str) -> None:
    with pytest.raises(SealBroken):
        open_text(text, PLACE, RING)


def test_a_file_of_its_own_shape_behind_a_header() -> None:
    header, cipher = new_data_key("recording:c1", RING)
    file = header + cipher.encrypt(b"0" * 12, b"sound", b"piece 0")
    moved = rewrap(file, "recording:c1", TURNED)
    opened, start = open_header(moved, "recording:c1", KeyRing([NEW]))
    assert opened.decrypt(b"0" * 12, moved[start:], b"piece 0") == b"sound"
