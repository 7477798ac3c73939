"""Consent on live calls: who agreed is recorded from then on, and of everybody else there is nothing to be found."""

import asyncio
import json
from typing import Any

import numpy as np
from sqlmodel import select

from simulators.clips import caller_clips
from simulators.script import load_scripts, parse_script
from simulators.simulated_call import SimulatedCall
from storage.rows import Row
from tests.private_bytes import files_below, tables_of
from transcripts.call import Consent
from transcripts.consents import Consents

CALLER = "+15557654321"
QUESTION = "This call may be recorded."
EAGER = parse_script(
    """
name: eager
when: {tools: [record_consent], instruction: "Thank you for your time."}
rules:
  - text: .
    quoted: true
    say: "{quote}"
    then:
      call: {tool: record_consent, args: {answer: "yes"}}
otherwise: I have heard nothing.
"""
)
GREETING = "Hello! How can I help?"
ALEX = caller_clips()["name-alex"].text
AGENT_ALEX = "Thank you, Alex. How can I help?"


def agents(**changes: dict[str, Any]) -> dict[str, Any]:
    """An agent for each call, all of them asking; the stand-in's voice says the question in two seconds."""
    made: dict[str, Any] = {"front-desk": {"numbers": ["+15551230199"]}}
    for index, (name, change) in enumerate(changes.items()):
        recording = {"consent": "ask", "question": QUESTION, "answer_secs": 1, **change.pop("recording", {})}
        made[name] = {"numbers": [f"+1555123030{index}"], "greeting": GREETING, "recording": recording, **change}
    return made


async def happened(house: Any, call: SimulatedCall, kind: str, count: int = 1) -> None:
    async with asyncio.timeout(20):
        while len(await house.events(call, kind)) < count:  # noqa: ASYNC110 - a database has no event to wait for
            await asyncio.sleep(0.05)


async def dial(house: Any, index: int) -> SimulatedCall:
    call: SimulatedCall = await house.dial(to=f"+1555123030{index}")
    await happened(house, call, "consent.asked")
    return call


async def converse(house: Any, call: SimulatedCall) -> None:
    """The conversation proper: the agent greets, the caller gives his name, hears the answer and hangs up."""
    await happened(house, call, "agent.began")
    await call.wait_quiet(quiet_ms=700)
    await house.say(call, "name-alex")
    await house.hear_out(call)
    await call.hang_up()
    await call.ended()
    await house.ended_row(call)


async def records(house: Any, call: SimulatedCall) -> list[Consent]:
    return await Consents(house.server.services.database).of_call((await house.row(call)).call_id)


async def answers(house: Any, call: SimulatedCall) -> list[tuple[str, str | None]]:
    found = await records(house, call)
    assert {(one.wording, one.number, one.language) for one in found} == {(QUESTION, CALLER, "en-US")}
    return [(one.answer.value, one.given_by and one.given_by.value) for one in found]


async def texts(house: Any, call: SimulatedCall) -> list[str]:
    return [turn.text for turn in await house.turns(call)]


async def kinds(house: Any, call: SimulatedCall) -> list[str]:
    return [event.kind for event in await house.events(call) if event.kind.startswith(("consent.", "recording."))]


async def has_audio(house: Any, call: SimulatedCall) -> bool:
    return (house.data_dir / "recordings" / (await house.row(call)).call_id).exists()


async def rows_of(house: Any, call_id: str) -> str:
    """Everything that any table has of a call, opened."""
    found: list[str] = []
    async with house.server.services.database.reader() as session:
        for mapper in Row._sa_registry.mappers:
            if "call_id" in mapper.columns:
                rows = await session.exec(select(mapper.class_).where(mapper.columns["call_id"] == call_id))
                found += [json.dumps([str(value) for value in row.model_dump().values()]) for row in rows]
    return "\n".join(found)


def bytes_of(house: Any) -> bytes:
    sources = [*files_below(house.data_dir), *tables_of(house.server.settings.database_url)]
    return b"".join(content for _name, content in sources)


async def say_yes(house: Any, index: int) -> SimulatedCall:
    call = await dial(house, index)
    await call.wait_heard()
    await call.wait_quiet(quiet_ms=400)
    await house.say(call, "yes-please")
    await happened(house, call, "consent.given")
    await converse(house, call)
    # The ear's own turn is told when it ends, which is after the answer was understood.
    used = [event.data for event in await house.events(call, "model.usage") if event.data["source"] == "consent"]
    assert sum(told["prompt_token_count"] for told in used) > 10
    return call


