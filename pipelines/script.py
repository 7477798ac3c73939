"""What an agent is told and what it says first, with the variables of the call filled in."""

from dataclasses import dataclass

from config.agent import AgentConfig
from config.phrases import spoken_language
from pipelines.disclosure import discloses, disclosure_text, may_close_ears
from pipelines.sentences import SentenceKind, Sentences
from transcripts.call import Call


@dataclass(frozen=True, slots=True)
class TakenOver:
    """How an agent came by a call that another one had: from whom, and what that one says of it."""

    from_agent: str
    summary: str


def instructions_of(agent: AgentConfig, call: Call, hints: str, taken_over: TakenOver | None = None) -> str:
    """What the model is told: the agent's instructions, the bot's own hints, and what the agent before it says."""
    text = agent.render(agent.instructions, call.variables)
    before = "" if taken_over is None else _before(taken_over)
    return "\n\n".join(filter(None, [text.strip(), hints.strip(), _of_languages(agent), before]))


def _of_languages(agent: AgentConfig) -> str:
    others = [code for code in agent.listening.languages if code != agent.language]
    if not others:
        return ""
    return (
        f"You speak {agent.language}, and {', '.join(others)} as well. When the caller speaks one of these, or asks "
        "for it, use the tool speak_language first and answer in that language."
    )


def _before(taken_over: TakenOver) -> str:
    told = f" It sums up: {taken_over.summary}" if taken_over.summary else ""
    return (
        f"You take this call over from {taken_over.from_agent}, with the caller on the line. You know what was said "
        f"so far: do not ask for it again, and do not greet the caller anew.{told}"
    )


def announces(agent: AgentConfig) -> bool:
    """Whether callers of this agent are told that they are recorded."""
    return agent.recording.announces


@dataclass(frozen=True, slots=True)
class Beforehand:
    """What Twilio's voice says before a phone call's stream, and which of our sentences that are."""

    text: str = ""
    language: str = ""
    is_announced: bool = False
    is_disclosed: bool = False

    @property
    def as_say(self) -> tuple[str, str] | None:
        """The text and its language; None when there is nothing to say."""
        return (self.text, self.language) if self.text else None


def announcement_before(agent: AgentConfig, call: Call, sentences: Sentences | None) -> Beforehand:
    """Return what Twilio's voice says before a phone call's stream begins: who calls, and that it is recorded.

    Nothing of what the stream can say itself. `sentences` are those that it has as sound; None: none, because a guest
    runs it. Who calls is said first of all: with the other by Twilio's voice, it is too.
    """
    is_sound = sentences is not None and sentences.find(agent, SentenceKind.CONSENT, call.variables) is not None
    is_announced = announces(agent) and not is_sound
    is_first = is_announced or agent.recording.asks and not _has_disclosure(agent, call, sentences)
    is_disclosed = discloses(agent, call) and (is_first or sentences is None or not may_close_ears(agent))
    spoken: list[str] = []
    raw: list[str] = []
    if is_disclosed:
        spoken.append(disclosure_text(agent, call))
        raw.append(agent.disclosure or "")
    if is_announced:
        spoken.append(agent.render(agent.recording.announcement, call.variables))
        raw.append(agent.recording.announcement)
    return Beforehand(" ".join(spoken), spoken_language(agent.language, *raw), is_announced, is_disclosed)


def _has_disclosure(agent: AgentConfig, call: Call, sentences: Sentences | None) -> bool:
    """Whether the stream can say who calls without its model, which speaks last where somebody is asked first."""
    return sentences is not None and sentences.find(agent, SentenceKind.DISCLOSURE, call.variables) is not None


def greeting_of(agent: AgentConfig, call: Call, sentences: Sentences) -> str:
    """What the model begins with: its greeting, after who calls and that it is recorded if nobody else can say that."""
    spoken: list[str] = []
    if discloses(agent, call) and sentences.find(agent, SentenceKind.DISCLOSURE, call.variables) is None:
        spoken.append(disclosure_text(agent, call))
    if (
        announces(agent)
        and not call.is_announced
        and sentences.find(agent, SentenceKind.CONSENT, call.variables) is None
    ):
        spoken.append(agent.render(agent.recording.announcement, call.variables))
    spoken.append(agent.render(agent.greeting, call.variables))
    return " ".join(filter(None, spoken))


def opening_after(agent: AgentConfig, call: Call) -> str:
    """What a model is asked for first that takes a call over."""
    words = agent.render(agent.handoff.greeting, call.variables)
    if words:
        return f'The caller has just been connected with you. Say exactly this to him: "{words}"'
    return (
        "The caller has just been connected with you. Tell him in a few words with whom he speaks now, then go on with "
        "what he needs."
    )


def opening_of(greeting: str) -> str:
    """What a speech-to-speech model is asked for first; empty when it is to listen."""
    return f'The caller is on the line. Greet with exactly this: "{greeting}"' if greeting else ""
