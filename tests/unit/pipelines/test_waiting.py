"""What a caller hears while he waits for the model, and when it is given up. The clock is moved by hand."""

from collections.abc import Callable

import pytest

from config.agent import Limits
from config.pipeline import GeminiConnection
from pipelines.model_failures import FailureKind, ModelFailure
from pipelines.sentences import SentenceKind
from pipelines.waiting import Waiting
from tests.unit.pipelines.conftest import QuietCall
from tests.unit.pipelines.quiet_voice import QuietVoice


class SilentModel:
    """A model that says nothing. `done`: what was tried with it, and when (seconds of call time)."""

    def __init__(self, call: QuietCall) -> None:
        self.call = call
        self.is_connected = self.knows_what_was_said = True
        self.is_answering = False
        self.done: list[tuple[str, float]] = []

    async def prompt_again(self) -> None:
        self.done.append(("prompt", round(self.call.now_secs, 1)))

    def reconnect(self) -> None:
        self.done.append(("reconnect", round(self.call.now_secs, 1)))


class Watch:
    """A call, the watch over its waits, and what came of them."""

    def __init__(self, call: QuietCall) -> None:
        self.call, self.scribe = call, call.scribe
        self.voice = QuietVoice(call)
        self.model = SilentModel(call)
        self.waiting = Waiting(call.scribe, self.voice, self.model, GeminiConnection(), Limits())
        self.failures: list[tuple[ModelFailure, float]] = []
        self.is_held = False

    @property
    def fillers(self) -> list[float]:
        """When each filler was said."""
        return [event.at_ms / 1000 for event in self.call.kinds("model.stalled")]

    async def wait(self, secs: float) -> None:
        for _ in range(round(secs * 10)):
            self.call.now_secs += 0.1
            self.scribe.tick()
            failure = None if self.is_held else await self.waiting.tick()
            if failure is not None:
                self.is_held = True  # whoever is on the ladder now sees to the caller
                self.failures.append((failure, round(self.call.now_secs, 1)))

    async def hear(self, secs: float, text: str = "") -> None:
        """The caller makes a sound; the model may tell that it was words."""
        self.scribe.caller_started(self.call.now_ms)
        await self.wait(secs)
        self.scribe.caller_stopped(self.call.now_ms)
        if text:
            self.scribe.caller_text(text)

    def answer(self, secs: float = 1.0) -> None:
        """The model says something to its end."""
        self.call.begin("Words.", secs)
        self.call.line.agent_finished()


@pytest.fixture
def watch(make_call: Callable[..., QuietCall]) -> Watch:
    return Watch(make_call())


async def test_filler_then_prompt_then_another_connection_then_the_ladder(watch: Watch) -> None:
    await watch.hear(2.0, "What are your opening hours?")
    await watch.wait(10)
    assert watch.voice.said[0] == (SentenceKind.FILLER, None)
    assert watch.fillers == [pytest.approx(5.0, abs=0.11)]  # three seconds after the caller's last word
    assert watch.model.done == [("prompt", pytest.approx(5.1, abs=0.11)), ("reconnect", pytest.approx(6.2, abs=0.11))]
    [(failure, at), *_] = watch.failures
    assert at == pytest.approx(8.0, abs=0.11)
    assert failure.kind is FailureKind.TRY_AGAIN


async def test_words_that_nobody_knows_are_said_again_to_another_connection_first(watch: Watch) -> None:
    watch.model.knows_what_was_said = False
    await watch.hear(2.0)
    await watch.wait(6)
    assert [what for what, _ in watch.model.done] == ["reconnect", "prompt"]


async def test_an_answer_that_is_arriving_is_waited_for(watch: Watch) -> None:
    await watch.hear(2.0, "What are your opening hours?")
    await watch.wait(3.5)
    watch.model.done.clear()
    watch.model.is_answering = True
    await watch.wait(5)
    assert (watch.model.done, watch.failures) == ([], [])
    watch.model.is_answering = False  # it broke off before anything of it reached the line
    await watch.wait(0.1)
    assert len(watch.failures) == 1


async def test_an_answer_in_time_is_all_there_is(watch: Watch) -> None:
    await watch.hear(2.0, "What are your opening hours?")
    await watch.wait(2.5)
    watch.answer()
    await watch.wait(8)
    assert (watch.voice.said, watch.model.done, watch.failures) == ([], [], [])


async def test_an_answer_after_the_filler_is_a_recovery(watch: Watch) -> None:
    await watch.hear(2.0, "What are your opening hours?")
    await watch.wait(4)
    watch.answer()
    await watch.wait(8)
    assert [kind for kind, _ in watch.voice.said] == [SentenceKind.FILLER]
    assert watch.failures == []
    assert [event.data for event in watch.call.kinds("recovery")] == [{"kind": "stalled", "outcome": "recovered"}]


