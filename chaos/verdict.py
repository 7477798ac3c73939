"""What the caller heard in a drill, and whether he can be content with it. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaos.drills import ANSWERS, DROPPED, SLOW_TOOL
from chaos.house import GREETING
from chaos.played import Played, Wait
from transcripts.call import EndReason, Speaker

MOST_SILENCE_SECS = 6.0
"""From the caller's last word, or from the stream's start, to the next thing he hears."""
MOST_TOOL_SILENCE_SECS = 3.5
"""A tool that takes its time is covered by a sentence after two seconds; before it the model thinks for a while."""

_AUDIBLE = ("Say", "Dial", "Play")
_LAST_WORDS = frozenset({"apology", "goodbye", "drain_goodbye", "message_thanks"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of the table.

    Attributes:
        silence_secs: The longest silence in which the caller waited for an answer.
        heard: What he heard, in order.
        lost: How many of his sentences are in no turn although the fault did not destroy them.
        duplicates: What was written, told or done twice.
        problems: Why the row is bad; empty when all was well.
        story: The call's events, one a line.
    """

    name: str
    silence_secs: float
    heard: str
    end_reason: str
    lost: int
    duplicates: int
    problems: tuple[str, ...]
    story: tuple[str, ...]
    took_secs: float


def judge(played: Played) -> Verdict:
    """Hold what was measured at the wire, and what was written down, against what was promised."""
    silence_secs = max((silence_of(played, wait) for wait in played.waits), default=_before_stream_secs(played))
    lost, doubled = lost_sentences(played), list(duplicates(played))
    problems = [
        *([played.problem] if played.problem else []),
        *(["the fault did not strike"] if not has_struck(played) else []),
        *([f"{silence_secs:.1f} s of silence"] if silence_secs > _most_silence_secs(played) else []),
        *(f"lost: {sentence}" for sentence in lost),
        *(f"twice: {what}" for what in doubled),
        *_bad_end(played),
    ]
    return Verdict(
        name=played.drill.name,
        silence_secs=silence_secs,
        heard=_heard(played),
        end_reason=played.end_reason or "no end",
        lost=len(lost),
        duplicates=len(doubled),
        problems=tuple(problems),
        story=tuple(played.story()),
        took_secs=played.took_secs,
    )


def has_struck(played: Played) -> bool:
    """Whether all trouble of the drill really came. A fault that nobody met proves nothing."""
    drill = played.drill
    wanted = {drill.fault.name} if drill.fault is not None else set[str]()
    wanted |= {drill.with_fault} if drill.with_fault is not None else set()
    wanted |= {DROPPED} if drill.is_dropped else set()
    kinds = {event.kind for event in played.events}
    if drill.fault is not None and drill.fault.occasion == "port" and "model.attempt_failed" not in kinds:
        return False  # the port was closed, but nobody knocked
    if drill.name == SLOW_TOOL or drill.tool_secs:
        return wanted <= played.struck and "tool.called" in kinds
    return wanted <= played.struck


# ---- silence ---------------------------------------------------------------------------------------------------------


def silence_of(played: Played, wait: Wait) -> float:
    """Return the longest stretch of a wait in which nothing was heard, in seconds.

    It goes from the caller's last sound to the end of the answer: holes in the answer, and before it begins again, are
    in it; a filler ends one silence and begins another. A stream that ends meanwhile is followed by silence until the
    next thing that Twilio lets him hear.
    """
    if wait.until_ms is None:
        until_ms = played.stream_ms + _after_stream_ms(played)
    else:
        until_ms = wait.until_ms
    at_ms, longest_ms = wait.from_ms, 0.0
    for start_ms, end_ms in sorted(played.heard):
        if start_ms >= until_ms:
            break
        longest_ms = max(longest_ms, start_ms - at_ms)
        at_ms = max(at_ms, end_ms)
    return max(longest_ms, until_ms - at_ms) / 1000


def _after_stream_ms(played: Played) -> float:
    """From the stream's end to the next verb that is heard; 0 when none follows: the call is over then."""
    connected_ms = next((at_ms for at_ms, verb, _ in played.verbs if verb == "Connect"), None)
    if connected_ms is None:
        return 0.0
    over_ms = connected_ms + played.stream_ms
    later = [at_ms for at_ms, verb, _ in played.verbs if verb in _AUDIBLE and at_ms > connected_ms]
    return max(0.0, later[0] - over_ms) if later else 0.0