async def press(house: Any, index: int, key: str) -> SimulatedCall:
    call = await dial(house, index)
    await call.wait_heard()
    await call.press("7")
    await call.press(key)
    await converse(house, call)
    return call


async def say_no(house: Any, index: int) -> SimulatedCall:
    call = await dial(house, index)
    await call.wait_heard()
    await call.wait_quiet(quiet_ms=400)
    await house.say(call, "no-thanks")
    await converse(house, call)
    return call


async def say_nothing(house: Any, index: int) -> SimulatedCall:
    call = await dial(house, index)
    await happened(house, call, "consent.unanswered")
    await happened(house, call, "agent.began")
    await call.hang_up()
    await call.ended()
    await house.ended_row(call)
    return call


async def be_claimed(house: Any, index: int) -> SimulatedCall:
    """The model says that he agreed, and the caller has not spoken at all."""
    call = await dial(house, index)
    await happened(house, call, "consent.unanswered")
    ear = next(one for one in house.gemini.conversations if one.script == "eager")
    assert [(tool, args) for _, tool, args in ear.calls] == [("record_consent", {"answer": "yes"})]
    await call.hang_up()
    await call.ended()
    await house.ended_row(call)
    return call


async def test_only_who_said_yes_is_recorded(make_house: Any) -> None:
    keeps = {"recording": {"without_consent": {"transcript": "keep"}}}
    eager = {"recording": {"question": "Thank you for your time. Goodbye!"}}
    patient: dict[str, Any] = {"recording": {"answer_secs": 3}}  # a busy machine is slow to speak
    named = agents(voice=patient, key={}, no=dict(patient), silent={}, kept=keeps, claimed=eager)
    house = await make_house(agents=named, gemini={"scripts": [EAGER, *load_scripts()]})
    voice, key, no, silent, kept, claimed = await asyncio.gather(
        say_yes(house, 0),
        press(house, 1, "1"),
        say_no(house, 2),
        say_nothing(house, 3),
        press(house, 4, "2"),
        be_claimed(house, 5),
    )
    [record] = await records(house, claimed)
    assert (record.answer.value, record.given_by) == ("none", None)
    assert await answers(house, voice) == [("yes", "voice")]
    assert await answers(house, key) == [("yes", "key")]
    assert await answers(house, no) == [("no", "voice")]
    assert await answers(house, silent) == [("none", None)]
    assert await answers(house, kept) == [("no", "key")]
    assert await kinds(house, voice) == ["consent.asked", "consent.given"]
    assert await kinds(house, no) == ["consent.asked", "consent.refused"]
    assert await kinds(house, silent) == ["consent.asked", "consent.asked", "consent.unanswered"]
    for call in (voice, key):
        assert (await house.row(call)).recording_status == "complete"
        given_ms = (await house.events(call, "consent.given"))[0].at_ms
        pcm = await asyncio.to_thread((await house.recording(call)).read_pcm)
        assert not pcm[: given_ms * 8].any()
        for turn in await house.turns(call):
            side = pcm[turn.start_ms * 8 : turn.end_ms * 8, 1 if turn.speaker == "agent" else 0]
            assert np.abs(side).max() > 2000, turn.text
        assert await texts(house, call) == [GREETING, ALEX, AGENT_ALEX]
    for call in (no, silent, kept, claimed):
        assert (await house.row(call)).recording_status == "none"
        assert not await has_audio(house, call)
    assert await texts(house, no) == await texts(house, silent) == []
    assert await texts(house, kept) == [GREETING, ALEX, AGENT_ALEX]
    for call in (no, silent):
        found = await rows_of(house, (await house.row(call)).call_id)
        assert QUESTION in found  # it is looked for in the right place: the record of consent
        assert not [word for word in ("Alex", "thanks", GREETING) if word in found]
    assert [event.data for event in await house.events(key, "caller.digit")] == [{}, {}]
    everything = await asyncio.to_thread(bytes_of, house)
    assert str(voice.sid).encode() in everything  # so much is not sealed
    assert caller_clips()["no-thanks"].text.encode() not in everything
    assert caller_clips()["yes-please"].text.encode() not in everything