async def test_while_another_connection_is_made_nobody_is_prompted(watch: Watch) -> None:
    watch.model.is_connected = False
    await watch.hear(2.0, "What are your opening hours?")
    await watch.wait(5)
    assert watch.model.done == []
    watch.model.is_connected = True
    await watch.wait(0.1)
    assert [what for what, _ in watch.model.done] == ["prompt"]


async def test_a_first_word_that_was_asked_for_is_waited_for_as_well(watch: Watch) -> None:
    watch.scribe.await_words()
    await watch.wait(7)
    assert [kind for kind, _ in watch.voice.said] == [SentenceKind.FILLER]
    assert [at for _, at in watch.failures] == [pytest.approx(6.0, abs=0.11)]


async def test_a_cough_is_owed_nothing(watch: Watch) -> None:
    await watch.hear(0.3)
    await watch.wait(10)
    assert (watch.voice.said, watch.model.done, watch.failures) == ([], [], [])


async def test_a_long_sound_is_owed_an_answer_also_when_no_words_were_told(watch: Watch) -> None:
    await watch.hear(1.5)
    await watch.wait(4)
    assert [kind for kind, _ in watch.voice.said] == [SentenceKind.FILLER]


async def test_nothing_is_said_while_the_caller_speaks(watch: Watch) -> None:
    await watch.hear(2.0, "What are your opening hours?")
    await watch.wait(2.5)
    await watch.hear(20.0, "On Monday, I mean.")
    assert (watch.voice.said, watch.failures) == ([], [])
    await watch.wait(3.1)
    assert [kind for kind, _ in watch.voice.said] == [SentenceKind.FILLER]


async def test_a_model_that_takes_over_gets_its_own_time(watch: Watch) -> None:
    await watch.hear(2.0, "What are your opening hours?")
    await watch.wait(6.1)
    assert len(watch.failures) == 1
    watch.waiting.begin_anew()
    watch.is_held = False
    await watch.wait(5.5)
    assert len(watch.failures) == 1
    assert [kind for kind, _ in watch.voice.said] == [SentenceKind.FILLER] * 2


async def test_a_model_that_stops_in_mid_sentence_is_waited_for_like_one_that_never_began(watch: Watch) -> None:
    await watch.hear(2.0, "What are your opening hours?")
    watch.call.begin("On Monday we are", 1.0)
    await watch.wait(8)
    assert watch.fillers == [pytest.approx(6.0, abs=0.11)]
    assert [at for _, at in watch.failures] == [pytest.approx(9.0, abs=0.11)]


async def test_without_a_sound_for_it_there_is_no_filler_and_the_rest_goes_on(watch: Watch) -> None:
    watch.voice.has = set()
    await watch.hear(2.0, "What are your opening hours?")
    await watch.wait(6.5)
    assert [event.data for event in watch.call.kinds("agent.has_no_sound")] == [{"kind": "filler"}]
    assert [what for what, _ in watch.model.done] == ["prompt", "reconnect"]
    assert len(watch.failures) == 1


# --- tools ----------------------------------------------------------------------------------------------------------


async def test_a_tool_that_takes_its_time_is_talked_over_every_few_seconds(watch: Watch) -> None:
    await watch.hear(2.0, "What are your opening hours?")
    watch.scribe.tool_started()
    began = watch.call.now_secs
    times: list[float] = []
    for _ in range(150):
        before = len(watch.voice.said)
        await watch.wait(0.1)
        if len(watch.voice.said) > before:
            times.append(watch.call.now_secs - began)
    assert {kind for kind, _ in watch.voice.said} == {SentenceKind.TOOL_FILLER}
    assert times[0] == pytest.approx(2.0, abs=0.15)
    gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    assert gaps == [pytest.approx(6.0, abs=0.15)] * 2  # a sentence of one second and five of quiet
    assert watch.failures == []


async def test_a_tool_that_is_done_soon_is_not_talked_over(watch: Watch) -> None:
    await watch.hear(2.0, "What are your opening hours?")
    watch.scribe.tool_started()
    await watch.wait(1.5)
    watch.scribe.tool_ended()
    watch.scribe.await_words()
    await watch.wait(1)
    watch.answer()
    await watch.wait(5)
    assert watch.voice.said == []


async def test_a_tools_filler_waits_for_whoever_speaks(watch: Watch) -> None:
    watch.call.begin("Let me look that up for you, that may take a moment.", 4.0)
    watch.scribe.tool_started()
    await watch.wait(3.9)
    assert watch.voice.said == []
    watch.call.line.agent_finished()
    await watch.hear(3.0)
    assert watch.voice.said == []
    await watch.wait(0.4)
    assert [kind for kind, _ in watch.voice.said] == [SentenceKind.TOOL_FILLER]
