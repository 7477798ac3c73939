"""What is left of an agent's ladder when nobody is on the line who could climb it: an apology, a transfer, a goodbye.

Used when the model and the stream are gone: by `/twilio/next`, by the rescue, and for a number's fallback URL.
"""

from collections.abc import Mapping

from config.agent import AgentConfig
from config.on_failure import SayRung, TransferRung
from config.phrases import spoken_language
from pipelines.sentence_choice import kind_of_say
from pipelines.sentence_clips import SentenceKind
from telephony.next_step import NextStep
from transcripts.call import EndReason

_APOLOGISE_AFTER = frozenset(
    {EndReason.FAILED, EndReason.CONNECTION_LOST, EndReason.NEVER_CONNECTED, EndReason.SERVER_CRASHED}
)


def step_after(reason: EndReason, agent: AgentConfig | None, variables: Mapping[str, str]) -> NextStep:
    """Return what Twilio does after a call that ended so and asked for nothing.

    `agent` is None when it was removed meanwhile. The agent's sentence is spoken in `NextStep.language`.
    """
    if reason == EndReason.REFUSED_BUSY:
        return busy_step(agent, variables)
    return failure_step(agent, variables) if reason in _APOLOGISE_AFTER else NextStep("hang_up")


def failure_step(agent: AgentConfig | None, variables: Mapping[str, str], *, start_at: int = 0) -> NextStep:
    """Return the part of `on_failure` that Twilio can do alone: the sentences, then the transfer, else hang up.

    Without a sentence of its own the agent's apology is said, or before a transfer the one that announces it.
    `start_at`: so many steps of the ladder were taken before.
    """
    if agent is None:
        return NextStep("apology")
    rungs, said = agent.on_failure, list[str]()
    usual = agent.phrases.apology
    to: str | None = None
    for position, rung in enumerate(rungs):
        if isinstance(rung, TransferRung):
            to, usual = rung.transfer, agent.phrases.connecting
        elif isinstance(rung, SayRung) and position >= start_at:
            kind = kind_of_say(rungs, position)
            if kind is SentenceKind.FILLER:
                continue  # it leads to another model or pipeline, which needs the stream
            words = rung.say or _words(agent, kind)
            said += [] if words is None else [agent.render(words, variables)]
    said = list(dict.fromkeys(said)) or [agent.render(usual, variables)]
    text, language = " ".join(said), spoken_language(agent.language, *said)
    if to is not None:
        return NextStep("transfer", to=to, text=text, language=language)
    return NextStep("apology", text=text, language=language)


def _words(agent: AgentConfig, kind: SentenceKind | None) -> str | None:
    return None if kind is None else str(getattr(agent.phrases, kind))


def busy_step(agent: AgentConfig | None, variables: Mapping[str, str]) -> NextStep:
    """Return the step that says that every line is taken, in the agent's words."""
    if agent is None:
        return NextStep("busy")
    text = agent.render(agent.phrases.busy, variables)
    return NextStep("busy", text=text, language=spoken_language(agent.language, text))
