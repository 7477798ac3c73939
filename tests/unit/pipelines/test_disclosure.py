"""Who calls is said first, to its end, and by whom."""

from pathlib import Path
from typing import Any

import pytest

from config.agent import AgentConfig
from pipelines.disclosure import ClosedEars, Hear, discloses, may_close_ears
from pipelines.script import Beforehand, announcement_before, greeting_of
from pipelines.sentences import Sentences
from tests.unit.transcripts.calls import make_call
from transcripts.call import Call, Direction

ROBOT = "This is a robot of {business}."


def agent(**fields: Any) -> AgentConfig:
    given = {"name": "x", "bot": "b", "greeting": "Hi.", "variables": {"business": "Blue Door"}, "disclosure": ROBOT}
    return AgentConfig.model_validate(given | fields)


def call(direction: Direction = Direction.OUTBOUND, **changes: Any) -> Call:
    return make_call(direction=direction, variables={"business": "Green Gate"}, **changes)


@pytest.fixture
def silent(tmp_path: Path) -> Sentences:
    """No sentence is there as sound."""
    return Sentences(tmp_path, {}, None)


def test_whoever_is_called_is_told_once(silent: Sentences) -> None:
    assert discloses(agent(), call())
    assert not discloses(agent(), call(Direction.INBOUND))
    assert not discloses(agent(), call(Direction.BROWSER))
    assert not discloses(agent(disclosure=False), call())
    assert not discloses(agent(), call(is_disclosed=True))
    assert greeting_of(agent(), call(), silent) == "This is a robot of Green Gate. Hi."
    assert greeting_of(agent(), call(is_disclosed=True), silent) == "Hi."
    assert greeting_of(agent(), call(Direction.INBOUND), silent) == "Hi."


def test_twilios_voice_says_it_only_where_nobody_can_be_kept_from_hearing(silent: Sentences) -> None:
    assert announcement_before(agent(), call(), silent).as_say is None
    by_twilio = Beforehand("This is a robot of Green Gate.", "en-US", is_announced=False, is_disclosed=True)
    assert announcement_before(agent(), call(), None) == by_twilio, "a guest runs its own stream"
    foreign = agent(pipeline=["transport.input", "user_turns", "some.other.Stage", "gemini_live", "transport.output"])
    assert not may_close_ears(foreign)
    assert announcement_before(foreign, call(), silent) == by_twilio
    assert announcement_before(foreign, call(Direction.INBOUND), silent).as_say is None


def test_it_comes_before_the_announcement_of_a_recording(silent: Sentences) -> None:
    told = agent(recording={"consent": "announce"})
    before = announcement_before(told, call(), silent)
    assert before.text == "This is a robot of Green Gate. This call may be recorded."
    assert (before.is_disclosed, before.is_announced) == (True, True)
    assert announcement_before(told, call(Direction.INBOUND), silent).text == "This call may be recorded."


def test_closed_ears_hear_as_much_silence_until_they_are_opened() -> None:
    heard: list[tuple[bytes, float]] = []
    used: list[Hear] = []

    def hear(pcm: bytes, until_ms: float) -> None:
        heard.append((pcm, until_ms))

    ears = ClosedEars(hear, used.append)
    ears.hear(b"\x01\x02" * 80, 20.0)
    assert heard == [(bytes(160), 20.0)]
    ears.open()
    assert used == [hear]
