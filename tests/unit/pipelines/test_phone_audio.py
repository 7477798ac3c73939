import numpy as np
import pytest

from pipelines.phone_audio import Decimator, decode_mulaw, encode_mulaw


def tone(hz: float, rate_hz: int, secs: float = 0.5) -> bytes:
    samples = np.arange(int(rate_hz * secs)) / rate_hz
    return (10000 * np.sin(2 * np.pi * hz * samples)).astype("<i2").tobytes()


def level_db(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, "<i2").astype(float)[100:-100]
    return float(20 * np.log10(max(1e-9, np.sqrt((samples**2).mean()) / (10000 / np.sqrt(2)))))


def test_mulaw_codes_are_those_of_g711():
    # G.711, table 2a: the ends and the middle of both halves.
    expected = {0x00: -32124, 0x7F: 0, 0x80: 32124, 0xFF: 0, 0x0F: -16764, 0x8F: 16764}
    for code, value in expected.items():
        assert np.frombuffer(decode_mulaw(bytes([code])), "<i2")[0] == value


def test_mulaw_survives_a_round_trip():
    # 0x7F and 0xFF both mean zero; every other code must come back as itself.
    codes = bytes(code for code in range(256) if code != 0x7F)
    assert encode_mulaw(decode_mulaw(codes)) == codes


def test_an_odd_byte_is_left_out():
    assert len(encode_mulaw(b"\x00\x00\x01")) == 1


@pytest.mark.parametrize(("hz", "least_db", "most_db"), [(300, -0.1, 0.1), (3000, -0.2, 0.2), (5200, -200, -50)])
def test_the_telephone_band_passes_and_what_would_alias_does_not(hz, least_db, most_db):
    decimator = Decimator(3)
    assert least_db <= level_db(decimator.process(tone(hz, 24000))) <= most_db


def test_chunks_make_no_difference_and_nothing_is_lost():
    pcm = tone(440, 24000)
    whole = Decimator(3)
    expected = whole.process(pcm) + whole.flush()
    chunked = Decimator(3)
    got = b"".join(chunked.process(pcm[at : at + 1922]) for at in range(0, len(pcm), 1922)) + chunked.flush()
    assert got == expected
    assert len(got) / 2 >= len(pcm) / 2 / 3
