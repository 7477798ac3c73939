"""Tones of keys, digits that nobody may keep, and the far end's ear for tones."""

import numpy as np
import pytest

from pipelines.key_tones import GAP_MS, TONE_MS, key_tones
from pipelines.keys import KeysTrip
from pipelines.secret_digits import NotEntered, SecretDigits, has_handle
from simulators.key_tones import find_keys
from simulators.telephone_audio import decode_ulaw, encode_ulaw
from telephony.away_step import PlayKeys

pytestmark = pytest.mark.unit

ALL = "0123456789*#ABCD"


def heard(keys: str, *, gain: float = 1.0, noise: float = 0.0) -> str:
    """What a far end hears of keys: through mu-law, weaker, with noise."""
    pcm = np.frombuffer(key_tones(keys, 8000), np.int16).astype(np.float64) * gain
    pcm += np.random.default_rng(4711).normal(0, noise, pcm.size) if noise else 0
    return find_keys(decode_ulaw(encode_ulaw(np.clip(pcm, -32768, 32767).astype(np.int16))))


def test_every_key_is_understood_behind_mu_law_weaker_and_with_noise() -> None:
    assert heard(ALL) == ALL
    assert heard("1155", gain=0.25, noise=60) == "1155"


def test_tones_are_as_long_and_as_loud_as_receivers_want_them() -> None:
    pcm = np.frombuffer(key_tones("5", 8000), np.int16).astype(np.float64)
    assert len(pcm) == (TONE_MS + GAP_MS) * 8
    assert TONE_MS >= 100
    assert GAP_MS >= 80
    tone = pcm[160 : TONE_MS * 8 - 160]
    # A full-scale sine is +3.17 dBm0 in mu-law.
    level_dbm0 = 10 * np.log10((tone**2).mean() / (32767**2 / 2)) + 3.17
    assert -9 <= level_dbm0 <= -5  # two tones together, each of about -9
    assert np.abs(pcm).max() < 32000


def test_pauses_are_silent_and_half_a_second_or_one() -> None:
    assert len(key_tones("w", 8000)) == 8000
    assert len(key_tones("W", 8000)) == 16000
    assert not any(key_tones("wW", 8000))
    with pytest.raises(KeyError):
        key_tones("x", 8000)


def test_speech_has_no_keys_in_it() -> None:
    at = np.arange(8000) / 8000
    vowel = np.sum([np.sin(2 * np.pi * 130 * n * at) / n for n in range(1, 20)], axis=0) * 6000
    assert find_keys(vowel.astype(np.int16)) == ""


def test_twilio_knows_one_kind_of_pause() -> None:
    assert KeysTrip("1W2w").first() == PlayKeys("1ww2w")


def test_secret_digits_are_filled_in_wherever_their_handle_stands() -> None:
    secrets = SecretDigits()
    handle = secrets.keep("pin", "4711")
    assert handle == "{digits:pin}"
    assert has_handle(f"{handle}#")
    sent = {"auth": [handle, 5], "note": "PIN {digits:pin}, not {pin}"}
    assert secrets.fill_in(sent) == {"auth": ["4711", 5], "note": "PIN 4711, not {pin}"}
    assert "4711" not in repr(secrets)


def test_digits_that_were_not_entered_are_named() -> None:
    with pytest.raises(NotEntered, match="has not entered card"):
        SecretDigits().fill_in("{digits:card}")
