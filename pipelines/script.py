"""What an agent is told and what it says first, with the variables of the call filled in."""

from config.agent import AgentConfig
from config.phrases import spoken_language
from pipelines.sentences import SentenceKind, Sentences
from transcripts.call import Call


def instructions_of(agent: AgentConfig, call: Call, hints: str) -> str:
    """What the model is told: the agent's instructions, then the bot's own hints."""
    text = agent.render(agent.instructions, call.variables)
    return "\n\n".join(filter(None, [text.strip(), hints.strip(), _of_languages(agent)]))


def _of_languages(agent: AgentConfig) -> str:
    others = [code for code in agent.listening.languages if code != agent.language]
    if not others:
        return ""
    return (
        f"You speak {agent.language}, and {', '.join(others)} as well. When the caller speaks one of these, or asks "
        "for it, use the tool speak_language first and answer in that language."
    )


def announces(agent: AgentConfig) -> bool:
    """Whether callers of this agent are told that they are recorded."""
    return agent.recording.enabled and agent.recording.consent == "announce"


def announcement_before(agent: AgentConfig, call: Call, sentences: Sentences | None) -> tuple[str, str] | None:
    """What Twilio's voice says of the recording before a phone call's stream begins, and the language it is in.

    None when there is nothing to say, or when the stream has it as sound. `sentences` are those that the stream can
    say; None: none, because a guest runs it.
    """
    is_sound = sentences is not None and sentences.find(agent, SentenceKind.CONSENT, call.variables) is not None
    if not announces(agent) or is_sound:
        return None
    text = agent.render(agent.recording.announcement, call.variables)
    return text, spoken_language(agent.language, agent.recording.announcement)


def greeting_of(agent: AgentConfig, call: Call, sentences: Sentences) -> str:
    """What the model begins with: its greeting, after the announcement of the recording if nobody else can say that."""
    spoken: list[str] = []
    if (
        announces(agent)
        and not call.is_announced
        and sentences.find(agent, SentenceKind.CONSENT, call.variables) is None
    ):
        spoken.append(agent.render(agent.recording.announcement, call.variables))
    spoken.append(agent.render(agent.greeting, call.variables))
    return " ".join(filter(None, spoken))


def opening_of(greeting: str) -> str:
    """What a speech-to-speech model is asked for first; empty when it is to listen."""
    return f'The caller is on the line. Greet with exactly this: "{greeting}"' if greeting else ""
