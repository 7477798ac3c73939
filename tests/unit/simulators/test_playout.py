"""The play-out buffer: what the caller hears, when marks come back, what `clear` does. No sockets, no clock."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulators.playout import Clear, MarkReturn, PlayoutBuffer
from simulators.telephone_audio import decode_ulaw, encode_ulaw


def audio(ms: int, byte: int = 0x10) -> bytes:
    return bytes([byte]) * (8 * ms)


def test_audio_plays_in_real_time_from_when_it_arrives() -> None:
    buffer = PlayoutBuffer()
    buffer.receive_media(audio(100), 50)
    buffer.advance(90)
    assert [(heard.start_ms, heard.end_ms) for heard in buffer.heard] == [(50, 90)]
    assert buffer.queued_ms == 60
    buffer.advance(1000)
    assert [(heard.start_ms, heard.end_ms) for heard in buffer.heard] == [(50, 150)]
    assert buffer.queued_ms == 0


def test_audio_that_arrives_early_plays_without_a_gap_and_late_audio_leaves_one() -> None:
    buffer = PlayoutBuffer()
    buffer.receive_media(audio(100, 1), 0)
    buffer.receive_media(audio(100, 2), 30)
    buffer.receive_media(audio(20, 3), 300)
    buffer.advance(400)
    assert [(heard.start_ms, heard.end_ms) for heard in buffer.heard] == [(0, 200), (300, 320)]
    assert buffer.heard[0].ulaw == audio(100, 1) + audio(100, 2)
    silence = bytes(buffer.timeline[200 * 8 : 300 * 8])
    assert silence == b"\xff" * 800
    assert len(buffer.timeline) == 400 * 8


def test_a_mark_comes_back_when_the_audio_before_it_was_played() -> None:
    buffer = PlayoutBuffer()
    buffer.receive_media(audio(100), 0)
    assert buffer.receive_mark("first", 0) == []
    buffer.receive_media(audio(50), 0)
    assert buffer.receive_mark("second", 10) == []
    assert buffer.advance(99) == []
    assert buffer.advance(100) == ["first"]
    assert buffer.advance(149) == []
    assert buffer.advance(170) == ["second"]
    assert buffer.marks == [MarkReturn("first", 0, 100, False), MarkReturn("second", 10, 150, False)]


def test_a_mark_comes_back_at_once_when_nothing_is_queued() -> None:
    buffer = PlayoutBuffer()
    assert buffer.receive_mark("empty", 5) == ["empty"]
    buffer.receive_media(audio(20), 10)
    assert buffer.receive_mark("played out", 40) == ["played out"]


def test_clear_cuts_what_is_heard_and_returns_every_waiting_mark_at_once() -> None:
    buffer = PlayoutBuffer()
    buffer.receive_media(audio(1000), 0)
    buffer.receive_mark("one", 0)
    buffer.receive_media(audio(500), 0)
    buffer.receive_mark("two", 0)
    assert buffer.clear(320) == ["one", "two"]
    assert buffer.advance(5000) == []
    assert [(heard.start_ms, heard.end_ms) for heard in buffer.heard] == [(0, 320)]
    assert buffer.clears == [Clear(at_ms=320, dropped_ms=1180)]
    assert [mark.is_cleared for mark in buffer.marks] == [True, True]


def test_audio_after_clear_plays_at_once() -> None:
    buffer = PlayoutBuffer()
    buffer.receive_media(audio(1000), 0)
    buffer.clear(100)
    buffer.receive_media(audio(40, 7), 150)
    buffer.advance(1000)
    assert [(heard.start_ms, heard.end_ms) for heard in buffer.heard] == [(0, 100), (150, 190)]


def test_marks_due_at_the_moment_of_a_clear_were_played_not_cleared() -> None:
    buffer = PlayoutBuffer()
    buffer.receive_media(audio(100), 0)
    buffer.receive_mark("played", 0)
    buffer.receive_media(audio(100), 0)
    buffer.receive_mark("cut", 0)
    assert buffer.clear(120) == ["played", "cut"]
    assert [(mark.name, mark.is_cleared) for mark in buffer.marks] == [("played", False), ("cut", True)]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 4000)), max_size=30))
def test_nothing_is_lost_whatever_the_sizes_and_times(arrivals: list[tuple[int, int]]) -> None:
    buffer = PlayoutBuffer()
    now_ms, sent, names, returned = 0, b"", [], []
    for number, (gap_ms, size) in enumerate(arrivals):
        now_ms += gap_ms
        payload = bytes([number]) * size
        sent += payload
        returned += buffer.receive_media(payload, now_ms)
        returned += buffer.receive_mark(str(number), now_ms)
        names.append(str(number))
    returned += buffer.advance(now_ms + len(sent) / 8 + 1)
    assert returned == names
    assert b"".join(heard.ulaw for heard in buffer.heard) == sent
    assert all(mark.returned_ms >= mark.received_ms - 1 for mark in buffer.marks)


def test_mulaw_tables_keep_every_code_and_stay_close_to_every_sample() -> None:
    codes = bytes(range(256))
    again = encode_ulaw(decode_ulaw(codes))
    assert [b for a, b in zip(codes, again, strict=True) if a != b] == [0xFF], "only negative zero has a second code"
    samples = np.arange(-32635, 32636, dtype=np.int16)
    error = np.abs(decode_ulaw(encode_ulaw(samples)).astype(int) - samples)
    assert (error <= np.maximum(np.abs(samples.astype(int)) / 16, 8)).all()
