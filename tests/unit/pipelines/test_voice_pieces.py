"""A model's voice and words on their way: joined, in order, gone when nobody is to hear them."""

import asyncio

import pytest

from pipelines.voice_pieces import VoicePieces

pytestmark = pytest.mark.unit

FAR_MS = 60_000.0
"""So far ahead that no timer comes due within a test."""


def voice(ms: float, mark: bytes = b"\1\0") -> bytes:
    return mark * round(24 * ms)


class Listener:
    """Notes what is pushed on; with `gate` it takes its time for it."""

    def __init__(self) -> None:
        self.pushed: list[bytes | str] = []
        self.gate: asyncio.Event | None = None
        self.pieces = VoicePieces(self._take, self._take)

    async def _take(self, one: bytes | str) -> None:
        if self.gate is not None:
            await self.gate.wait()
        self.pushed.append(one)


@pytest.fixture
async def listener() -> Listener:
    return Listener()


async def turns(count: int = 3) -> None:
    """Let the loop turn, and no time pass."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_pieces_are_joined_while_the_voice_is_ahead(listener):
    for _ in range(4):
        await listener.pieces.add(voice(40), FAR_MS)
    await turns()
    assert listener.pushed == []
    await listener.pieces.add(voice(40), FAR_MS)
    assert listener.pushed == [voice(200)]


async def test_a_long_piece_is_not_held(listener):
    await listener.pieces.add(voice(500), FAR_MS)
    assert listener.pushed == [voice(500)]


async def test_words_go_before_the_voice_they_came_with(listener):
    await listener.pieces.add(voice(40), FAR_MS)
    listener.pieces.add_words("Good ", FAR_MS)
    listener.pieces.add_words("morning", FAR_MS)
    await listener.pieces.flush()
    assert listener.pushed == ["Good morning", voice(40)]
    await listener.pieces.flush()
    assert len(listener.pushed) == 2


@pytest.mark.parametrize("ahead_ms", [-1000.0, 0.0, 40.0, 300.0])
async def test_what_is_not_ahead_waits_only_for_what_came_with_it(listener, ahead_ms):
    await listener.pieces.add(voice(20), ahead_ms)
    await listener.pieces.add(voice(20), ahead_ms)
    listener.pieces.add_words("Yes.", ahead_ms)
    assert listener.pushed == []
    await listener.pieces.pause()
    assert listener.pushed == ["Yes.", voice(40)]


async def test_what_is_ahead_goes_on_when_it_has_to():
    """300 ms before it would be late, whatever else comes or does not."""
    loop, listener = asyncio.get_running_loop(), Listener()
    began = loop.time()
    await listener.pieces.add(voice(40), 440.0)
    while not listener.pushed:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.005)
    assert 0.095 <= loop.time() - began < 0.3
    assert listener.pushed == [voice(40)]


async def test_words_alone_are_pushed_alone(listener):
    listener.pieces.add_words("Late words.", 0.0)
    await listener.pieces.pause()
    assert listener.pushed == ["Late words."]


async def test_nothing_of_what_is_dropped_is_heard(listener):
    await listener.pieces.add(voice(40), 0.0)
    listener.pieces.add_words("Never", 0.0)
    listener.pieces.drop()
    await listener.pieces.pause()
    await listener.pieces.flush()
    assert listener.pushed == []
    await listener.pieces.add(voice(20), 0.0)
    await listener.pieces.pause()
    assert listener.pushed == [voice(20)]


async def test_a_flush_that_has_begun_is_cut_off_by_a_drop(listener):
    """Its words may be on their way already; their voice is not."""
    listener.gate = asyncio.Event()
    await listener.pieces.add(voice(40), 0.0)
    listener.pieces.add_words("Half", 0.0)
    flushing = asyncio.create_task(listener.pieces.pause())
    await turns()
    listener.pieces.drop()
    listener.gate.set()
    await flushing
    await listener.pieces.flush()
    assert listener.pushed == ["Half"]


async def test_what_follows_waits_for_a_flush_that_has_begun(listener):
    listener.gate = asyncio.Event()
    await listener.pieces.add(voice(40), 0.0)
    listener.pieces.add_words("One", 0.0)
    flushing = asyncio.create_task(listener.pieces.pause())
    await turns()
    following = asyncio.create_task(listener.pieces.flush())
    await turns()
    assert not following.done()
    listener.gate.set()
    await asyncio.gather(flushing, following)
    assert listener.pushed == ["One", voice(40)]


async def test_what_comes_during_a_flush_comes_after_it(listener):
    listener.gate = asyncio.Event()
    await listener.pieces.add(voice(40, b"\1\0"), 0.0)
    listener.pieces.add_words("One", 0.0)
    flushing = asyncio.create_task(listener.pieces.pause())
    await turns()
    listener.pieces.add_words("Two", 0.0)
    await listener.pieces.add(voice(40, b"\2\0"), 0.0)
    following = asyncio.create_task(listener.pieces.pause())
    await turns()
    listener.gate.set()
    await asyncio.gather(flushing, following)
    assert listener.pushed == ["One", voice(40, b"\1\0"), "Two", voice(40, b"\2\0")]
