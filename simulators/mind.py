"""The mind of the stand-in model: acts out a script, step by step. Pure: no sockets, no sound, no clock."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from simulators.clips import caller_clips, plain
from simulators.script import Rule, Script, Step
from simulators.text_requests import clips_in, passage_to_speak, reported_clips
from simulators.wording import MissingValue, fill, fill_value, holds


@dataclass(frozen=True, slots=True)
class Say:
    """Speak this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """Call this tool; the tool's result (a mapping) must be sent back into the reply."""

    tool: str
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Let this fault happen."""

    fault: str


# Yields what to do; after a Call it is sent the tool's result, otherwise None.
Reply = Generator[Say | Call | Trouble, Mapping[str, Any] | None, None]


def plain_result(response: Mapping[str, Any]) -> dict[str, Any]:
    """What a tool answered, without the envelope that `result` or `output` is."""
    fields = {
        key: value for key, value in response.items() if key not in ("scheduling", "willContinue", "will_continue")
    }
    if len(fields) == 1 and isinstance(inner := fields.get("result", fields.get("output")), dict):
        return cast(dict[str, Any], inner)
    return fields


@dataclass(slots=True)
class Mind:
    """One conversation's progress through its script. It outlives a connection: resuming goes on with the same mind."""

    script: Script
    tools: frozenset[str]
    variables: dict[str, Any] = field(default_factory=dict[str, Any])
    _used: set[int] = field(default_factory=set[int])

    def answer_clip(self, clip_id: str | None, speech: str) -> Reply:
        """The reply to an utterance: a recognised clip, or None with the words for it ('[speech 2.1 s]')."""
        values = {"speech": speech}
        if clip_id is not None:
            for index, rule in enumerate(self.script.rules):
                if clip_id in rule.hear and self._may_use(index, rule, values):
                    return self._act_rule(index, rule, values)
        return self._act_text(self.script.otherwise, values)

    def answer_text(self, text: str, unheard: str | None = None) -> Reply:
        """The reply to a text.

        A passage that it orders to be spoken; the reply to caller clips whose words it quotes, as if the caller had
        said the last of them now; a rule's; or the reply to the clip that has just these words. A text that is none of
        these, as "Please answer now.", means what the caller said and was not heard, if there is something `unheard`.
        """
        reply = self._find_reply(text)
        if reply is None and unheard is not None:
            reply = self._find_reply(unheard)
        return reply or self._act_text(self.script.otherwise, {"speech": text})

    def _find_reply(self, text: str) -> Reply | None:
        quote = passage_to_speak(text)
        reported = [] if quote is not None else reported_clips(text)
        if reported:
            for clip_id in reported[:-1]:
                self._learn_from(clip_id)
            return self.answer_clip(reported[-1], text)
        for index, rule in enumerate(self.script.rules):
            if rule.text is None or rule.quoted != (quote is not None):
                continue
            match = re.search(rule.text, text, re.IGNORECASE)
            values = {"quote": quote, "speech": text, "match": match.groupdict() if match else {}}
            if match and self._may_use(index, rule, values):
                return self._act_rule(index, rule, values)
        if quote is not None:
            return self.speak(quote)
        words = plain(text)
        clip_id = next((clip_id for clip_id, clip in caller_clips().items() if plain(clip.text) == words), None)
        return self.answer_clip(clip_id, text) if clip_id else None

    def speak(self, text: str) -> Reply:
        """The reply that is this text."""
        return self._act_text("{quote}", {"quote": text})

    def learn(self, text: str) -> None:
        """Takes in a text of the history without a word: what the caller clips in it would have set is set."""
        for clip_id in clips_in(text):
            self._learn_from(clip_id)

    def copy(self) -> Mind:
        """The same mind at this moment."""
        return replace(self, variables=dict(self.variables), _used=set(self._used))

    def _learn_from(self, clip_id: str) -> None:
        for index, rule in enumerate(self.script.rules):
            if clip_id in rule.hear and self._may_use(index, rule, {}):
                self._learn_steps([rule])
                return

    def _learn_steps(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if step.condition is not None and not holds(step.condition, self._values({})):
                self._learn_steps(step.otherwise)
                continue
            for name, template in step.variables.items():
                with contextlib.suppress(MissingValue):
                    self.variables[name] = fill(template, self._values({}))
            if step.call is None:
                self._learn_steps(step.then)

    def _may_use(self, index: int, rule: Rule, values: Mapping[str, Any]) -> bool:
        if rule.call is not None and rule.call.tool not in self.tools:
            return False
        if rule.once and index in self._used:
            return False
        return rule.condition is None or bool(rule.otherwise) or holds(rule.condition, self._values(values))

    def _values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {**values, "vars": self.variables}

    def _act_rule(self, index: int, rule: Rule, values: Mapping[str, Any]) -> Reply:
        self._used.add(index)
        return self._act_safely([rule], values)

    def _act_text(self, template: str, values: Mapping[str, Any]) -> Reply:
        return self._act_safely([Step(say=template)], values)

    def _act_safely(self, steps: Iterable[Step], values: Mapping[str, Any]) -> Reply:
        try:
            yield from self._act(steps, values)
        except MissingValue:
            yield Say(self.script.failed)

    def _act(self, steps: Iterable[Step], values: Mapping[str, Any]) -> Reply:
        for step in steps:
            if step.condition is not None and not holds(step.condition, self._values(values)):
                yield from self._act(step.otherwise, values)
                continue
            for name, template in step.variables.items():
                self.variables[name] = fill(template, self._values(values))
            if step.fault is not None:
                yield Trouble(step.fault)
            if step.say is not None:
                yield Say(fill(step.say, self._values(values)))
            if step.call is None:
                yield from self._act(step.then, values)
                continue
            if step.call.tool not in self.tools:
                continue
            args = {name: fill_value(value, self._values(values)) for name, value in step.call.args.items()}
            result = yield Call(step.call.tool, args)
            answer = plain_result(result or {})
            if "error" in answer and not _mentions_error(step.then):
                yield Say(self.script.failed)
            else:
                yield from self._act(step.then, {**values, "args": args, "result": answer})


def _mentions_error(steps: Iterable[Step]) -> bool:
    return any(step.condition is not None and "result.error" in step.condition for step in steps)
