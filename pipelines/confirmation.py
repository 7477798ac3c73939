"""Tools that run only when the caller has agreed: they wait for a turn of his, so that no model can agree for him."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.placeholders import fill_placeholders, placeholders
from pipelines.scribe import Scribe
from pipelines.tool_failures import RefusalKind, ToolRefused
from pipelines.yes_or_no import is_plain_no
from transcripts.call import Speaker, Turn

WORDS_WITHIN_SECS = 2.0
"""A model may call the tool again before it tells what the caller's voice said."""

_POLL_SECS = 0.1
_GOOD_FOR_MS = 120_000.0
"""An answer to a question that was asked longer ago may be one to another question."""


@dataclass(frozen=True)
class _Asked:
    arguments: str
    at_ms: float


@dataclass
class Confirmations:
    """What one call's caller was asked to agree to, by tool."""

    _asked: dict[str, _Asked] = field(default_factory=dict[str, _Asked])

    async def require(
        self, name: str, arguments: Mapping[str, Any], sentence: str, variables: Mapping[str, str], scribe: Scribe
    ) -> None:
        """Return when the caller has answered this very question; until then raise ToolRefused with what to ask.

        An answer counts when it began after the question was first heard, and is for one run with the same arguments.
        """
        given = json.dumps(arguments, sort_keys=True, default=str)
        question = _filled(sentence, {**variables, **{key: str(value) for key, value in arguments.items()}})
        asked = self._asked.get(name)
        if asked is None or asked.arguments != given or scribe.now_ms - asked.at_ms > _GOOD_FOR_MS:
            self._asked[name] = _Asked(given, scribe.now_ms)
            raise _ask(name, question)
        answer = await _answer_since(asked.at_ms, scribe)
        if answer is None:
            raise _ask(name, question)
        del self._asked[name]
        if is_plain_no(answer):
            scribe.event("tool.declined", name=name)
            raise ToolRefused(RefusalKind.DECLINED, "The caller has said no. Do not do it; go on without it.")
        scribe.event("tool.confirmed", name=name)


def _ask(name: str, question: str) -> ToolRefused:
    reason = (
        f"Not done yet: the caller has to agree first. When he has said yes, call {name} again with exactly the same "
        "arguments. When he says no, do not call it."
    )
    return ToolRefused(RefusalKind.NOT_CONFIRMED, reason, say=f'Ask exactly this, then wait: "{question}"')


async def _answer_since(asked_ms: float, scribe: Scribe) -> str | None:
    """What the caller said after the question was heard, "" for a key; None when there was nothing that counts."""
    question_ms = _heard_ms(asked_ms, scribe)
    if question_ms is None:
        return None
    until_ms = scribe.now_ms + WORDS_WITHIN_SECS * 1000
    while True:
        if scribe.digit_ms is not None and scribe.digit_ms > question_ms:
            return ""
        words = " ".join(turn.text for turn in scribe.conversation() if _is_answer(turn, question_ms, scribe))
        has_spoken = scribe.caller_began_ms is not None and scribe.caller_began_ms >= question_ms
        if words or not has_spoken or scribe.now_ms >= until_ms:
            return words or None
        await asyncio.sleep(_POLL_SECS)


def _heard_ms(asked_ms: float, scribe: Scribe) -> float | None:
    """When the agent's question began to be heard; None when it has not."""
    heard = [turn for turn in scribe.conversation() if turn.speaker is Speaker.AGENT and turn.end_ms > asked_ms]
    return max(heard[0].start_ms, asked_ms) if heard else None


def _is_answer(turn: Turn, question_ms: float, scribe: Scribe) -> bool:
    if turn.speaker is not Speaker.CALLER:
        return False
    began_again = scribe.caller_began_ms is not None and scribe.caller_began_ms >= question_ms
    return turn.start_ms >= question_ms or (began_again and turn.end_ms >= question_ms)


def _filled(sentence: str, values: Mapping[str, str]) -> str:
    """What the model left out is left out of the sentence too."""
    known = {name: values.get(name, "") for name, _ in placeholders(sentence)}
    return fill_placeholders(sentence, known)
