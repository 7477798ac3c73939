"""What is kept of a call: nothing before a yes, nothing of a pause, and what is left when it is stopped."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.recording import Recording
from pipelines.call_recording import CallRecording
from pipelines.discretion import PAUSED_TEXT
from tests.sealing import KEYS
from tests.unit.pipelines.conftest import QuietCall
from transcripts.recording_store import RecordingStore

CARD = "Four one one one."
LOUD = np.full(8000, 1000, dtype="<i2").tobytes()


class Kept:
    """A quiet call, and what is kept of it."""

    def __init__(self, call: QuietCall, folder: Path, **settings: Any) -> None:
        self.call, self.folder, self.store = call, folder, RecordingStore(folder, KEYS)
        call.log.statuses, call.log.forgotten = [], 0  # type: ignore[attr-defined]
        call.log.recording = lambda status, _error=None: call.log.statuses.append(status.value)  # type: ignore[attr-defined]
        call.log.forget_words = call.log.turns.clear  # type: ignore[attr-defined]
        self.recording = CallRecording(Recording.model_validate(settings), self.store, "c1", call.scribe)
        self.recording.join()

    async def sound(self, secs: float = 1.0) -> None:
        """Both sides are heard, in pieces as they come."""
        for _ in range(round(secs * 10)):
            self.call.line.caller_audio(self.call.now_ms, LOUD[:1600])
            self.call.line.agent_audio(LOUD[:1600])
            await self.call.wait(0.1)
        self.call.line.agent_finished()

    async def loud(self) -> list[tuple[bool, bool]]:
        """For each second of the recording, whether caller and agent are loud in it."""
        await self.recording.close(self.call.now_ms)
        pcm = await asyncio.to_thread(lambda: self.store.open("c1").read_pcm())
        assert len(pcm) == round(self.call.now_secs * 8000)
        seconds = [np.abs(pcm[start : start + 8000]).max(axis=0) > 0 for start in range(0, len(pcm), 8000)]
        return [(bool(left), bool(right)) for left, right in seconds]

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.call.log.events if event.kind.startswith("recording.")]


@pytest.fixture
def keep(make_call: Callable[..., QuietCall], tmp_path: Path) -> Callable[..., Kept]:
    def make(**settings: Any) -> Kept:
        return Kept(make_call(), tmp_path, **settings)

    return make


async def test_before_a_yes_there_is_no_file_no_turn_and_no_key(keep: Callable[..., Kept]) -> None:
    kept = keep(consent="ask")
    await kept.call.hear("My secret is a word.", 1.0)
    kept.call.line.digit("7")
    kept.call.scribe.event("tool.called", name="book", arguments={"name": "Alex"})
    await kept.sound(2)
    assert list(kept.folder.iterdir()) == []
    kept.recording.allow()
    kept.call.line.caller_audio(kept.call.now_ms - 500, LOUD[:8000])  # half a second that comes late
    await kept.sound(1)
    await kept.call.wait(3)
    await kept.call.hear("I am open about this.")
    await kept.call.speak("So am I.")
    await kept.call.wait(3)
    assert kept.call.texts == ["I am open about this.", "So am I."]
    assert [event.data for event in kept.call.kinds("caller.digit")] == [{}]
    assert [event.data for event in kept.call.kinds("tool.called")] == [{"name": "book"}]
    loud = await kept.loud()
    assert loud[:4] == [(False, False)] * 3 + [(True, True)]
    pcm = await asyncio.to_thread(lambda: kept.store.open("c1").read_pcm())
    assert not pcm[: 3 * 8000].any()


@pytest.mark.parametrize(("transcript", "expected"), [("drop", []), ("keep", ["I am here.", "So am I."])])
async def test_after_a_no_turns_are_kept_only_where_the_agent_says_so(
    keep: Callable[..., Kept], transcript: str, expected: list[str]
) -> None:
    kept = keep(consent="ask", without_consent={"transcript": transcript})
    await kept.call.hear("No, thanks.")
    kept.recording.refuse()
    await kept.sound(2)
    await kept.call.hear("I am here.")
    await kept.call.speak("So am I.")
    await kept.call.wait(3)
    kept.call.scribe.close(kept.call.now_ms)
    assert kept.call.texts == expected
    assert await kept.recording.close(kept.call.now_ms) is None
    assert list(kept.folder.iterdir()) == []


async def test_in_a_pause_neither_side_is_kept_and_the_time_line_stays(keep: Callable[..., Kept]) -> None:
    kept = keep()
    scribe = kept.call.scribe
    await kept.call.hear("I want to pay.")
    await kept.sound(1)
    kept.call.line.agent_audio(LOUD[:3200])  # sent ahead: it would be heard in the pause
    assert kept.recording.pause()
    assert not kept.recording.pause()
    await kept.call.hear(CARD, 1.0)
    kept.call.line.digit("4")
    scribe.tool_started()
    scribe.event("tool.called", name="pay", arguments={"card": "4111"})
    await kept.sound(1)
    kept.recording.resume()
    scribe.event("tool.result", name="pay", result={"card": "4111"}, took_ms=3)
    scribe.tool_ended()
    kept.call.scribe.caller_text(CARD)  # told late
    await kept.sound(1)
    await kept.call.wait(3)
    await kept.call.hear("Thank you.")
    scribe.event("tool.called", name="end_call", arguments={"why": "done"})
    await kept.call.speak("Goodbye.")
    await kept.call.wait(3)
    kept.call.scribe.close(kept.call.now_ms)
    assert CARD not in kept.call.texts
    assert kept.call.texts == ["I want to pay.", PAUSED_TEXT, "Thank you.", "Goodbye."]
    assert [event.data for event in kept.call.log.events if event.kind.startswith(("tool.", "caller.digit"))] == [
        {},
        {"name": "pay"},
        {"name": "pay", "took_ms": 3},
        {"name": "end_call", "arguments": {"why": "done"}},
    ]
    assert CARD in [turn.text for turn in scribe.conversation()]  # for a model that has to be connected anew
    loud = await kept.loud()
    assert loud[:5] == [(False, False), (True, True), (False, False), (False, False), (True, True)]
    assert kept.kinds == ["recording.paused", "recording.resumed"]


async def test_a_pause_ends_by_itself_and_with_the_call(keep: Callable[..., Kept]) -> None:
    kept = keep(longest_pause_secs=5)
    kept.recording.pause()
    asyncio.get_running_loop().call_soon(kept.recording.resume, "limit")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not kept.recording.is_paused
    kept.recording.pause()
    await kept.call.wait(2)
    await kept.recording.close(kept.call.now_ms)
    events = [event.data for event in kept.call.kinds("recording.resumed")]
    assert events == [{"by": "limit", "paused_ms": 0}, {"by": "end", "paused_ms": 2000}]


@pytest.mark.parametrize("outcome", ["keep", "delete"])
async def test_a_recording_that_is_stopped_is_kept_or_deleted(keep: Callable[..., Kept], outcome: str) -> None:
    kept = keep(on_withdrawal=outcome)
    await kept.call.hear("Hello.")
    await kept.call.speak("Hello to you.")
    await kept.sound(2)
    assert await kept.recording.withdraw() == (outcome == "keep")
    await kept.sound(2)
    await kept.call.hear("Not for you.")
    await kept.call.wait(3)
    kept.call.scribe.close(kept.call.now_ms)
    result = await kept.recording.close(kept.call.now_ms)
    if outcome == "keep":
        assert result is not None
        assert result.status.value == "complete"
        assert result.duration_ms == 4100
        assert kept.call.texts == ["Hello.", "Hello to you."]
    else:
        assert result is None
        assert list(kept.folder.iterdir()) == []
        assert kept.call.texts == []
        assert kept.call.log.statuses == ["recording", "none"]  # type: ignore[attr-defined]
