"""The line of a Daily room, as far as it can be seen without a room: built, and waiting for somebody to come in."""

from pipecat.frames.frames import LLMRunFrame, TextFrame, TTSSpeakFrame

from pipelines.transports import room_transport


async def test_a_room_is_built_and_its_time_stands_until_somebody_comes_in():
    from pipelines.daily_line import RoomTransport

    voice = room_transport("https://example.daily.co/room", "token", "front-desk")
    assert isinstance(voice.transport, RoomTransport)
    assert voice.transport.room_url == "https://example.daily.co/room"
    assert (voice.line.caller_hz, voice.line.agent_hz) == (16000, 16000)
    assert voice.line.clock.is_held
    assert voice.line.clock.now_ms == 0.0
    voice.line.clock.start()
    assert not voice.line.clock.is_held
    assert voice.line.clock.now_ms > 0.0


async def test_the_greeting_waits_for_somebody_to_hear_it():
    from pipelines.daily_line import Opening

    opening = Opening()
    greeting, spoken = LLMRunFrame(), TTSSpeakFrame("Hello")
    assert opening.takes(greeting)
    assert opening.takes(spoken)
    assert not opening.takes(TextFrame("not an opening"))
    assert opening.release() == [greeting, spoken]
    assert opening.release() == []
    assert not opening.takes(LLMRunFrame())
