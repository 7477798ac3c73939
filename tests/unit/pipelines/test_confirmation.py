"""A tool that needs the caller's yes: what counts as his turn, and that no model can agree for him."""

import pytest

from pipelines.confirmation import Confirmations
from pipelines.tool_failures import RefusalKind, ToolRefused
from pipelines.yes_or_no import is_plain_no
from transcripts.call import Speaker, Turn


class Talk:
    """As much of a scribe as the question needs, with a clock that a test sets."""

    def __init__(self) -> None:
        self.now_ms = 1000.0
        self.turns: list[Turn] = []
        self.digit_ms: float | None = None
        self.caller_began_ms: float | None = None
        self.kinds: list[str] = []

    def conversation(self) -> list[Turn]:
        return self.turns

    def event(self, kind: str, /, **_data: object) -> None:
        self.kinds.append(kind)

    def agent(self, text: str, start_ms: int, end_ms: int) -> None:
        self.turns.append(Turn(Speaker.AGENT, text, start_ms, end_ms))
        self.now_ms = end_ms

    def caller(self, text: str, start_ms: int, end_ms: int) -> None:
        self.turns.append(Turn(Speaker.CALLER, text, start_ms, end_ms))
        self.caller_began_ms, self.now_ms = start_ms, end_ms


async def ask(confirmations: Confirmations, talk: Talk, **arguments: str) -> RefusalKind | None:
    try:
        await confirmations.require("send", arguments or {"to": "Bo"}, "Send it to {to}?", {}, talk)  # pyright: ignore
    except ToolRefused as refusal:
        return refusal.kind
    return None


async def test_it_asks_first_and_runs_once_after_the_callers_yes() -> None:
    confirmations, talk = Confirmations(), Talk()
    with pytest.raises(ToolRefused) as refused:
        await confirmations.require("send", {"to": "Bo"}, "Send it to {to}?", {}, talk)  # pyright: ignore
    assert refused.value.say == 'Ask exactly this, then wait: "Send it to Bo?"'
    talk.agent("Send it to Bo?", 1200, 2500)
    talk.caller("Yes, do.", 2600, 3200)
    assert await ask(confirmations, talk) is None
    assert talk.kinds == ["tool.confirmed"]
    assert await ask(confirmations, talk) is RefusalKind.NOT_CONFIRMED


async def test_a_model_cannot_agree_for_the_caller() -> None:
    confirmations, talk = Confirmations(), Talk()
    talk.caller("Yes, please send something.", 100, 900)
    assert await ask(confirmations, talk) is RefusalKind.NOT_CONFIRMED
    talk.now_ms = 1300
    assert await ask(confirmations, talk) is RefusalKind.NOT_CONFIRMED  # nothing was asked aloud
    talk.agent("Send it to Bo?", 1400, 2500)
    assert await ask(confirmations, talk) is RefusalKind.NOT_CONFIRMED  # nobody has answered


async def test_an_answer_that_began_before_the_question_was_heard_does_not_count() -> None:
    confirmations, talk = Confirmations(), Talk()
    await ask(confirmations, talk)
    talk.caller("Yes, and another thing.", 1050, 1900)
    talk.agent("Send it to Bo?", 2000, 3000)
    assert await ask(confirmations, talk) is RefusalKind.NOT_CONFIRMED


async def test_a_yes_is_for_these_arguments_only() -> None:
    confirmations, talk = Confirmations(), Talk()
    await ask(confirmations, talk)
    talk.agent("Send it to Bo?", 1200, 2500)
    talk.caller("Yes.", 2600, 3200)
    assert await ask(confirmations, talk, to="Eve") is RefusalKind.NOT_CONFIRMED


async def test_a_key_counts_and_a_plain_no_is_a_no() -> None:
    confirmations, talk = Confirmations(), Talk()
    await ask(confirmations, talk)
    talk.agent("Press one to send it.", 1200, 2500)
    talk.digit_ms = talk.now_ms = 2700
    assert await ask(confirmations, talk) is None
    await ask(confirmations, talk)
    talk.digit_ms = None
    talk.agent("Send it again?", 2800, 3500)
    talk.caller("No, thanks.", 3600, 4200)
    assert await ask(confirmations, talk) is RefusalKind.DECLINED
    assert talk.kinds[-1] == "tool.declined"


@pytest.mark.parametrize(
    ("words", "is_no"),
    [
        ("No, thanks.", True),
        ("Nein danke", True),
        ("Non.", True),
        ("Don’t", True),
        ("Yes.", False),
        ("No, go on, yes", False),
        ("", False),
    ],
)
def test_a_plain_no(words: str, is_no: bool) -> None:
    assert is_plain_no(words) is is_no
