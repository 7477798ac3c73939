"""The room behind the agent: its loops, its level, and that it never counts as something said."""

import asyncio
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile  # pyright: ignore[reportMissingTypeStubs]

from config.listening import Ambient
from pipelines.ambience import Ambience, Background
from pipelines.ambience_sounds import load_loop
from pipelines.playout import Playout


def level_db(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, "<i2").astype(float)
    return float(20 * np.log10(np.sqrt((samples**2).mean()) / 32768))


@pytest.mark.parametrize("sound", ["office", "cafe"])
def test_a_shipped_room_is_as_loud_as_asked_and_never_quiet(sound: str) -> None:
    loop = load_loop(sound, -36.0, 8000)
    assert abs(level_db(loop) + 36) < 0.2
    seconds = [level_db(loop[at : at + 16_000]) for at in range(0, len(loop), 16_000)]
    assert -44 < min(seconds)
    assert max(seconds) < -30


def test_a_room_has_no_seam() -> None:
    loop = np.frombuffer(load_loop("office", -36.0, 8000), "<i2").astype(float)
    steps = np.abs(np.diff(loop))
    assert abs(loop[0] - loop[-1]) <= np.percentile(steps, 99.5)


def test_a_file_is_made_mono_and_resampled_and_joins_its_beginning(tmp_path: Path) -> None:
    time = np.arange(3 * 44_100) / 44_100
    stereo = np.stack([0.5 * np.sin(2 * np.pi * 440 * time), 0.1 * np.sin(2 * np.pi * 440 * time)], axis=1)
    path = tmp_path / "tone.flac"
    content = io.BytesIO()
    soundfile.write(content, stereo, 44_100, format="FLAC")  # pyright: ignore[reportUnknownMemberType]
    path.write_bytes(content.getvalue())
    loop = load_loop(str(path), -30.0, 8000)
    assert abs(level_db(loop) + 30) < 0.2
    assert 2.7 * 16_000 < len(loop) < 3 * 16_000
    samples = np.frombuffer(loop, "<i2").astype(float)
    assert abs(np.abs(np.fft.rfft(samples)).argmax() * 8000 / len(samples) - 440) < 2


def test_it_is_faded_in_and_goes_round() -> None:
    loop = np.full(8000 * 3, 1000, "<i2").tobytes()
    ambience = Ambience(loop, 8000)
    first = np.frombuffer(ambience.take(16_000), "<i2")
    assert first[0] == 0
    assert first[-1] < 500
    rest = np.frombuffer(b"".join(ambience.take(3331 * 2) for _ in range(20)), "<i2")
    assert (rest[4001:] == 1000).all()
    assert len(rest) == 3331 * 20


def test_a_background_is_not_waited_for_and_takes_its_place_in_the_queue() -> None:
    playout = Playout(10.0)
    assert playout.send(1000, 500) == 1010
    playout.send_background(1400, 200)
    assert playout.end_ms == 1510, "speech ends where it did"
    assert playout.ahead_ms(1400) == 300
    assert playout.is_done(1520)
    assert playout.send(1550, 100) == 1710, "behind the background"
    assert playout.clear(1600) == 1610
    assert playout.emptied_ms == 1610


def test_an_interruption_of_nothing_but_background_cuts_no_speech() -> None:
    playout = Playout(10.0)
    playout.send(1000, 500)
    playout.send_background(1500, 2000)
    assert playout.clear(3000) == 1510
    assert playout.emptied_ms == 3010
    assert playout.send(3000, 100) == 3010


async def test_it_fills_what_the_agent_leaves_and_no_more() -> None:
    background = Background(Ambient(sound="office"), 8000)
    sent: list[bytes] = []
    ready_ms = [0.0]

    async def send(pcm: bytes) -> None:
        sent.append(pcm)
        ready_ms[0] += len(pcm) / 16

    assert background.under(b"\1\0" * 80) == b"\1\0" * 80, "no room before it is loaded"
    await asyncio.to_thread(load_loop, "office", -36.0, 8000)
    room = asyncio.create_task(background.run(send, lambda: ready_ms[0]))
    while len(sent) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert len(sent) == 2, "60 ms are enough"
    ready_ms[0] = 0.0
    background.hurry()
    await asyncio.sleep(0.05)
    assert len(sent) == 4, "at once, when the far end was emptied"
    assert len(background.under(bytes(320))) == 320
    room.cancel()


async def test_a_sound_that_is_gone_leaves_the_agent_without_a_room(tmp_path: Path) -> None:
    background = Background(Ambient(sound=str(tmp_path / "gone.wav")), 8000)

    async def send(_: bytes) -> None:
        raise AssertionError("nothing to send")

    await background.run(send, lambda: 0.0)
    assert background.under(b"\1\0") == b"\1\0"
