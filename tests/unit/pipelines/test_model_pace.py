"""How far a model's voice is ahead of real time, and its samples whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.model_pace import ModelPace

pytestmark = pytest.mark.unit


def voice(ms: float) -> bytes:
    return bytes(round(48 * ms))


def test_a_model_that_speaks_faster_is_ahead():
    pace = ModelPace()
    pace.begin(1000.0)
    pace.take(voice(400), 1000.0)
    assert pace.ahead_at(1000.0) == pytest.approx(400)
    pace.take(voice(400), 1100.0)
    assert pace.lag_ms == pytest.approx(-300)
    assert pace.ahead_at(1100.0) == pytest.approx(700)
    assert pace.ahead_at(1900.0) == pytest.approx(-100)
    assert pace.heard_ms == 1100.0


def test_a_model_that_speaks_slower_lags():
    pace = ModelPace()
    pace.begin(0.0)
    for now_ms in range(0, 1000, 100):
        pace.take(voice(40), float(now_ms))
    assert pace.lag_ms == pytest.approx(900 - 9 * 40)


def test_each_utterance_has_its_own_pace():
    pace = ModelPace()
    pace.begin(0.0)
    pace.take(voice(5000), 0.0)
    pace.begin(2000.0)
    assert pace.ahead_at(2000.0) == 0
    pace.take(voice(20), 2010.0)
    assert pace.lag_ms == pytest.approx(10)


@given(st.lists(st.binary(max_size=9), max_size=20))
def test_samples_are_whole_and_none_is_lost(pieces):
    pace = ModelPace()
    pace.begin(0.0)
    taken = [pace.take(piece, 0.0) for piece in pieces]
    whole = b"".join(pieces)
    assert all(len(one) % 2 == 0 for one in taken)
    assert b"".join(taken) == whole[: len(whole) // 2 * 2]
    assert pace.ahead_at(0.0) == pytest.approx(len(whole) / 48)


def test_half_a_sample_that_is_forgotten_does_not_shift_what_follows():
    pace = ModelPace()
    assert pace.take(b"\1\2\3", 0.0) == b"\1\2"
    pace.forget_half()
    assert pace.take(b"\4\5", 0.0) == b"\4\5"
