"""A model tells its words before or after the audio in which they are spoken: the transcript is the same."""

import pytest

from simulators import gemini_conversation
from simulators import gemini_wire as wire
from simulators.gemini_pacing import word_fragments
from simulators.gemini_voice import Voice

FULL = (
    "On Monday we are open from nine to five. You can reach us by phone all day, "
    "and we keep a few places free every morning for urgent cases."
)


class EarlyVoice(Voice):
    """Sends the words of a text at once, then its audio."""

    async def say(self, text: str) -> float:
        for fragment in word_fragments(text):
            await self._send(wire.server_content(outputTranscription={"text": fragment}))
        self.with_transcript = False
        return await super().say(text)


class LateVoice(Voice):
    """Sends the words only once all audio has been sent and the reply declared complete."""

    untold = ""

    async def say(self, text: str) -> float:
        self.untold += text
        self.with_transcript = False
        return await super().say(text)

    async def finish(self) -> None:
        await self._send(wire.server_content(generationComplete=True))
        for fragment in word_fragments(self.untold):
            await self._send(wire.server_content(outputTranscription={"text": fragment}))
        self.untold = ""
        await self._sleep_until(self._playback_end())


@pytest.mark.parametrize("voice", [EarlyVoice, pytest.param(LateVoice, marks=pytest.mark.soak)])
async def test_each_answer_is_one_turn_with_its_own_words(make_house, monkeypatch, voice):
    monkeypatch.setattr(gemini_conversation, "Voice", voice)
    house = await make_house()
    call = await house.dial()
    await house.hear_out(call)
    await house.say(call, "no-thanks")
    await house.hear_out(call)
    await house.say(call, "goodbye")
    outcome = await call.ended()
    assert outcome.ended_by == "server"
    spoken = [turn for turn in await house.turns(call) if turn.speaker == "agent"]
    assert [turn.text for turn in spoken] == [
        "Good morning, Blue Door Dental. How can I help?",
        "All right. Just tell me if there is anything else.",
        "Thank you for calling. Goodbye!",
    ]
    assert not any(turn.interrupted for turn in spoken)
    assert outcome.duration_ms - spoken[-1].end_ms < 1500, "words that come late must not keep the line open"


async def test_words_told_ahead_are_cut_where_the_voice_was(make_house, monkeypatch):
    monkeypatch.setattr(gemini_conversation, "Voice", EarlyVoice)
    house = await make_house(agents={"front-desk": {"greeting": ""}})
    call = await house.dial_quietly()
    await house.say(call, "ask-opening-hours")
    await call.wait_heard()
    await call.silence(2)
    await house.say(call, "wait-book")
    await house.hear_out(call)
    await call.hang_up()
    await call.ended()
    await house.ended_row(call)
    [cut] = [turn for turn in await house.turns(call) if turn.interrupted]
    assert FULL.startswith(cut.text)
    words_heard = len(FULL.split()) * (cut.end_ms - cut.start_ms) / 8400
    assert abs(len(cut.text.split()) - words_heard) <= 4
