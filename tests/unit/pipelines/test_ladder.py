"""Which rungs are taken, what is said on them, and what is left to Twilio."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from config.phrases import default_phrases
from config.pipeline import PipelineDefinition
from pipelines.failure_step import failure_step
from pipelines.ladder import Ladder, Means
from pipelines.model_failures import FailureKind, ModelFailure
from pipelines.sentence_choice import kind_of_say
from pipelines.sentences import SentenceKind
from telephony.next_step import NextStep
from tests.unit.pipelines.conftest import QuietCall
from tests.unit.pipelines.quiet_voice import QuietVoice, agent, call_of
from transcripts.call import EndReason

PERSON = "+15551230199"
TRANSFER = {"transfer": PERSON}
CASCADE = {"pipeline": ["transport.input", "user_turns", "gemini_live", "transport.output"]}
MODEL = {"model": "another"}
PHRASES = default_phrases("en")
APOLOGY, CONNECTING, FILLER = SentenceKind.APOLOGY, SentenceKind.CONNECTING, SentenceKind.FILLER
STALLED = ModelFailure(FailureKind.TRY_AGAIN, "It stalled.")


class Climb:
    """A ladder on a quiet call. `left`: why the call was left, and for what; `switched`: to which pipelines."""

    def __init__(
        self, call: QuietCall, *rungs: Any, is_phone: bool = True, has: set[SentenceKind] | None = None
    ) -> None:
        self.call = call
        self.voice = QuietVoice(call, has)
        self.left: list[tuple[EndReason, NextStep]] = []
        self.switched: list[PipelineDefinition] = []
        self.may_switch = True
        self.agent = agent(on_failure=list(rungs))
        self.ladder = self.make(is_phone=is_phone)

    def make(self, *, is_phone: bool = True, start_at: int = 0) -> Ladder:
        means = Means(
            call=call_of(),
            agent=self.agent,
            scribe=self.call.scribe,
            announcer=self.voice,  # pyright: ignore[reportArgumentType]
            leave=lambda reason, step: self.left.append((reason, step)),
            switch=self._switch,
            is_phone=is_phone,
        )
        return Ladder(means, on_recovered=lambda: None, start_at=start_at)

    async def go(self) -> None:
        self.ladder.begin(STALLED)
        assert self.ladder.is_climbing
        async with asyncio.timeout(5):
            while self.ladder.is_climbing:  # noqa: ASYNC110 - the ladder tells nobody
                await asyncio.sleep(0.01)

    @property
    def said(self) -> list[tuple[str | None, str | None]]:
        return self.voice.said

    @property
    def steps(self) -> list[str]:
        return [event.data["step"] for event in self.call.kinds("ladder.step")]

    async def _switch(self, definition: PipelineDefinition) -> bool:
        self.switched.append(definition)
        return self.may_switch


@pytest.fixture
def climb(make_call: Callable[..., QuietCall]) -> Callable[..., Climb]:
    return lambda *rungs, **options: Climb(make_call(), *rungs, **options)


FAILED, TRANSFERRED = EndReason.FAILED, EndReason.TRANSFERRED
HANG_UP, DIAL = NextStep("hang_up"), NextStep("transfer", to=PERSON)
OWN = "A person will take over."


@pytest.mark.parametrize(
    ("rungs", "said", "left"),
    [
        (["say", "hang_up"], [(APOLOGY, None)], (FAILED, HANG_UP)),
        (["say"], [(APOLOGY, None)], (FAILED, HANG_UP)),
        (["hang_up"], [], (FAILED, HANG_UP)),
        (["say", TRANSFER], [(CONNECTING, None)], (TRANSFERRED, DIAL)),
        ([TRANSFER], [(CONNECTING, None)], (TRANSFERRED, DIAL)),
        ([{"say": OWN}, TRANSFER], [(CONNECTING, OWN)], (TRANSFERRED, DIAL)),
        (["say", {"say": OWN}, TRANSFER], [(CONNECTING, None), (CONNECTING, OWN)], (TRANSFERRED, DIAL)),
        # Without a connection to ask there is no other model; whoever was told nothing yet is told at the end.
        ([MODEL], [(APOLOGY, None)], (FAILED, HANG_UP)),
        ([MODEL, "say"], [(APOLOGY, None)], (FAILED, HANG_UP)),
        (["say", MODEL, "say", TRANSFER], [(FILLER, None), (CONNECTING, None)], (TRANSFERRED, DIAL)),
    ],
)
async def test_what_is_said_fits_what_comes_next(
    climb: Callable[..., Climb], rungs: list[Any], said: list[Any], left: tuple[EndReason, NextStep]
) -> None:
    there = climb(*rungs)
    await there.go()
    assert there.said == said
    assert there.left == [left]


@pytest.mark.parametrize(
    ("rungs", "left"),
    [
        (["say", "hang_up"], (FAILED, NextStep("apology", text=PHRASES.apology, language="en-US"))),
        (["say", TRANSFER], (TRANSFERRED, NextStep("transfer", PERSON, text=PHRASES.connecting, language="en-US"))),
        ([TRANSFER], (TRANSFERRED, NextStep("transfer", PERSON, text=PHRASES.connecting, language="en-US"))),
        ([{"say": OWN}, TRANSFER], (TRANSFERRED, NextStep("transfer", PERSON, text=OWN, language="en-US"))),
        (["take_message"], (FAILED, NextStep("apology", text=PHRASES.apology, language="en-US"))),
        ([MODEL], (FAILED, NextStep("apology", text=PHRASES.apology, language="en-US"))),
    ],
)
async def test_what_has_no_sound_is_left_to_twilio(
    climb: Callable[..., Climb], rungs: list[Any], left: tuple[EndReason, NextStep]
) -> None:
    there = climb(*rungs, has=set())
    await there.go()
    assert there.said == []
    assert there.left == [left]


@pytest.mark.parametrize("rungs", [["say", TRANSFER], [TRANSFER], ["say", "hang_up"]])
async def test_in_a_browser_nobody_is_promised_a_person(climb: Callable[..., Climb], rungs: list[Any]) -> None:
    there = climb(*rungs, is_phone=False)
    await there.go()
    assert there.said == [(APOLOGY, None)]
    assert there.left == [(FAILED, HANG_UP)]


async def test_a_sentence_that_leads_to_another_pipeline_does_not_hold_it_up(climb: Callable[..., Climb]) -> None:
    there = climb({"say": OWN}, CASCADE, "say", has=set())
    await there.go()
    assert len(there.switched) == 1
    assert there.left == []


async def test_the_next_failure_takes_the_next_step(climb: Callable[..., Climb]) -> None:
    there = climb(CASCADE, "say", TRANSFER)
    await there.go()
    assert (there.steps, there.left) == (["pipeline"], [])
    there.ladder = there.make(start_at=there.ladder.used)
    await there.go()
    assert there.steps == ["pipeline", "say", "transfer"]
    assert there.left == [(TRANSFERRED, DIAL)]


async def test_a_pipeline_that_cannot_be_had_is_passed_over(climb: Callable[..., Climb]) -> None:
    there = climb(CASCADE, "say")
    there.may_switch = False
    await there.go()
    assert there.steps == ["pipeline", "say"]
    assert there.left == [(FAILED, HANG_UP)]


async def test_nobody_climbs_twice_at_a_time(climb: Callable[..., Climb]) -> None:
    there = climb("say", "hang_up")
    there.ladder.begin(STALLED)
    there.ladder.begin(STALLED)
    await there.go()
    assert there.left == [(FAILED, HANG_UP)]


async def test_whoever_comes_down_says_nothing_more(climb: Callable[..., Climb]) -> None:
    there = climb("say", "hang_up")
    there.ladder.begin(STALLED)
    await there.ladder.close()
    assert (there.said, there.left) == ([], [])
    assert not there.ladder.is_climbing


async def test_a_ladder_that_breaks_is_left_to_twilio(climb: Callable[..., Climb]) -> None:
    there = climb(CASCADE, TRANSFER)

    async def broken(_definition: PipelineDefinition) -> bool:
        raise ValueError("a class that cannot be made")

    there._switch = broken  # noqa: SLF001
    there.ladder = there.make()
    await there.go()
    [(reason, step)] = there.left
    assert (reason, step.kind, step.to) == (FAILED, "transfer", PERSON)


# --- what Twilio says when nobody is on the line --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rungs", "text", "to"),
    [
        (["say", MODEL, TRANSFER], PHRASES.connecting, PERSON),
        ([{"say": "One moment."}, MODEL, TRANSFER], PHRASES.connecting, PERSON),
        ([MODEL, "say", CASCADE, {"say": OWN}, TRANSFER], OWN, PERSON),
        (["say", "say", TRANSFER], PHRASES.connecting, PERSON),
        (["say", "take_message"], PHRASES.apology, None),
        ([{"say": "Our line is down."}, "take_message"], "Our line is down.", None),
        (["hang_up"], PHRASES.apology, None),
    ],
)
def test_twilio_says_what_belongs_to_what_it_can_do(rungs: list[Any], text: str, to: str | None) -> None:
    step = failure_step(agent(on_failure=rungs), {})
    assert (step.text, step.to, step.language) == (text, to, "en-US")


def test_our_english_is_spoken_as_english() -> None:
    japanese = failure_step(agent(on_failure=["say", TRANSFER], language="ja-JP"), {})
    assert (japanese.text, japanese.language) == (PHRASES.connecting, "en-US")
    own = failure_step(agent(on_failure=[{"say": "申し訳ありません。"}, TRANSFER], language="ja-JP"), {})
    assert (own.text, own.language) == ("申し訳ありません。", "ja-JP")


def test_a_bare_say_is_of_the_kind_that_the_next_step_wants() -> None:
    rungs = agent(on_failure=["say", MODEL, "say", "say", "take_message"]).on_failure
    assert [kind_of_say(rungs, position) for position in (0, 2, 3)] == [FILLER, None, None]
    before_transfer = agent(on_failure=["say", TRANSFER]).on_failure
    assert kind_of_say(before_transfer, 0) is CONNECTING
    assert kind_of_say(before_transfer, 0, may_transfer=False) is APOLOGY
