"""What is left of a ladder for Twilio to do alone."""

from typing import Any

import pytest

from config.agent import AgentConfig
from pipelines.failure_step import busy_step, failure_step, step_after
from telephony.next_step import NextStep
from transcripts.call import EndReason

pytestmark = pytest.mark.unit
PERSON = "+15551230177"


def agent(*ladder: Any, **fields: Any) -> AgentConfig:
    given = {"name": "desk", "bot": "desk", **({"on_failure": list(ladder)} if ladder else {}), **fields}
    return AgentConfig.model_validate(given)


@pytest.mark.parametrize(
    ("ladder", "kind", "said"),
    [
        ([], "apology", "apology"),
        (["say", "hang_up"], "apology", "apology"),
        (["hang_up"], "apology", "apology"),
        ([{"model": "another"}, "take_message"], "apology", "apology"),
        ([{"say": "Oh dear."}, {"say": "Bye."}], "apology", "Oh dear. Bye."),
        ([{"transfer": PERSON}], "transfer", "connecting"),
        (["say", {"transfer": PERSON}], "transfer", "connecting"),
        (
            [{"model": "another"}, {"say": "Hold on, {who} comes."}, {"transfer": PERSON}],
            "transfer",
            "Hold on, Ann comes.",
        ),
    ],
)
def test_sentences_and_a_transfer_are_twilios(ladder: list[Any], kind: str, said: str) -> None:
    desk = agent(*ladder, variables={"who": "Bea"})
    step = failure_step(desk, {"who": "Ann"})
    assert (step.kind, step.to) == (kind, PERSON if kind == "transfer" else None)
    assert step.text == getattr(desk.phrases, said, said)
    assert step.language == "en-US"


def test_words_are_spoken_in_the_language_they_are_in() -> None:
    for language, own, spoken_in in [
        ("de-AT", None, "de-AT"),
        ("nl-NL", None, "en-US"),  # we have no Dutch sentences, so an agent without its own says ours
        ("nl-NL", "Sorry, tot ziens.", "nl-NL"),
        ("en-GB", None, "en-GB"),
    ]:
        phrases = {"apology": own, "busy": own} if own else {}
        desk = agent(language=language, phrases=phrases)
        assert failure_step(desk, {}).language == busy_step(desk, {}).language == spoken_in


@pytest.mark.parametrize("reason", list(EndReason))
def test_every_reason_has_a_step(reason: EndReason) -> None:
    lost = {"failed", "connection_lost", "never_connected", "server_crashed"}
    kind = "apology" if reason in lost else "busy" if reason == "refused_busy" else "hang_up"
    assert step_after(reason, agent(), {}).kind == kind
    assert step_after(reason, None, {}) == NextStep(kind)
