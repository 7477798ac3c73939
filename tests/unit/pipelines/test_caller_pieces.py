"""What of a telephone's audio is joined, and how long it waits for that."""

import numpy as np

from pipelines.caller_pieces import CallerPieces
from pipelines.phone_audio import decode_mulaw, encode_mulaw

SILENCE = encode_mulaw(bytes(320))
HISS = encode_mulaw((np.random.default_rng(1).standard_normal(160) * 130).astype("<i2").tobytes())  # -48 dBFS
VOICE = encode_mulaw((np.sin(np.arange(160) / 3) * 3000).astype("<i2").tobytes())


def spoken(frames: list[bytes], pieces: CallerPieces, from_ms: int = 0) -> list[tuple[float, float, float]]:
    """(came at, begins at, lasts), all in ms, of each piece."""
    found: list[tuple[float, float, float]] = []
    for number, frame in enumerate(frames):
        now_ms = from_ms + number * 20
        found += [(now_ms, at_ms, len(pcm) / 16) for at_ms, pcm in pieces.add(now_ms, frame)]
    return found


def test_two_frames_are_one_piece_while_somebody_speaks():
    assert spoken([VOICE] * 6, CallerPieces(8000)) == [(20, 0, 40), (60, 40, 40), (100, 80, 40)]


def test_the_silence_after_speech_comes_in_short_pieces_as_long_as_its_end_is_waited_for():
    found = spoken([VOICE, VOICE] + [HISS] * 200, CallerPieces(8000))
    assert all(lasts == 40 for came, _, lasts in found if came < 1500)
    assert all(lasts == 100 for came, _, lasts in found if came > 1620)


def test_a_sound_in_silence_goes_on_at_once():
    pieces = CallerPieces(8000)
    spoken([SILENCE] * 100, pieces)
    pieces.take()
    assert spoken([SILENCE, SILENCE, VOICE], pieces, 2000) == [(2040, 2000, 60)]
    assert spoken([VOICE, VOICE], pieces, 2060) == [(2080, 2060, 40)]


def test_nothing_is_lost_or_changed():
    rng = np.random.default_rng(2)
    frames = [encode_mulaw((rng.standard_normal(160) * scale).astype("<i2").tobytes()) for scale in (9, 2000) * 90]
    pieces, heard = CallerPieces(8000), b""
    for number, frame in enumerate(frames):
        for _, pcm in pieces.add(number * 20, frame):
            heard += pcm
    heard += b"".join(pcm for _, pcm in pieces.take())
    assert heard == decode_mulaw(b"".join(frames))
    assert pieces.take() == []


def test_frames_with_something_missing_between_are_not_joined():
    pieces = CallerPieces(8000)
    assert pieces.add(0, VOICE) == []
    assert pieces.add(60, VOICE) == [(0, decode_mulaw(VOICE))]
    assert pieces.add(80, VOICE) == [(60, decode_mulaw(VOICE * 2))]


def test_a_frame_of_nothing_is_nothing():
    assert CallerPieces(8000).add(0, b"") == []
