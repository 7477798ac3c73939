"""Handing over, step by step: who may, what is waited for, and what happens when it does not come about."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from config.agent import AgentConfig, Limits, Phrases
from pipelines.handoff import CannotSwitch, Handoffs, Stage
from pipelines.script import TakenOver, instructions_of, opening_after
from pipelines.tool_failures import ToolRefused
from pipelines.tools import Bot
from tests.unit.pipelines.conftest import QuietCall
from tests.unit.pipelines.quiet_voice import QuietVoice, call_of
from transcripts.call import EndReason

TO = {"desk": "Everything", "billing": "Bills", "guest": "Odd things"}


def agent(name: str, **fields: Any) -> AgentConfig:
    to = {other: what for other, what in TO.items() if other != name}
    return AgentConfig.model_validate({"name": name, "bot": "plain", "handoff": {"to": to}, **fields})


class Rings:
    """Stands where models are connected; none of these agents has one."""

    bots = {"plain": Bot()}

    def __init__(self) -> None:
        self.expected: list[tuple[str, TakenOver]] = []
        self.forgotten: list[str] = []

    def expect(self, _call: Any, agent: AgentConfig, *, taken_over: TakenOver) -> None:
        self.expected.append((agent.name, taken_over))

    def forget(self, call_id: str) -> None:
        self.forgotten.append(call_id)


class Hand:
    """A quiet call, and what its agents do with it."""

    def __init__(self, call: QuietCall, *, is_possible: bool = True) -> None:
        self.call = call
        self.voice = QuietVoice(call)
        self.rings = Rings()
        self.agents = {"desk": agent("desk"), "billing": agent("billing"), "guest": agent("guest", bot="missing")}
        self.current = "desk"
        self.hushed = 0
        self.is_answering = False
        self.unfit: str | None = None
        self.handoffs = Handoffs(
            call_of(),
            call.scribe,
            cast(Any, self.rings),
            self.agents.get,
            stage=self._stage,
            switch=self._switch,
            is_possible=is_possible,
        )
        self.handoffs.began_with("desk")

    def _stage(self) -> Stage:
        conductor = self.call.conductor
        return Stage(
            self.agents[self.current],
            cast(Any, self.voice),
            hush=self._hush,
            is_answering=lambda: self.is_answering,
            is_over=lambda: conductor.reason is not None or conductor.is_saying_goodbye,
        )

    def _hush(self) -> None:
        self.hushed += 1

    def _switch(self, agent: AgentConfig, _bot: Bot, taken_over: TakenOver) -> Callable[[], None]:
        if self.unfit:
            raise CannotSwitch(self.unfit)

        def go_on() -> None:
            assert self.rings.expected[-1] == (agent.name, taken_over)
            self.current = agent.name

        return go_on

    async def over(self, to: str, summary: str = "He  has\na bill.") -> str | None:
        """Hand over as the tool does; returns why not."""
        try:
            is_told = await self.handoffs.hand_over(to, summary)
        except ToolRefused as refusal:
            return refusal.reason
        is_told()
        async with asyncio.timeout(2):
            while self.current != to:  # noqa: ASYNC110 - the handoff tells nobody
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        return None


@pytest.fixture
def hand(make_call: Callable[..., QuietCall]) -> Callable[..., Hand]:
    return lambda **options: Hand(make_call(), **options)


async def test_a_call_goes_over_with_a_moments_words_and_the_summary(hand: Callable[..., Hand]) -> None:
    there = hand()
    assert await there.over("billing") is None
    assert there.rings.expected == [("billing", TakenOver("desk", "He has a bill."))]
    assert (there.hushed, there.rings.forgotten) == (1, [])
    assert there.voice.said == [("filler", None)]


async def test_an_agent_that_has_answered_is_heard_out_and_nothing_is_added(hand: Callable[..., Hand]) -> None:
    there = hand()
    there.call.begin("I connect you.", secs=2.0)  # its model never tells that this was all
    task = asyncio.create_task(there.over("billing"))
    await asyncio.sleep(0.12)
    assert there.current == "desk"
    there.call.now_secs = 2.4
    await asyncio.sleep(0.12)
    assert there.current == "desk"
    there.call.now_secs = 2.6
    assert await task is None
    assert there.voice.said == []


async def test_words_that_are_on_their_way_to_the_line_are_waited_for(hand: Callable[..., Hand]) -> None:
    there = hand()
    there.call.now_secs = 1.0
    there.is_answering = True
    task = asyncio.create_task(there.over("billing"))
    await asyncio.sleep(0.12)
    assert there.current == "desk"
    there.call.begin("I connect you.", secs=1.0)
    there.call.line.agent_finished()
    there.call.now_secs = 2.2
    there.call.scribe.tick()
    assert await task is None
    assert there.voice.said == []


async def test_a_caller_who_speaks_is_heard_out_too_and_a_cancelled_tool_changes_nothing(
    hand: Callable[..., Hand],
) -> None:
    there = hand()
    there.call.begin("I connect you.", secs=0.5)
    there.call.line.agent_finished()
    there.call.now_secs = 1.0
    there.call.scribe.tick()
    there.call.scribe.caller_started(1000)
    tool = asyncio.create_task(there.handoffs.hand_over("billing", ""))
    await asyncio.sleep(0.1)
    tool.cancel()  # as Gemini does when the caller says "all right"
    await asyncio.sleep(0.1)
    assert there.current == "desk"
    there.call.scribe.caller_stopped(1500)
    there.call.now_secs = 2.0
    async with asyncio.timeout(2):
        while there.current != "billing":  # noqa: ASYNC110 - the handoff tells nobody
            await asyncio.sleep(0.01)


async def test_to_and_fro_only_so_often(hand: Callable[..., Hand]) -> None:
    there = hand()
    for name in ("billing", "desk", "billing"):
        assert await there.over(name) is None
    assert await there.over("desk") == "desk has had this call 2 times already. Help the caller yourself."
    assert there.current == "billing"


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("nobody", "There is no agent 'nobody' to hand over to. There are: billing, guest."),
        ("desk", "There is no agent 'desk' to hand over to. There are: billing, guest."),
        ("guest", "guest cannot take calls over at the moment. Help the caller yourself."),
    ],
)
async def test_who_cannot_take_over(hand: Callable[..., Hand], to: str, reason: str) -> None:
    there = hand()
    assert await there.over(to) == reason
    assert there.rings.expected == []


async def test_an_agent_whose_file_is_gone_and_a_line_that_cannot_be_handed_on(hand: Callable[..., Hand]) -> None:
    there = hand()
    del there.agents["billing"]
    assert "cannot take calls over" in str(await there.over("billing"))
    assert "cannot be handed over" in str(await hand(is_possible=False).over("billing"))


async def test_a_pipeline_that_cannot_be_built_leaves_the_call_where_it_is(hand: Callable[..., Hand]) -> None:
    there = hand()
    there.unfit = "no key"
    assert "cannot take calls over" in str(await there.over("billing"))
    assert (there.current, there.hushed, there.rings.forgotten) == ("desk", 0, ["c1"])
    [failed] = there.call.kinds("agent.handoff_failed")
    assert failed.data["to"] == "billing"
    there.unfit = None
    assert await there.over("billing") is None


async def test_a_call_that_is_ending_is_not_handed_over(hand: Callable[..., Hand]) -> None:
    there = hand()
    there.call.conductor.end_after_goodbye(EndReason.BOT_ENDED)
    assert await there.over("billing") == "The call is ending."


async def test_the_next_agents_limits_count_from_when_it_takes_over(make_call: Callable[..., QuietCall]) -> None:
    call = make_call(max_call_secs=600, warn_before_secs=0)
    await call.wait(1)
    call.now_secs = 500
    call.scribe.caller_started(499_000)
    call.conductor.go_on_with(Limits(max_call_secs=30, warn_before_secs=10), Phrases(time_warning="Ten seconds."), None)
    await call.wait(19)
    assert not call.kinds("time.warned")
    await call.wait(12)
    assert call.kinds("time.warned")
    assert "Ten seconds." in call.asked
    await call.wait(10)
    assert call.conductor.reason is EndReason.TIME_LIMIT


def test_what_the_next_agent_is_told() -> None:
    billing = agent("billing", instructions="You are billing.", variables={"who": "Anna"})
    told = instructions_of(billing, call_of(), "Hints.", TakenOver("desk", "He has a bill."))
    assert told.startswith("You are billing.\n\nHints.\n\nYou take this call over from desk,")
    assert told.endswith("It sums up: He has a bill.")
    assert '"' not in opening_after(billing, call_of())
    greeting = {"to": {}, "greeting": "{who} of billing."}
    own = agent("billing", variables={"who": "Anna"}, handoff=greeting)
    assert opening_after(own, call_of()).endswith('Say exactly this to him: "Anna of billing."')