def _before_stream_secs(played: Played) -> float:
    """A call that had no stream: until Twilio said something."""
    return next((at_ms for at_ms, verb, _ in played.verbs if verb in _AUDIBLE), 0) / 1000


def _most_silence_secs(played: Played) -> float:
    return MOST_TOOL_SILENCE_SECS if played.drill.name == SLOW_TOOL else MOST_SILENCE_SECS


# ---- what was said ---------------------------------------------------------------------------------------------------


def _text(played: Played, speaker: Speaker) -> str:
    return " ".join(turn.text for turn in played.turns if turn.speaker == speaker)


def _excused(played: Played) -> Sequence[str]:
    """The caller's sentences that nobody could have written down."""
    if played.drill.destroys_speech and played.end_reason == EndReason.BOT_ENDED:
        return played.said
    if played.drill.destroys_speech or played.drill.is_outage:
        return played.said[-1:]  # nobody was left who heard it
    return ()


def lost_sentences(played: Played) -> list[str]:
    """Return the caller's sentences that are in no turn, but for those that the fault itself destroyed."""
    text, excused = _text(played, Speaker.CALLER), _excused(played)
    return [sentence for sentence in played.said if sentence not in text and sentence not in excused]


def duplicates(played: Played) -> Iterator[str]:
    """Yield whatever was written, said, done or told to the model a second time, whole or in part."""
    rest = _text(played, Speaker.CALLER)
    for sentence in dict.fromkeys(played.said):
        times = rest.count(sentence)
        yield from [f"the caller: {sentence}"] * (times - played.said.count(sentence))
        rest = rest.replace(sentence, "")
    if rest.strip() and not _excused(played):
        yield f"a piece of the caller's: {rest.strip()}"
    yield from _said_twice(played)
    calls = Counter(
        f"{event.data['name']}({event.data['arguments']})" for event in played.events if event.kind == "tool.called"
    )
    yield from (f"the tool {call}" for call, times in calls.items() for _ in range(times - 1))
    told = Counter(played.told_results)
    yield from (f"the result of {call}" for call, times in told.items() for _ in range(times - 1))


def _said_twice(played: Played) -> Iterator[str]:
    """The model's sentences. One that broke off and was begun again is none; one that was heard whole twice is."""
    announced = {str(event.data.get("text")) for event in played.events if event.kind == "agent.announced"}
    said = _text(played, Speaker.AGENT)
    expected = [GREETING, played.drill.answer, ANSWERS["goodbye"]]
    for sentence in expected:
        yield from [f"the agent: {sentence}"] * (said.count(sentence) - 1)
    others = Counter(
        turn.text
        for turn in played.turns
        if turn.speaker == Speaker.AGENT
        and turn.text not in announced
        and not any(sentence in turn.text for sentence in expected)
    )
    yield from (f"the agent: {text}" for text, times in others.items() for _ in range(times - 1))


# ---- how it ended ----------------------------------------------------------------------------------------------------


def _bad_end(played: Played) -> Iterator[str]:
    """Good ends: a conversation that went on to its goodbye, an apology with transfer, or a polite goodbye."""
    if played.end_reason == EndReason.BOT_ENDED:
        question = played.waits[1] if len(played.waits) > 1 else None
        if question is None or not question.is_answered:
            yield "the question was not answered"
        if ANSWERS["goodbye"] not in _text(played, Speaker.AGENT):
            yield "no goodbye was heard"
        return
    verbs = {verb for _, verb, _ in played.verbs}
    announced = [str(event.data["kind"]) for event in played.events if event.kind == "agent.announced"]
    is_polite = "Say" in verbs or "Dial" in verbs or (announced and announced[-1] in _LAST_WORDS)
    if played.end_reason is None:
        yield "the call's row never ended"
    elif played.end_reason == EndReason.CALLER_HUNG_UP or not is_polite:
        yield f"no good end: {played.end_reason}"


def _heard(played: Played) -> str:
    """In order: what was announced, answered, and done by Twilio."""
    greeted_ms = (played.waits[0].until_ms or played.stream_ms) if played.waits else 0.0
    heard: list[str] = []
    for event in sorted(played.events, key=lambda event: event.at_ms):
        if event.kind == "agent.announced":
            heard.append(str(event.data["kind"]).replace("_", " "))
        elif event.kind == "agent.began":
            heard.append("greeting" if event.at_ms < greeted_ms else "answer")
    heard += [f"<{verb}>" for _, verb, _ in played.verbs if verb != "Connect"]
    return ", ".join(heard)
