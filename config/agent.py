"""AgentConfig: who speaks on a call. One YAML file per agent; the file's name is the agent's name."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self, cast

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from config.analysis import Analysis
from config.budget import Budget
from config.digits import Digits
from config.handoff import Handoff
from config.identifier import Identifier
from config.language_code import LanguageCode
from config.listening import Listening, fill_in_listening, listening_faults
from config.on_failure import DEFAULT_LADDER, Ladder, PipelineRung, SayRung, TransferRung
from config.origin import IN_A_FILE, Origin
from config.outbound import Outbound
from config.phrases import DISCLOSURE, Disclosure, Phrases, Sentence, fill_in_phrases
from config.pipeline import PipelineDefinition
from config.placeholders import fill_placeholders, placeholders
from config.privacy import Privacy, Retention
from config.recording import Recording, consent_faults
from config.telephone_number import PhoneNumber, is_costly
from config.tools import Tools
from config.tools_checks import tool_faults
from config.transfers import Transfer
from config.webhooks import Webhook
from config.wording import problem, suggest

AGENT_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""What an agent, and so its file, may be called."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Limits(_Section):
    """How long things may take, in seconds."""

    max_call_secs: float = Field(default=600, ge=10, le=14_400, description="The call ends after this, politely.")
    warn_before_secs: float = Field(
        default=60, ge=0, description="`phrases.time_warning` is said this long before the end; 0: never."
    )
    silence_ask_secs: float = Field(default=8, gt=0, description="Silence after which the agent asks once.")
    silence_hangup_secs: float = Field(default=20, gt=0, description="Silence, in all, after which it hangs up.")
    tool_timeout_secs: float = Field(default=10, gt=0, description="A tool that takes longer has failed.")
    tool_filler_secs: float = Field(
        default=2, gt=0, description="`phrases.tool_filler` is said when a tool takes longer than this."
    )

    @property
    def warn_at_secs(self) -> float | None:
        """Call time at which to warn of the end, or None when the call is too short for a warning."""
        at = self.max_call_secs - self.warn_before_secs
        return at if self.warn_before_secs > 0 and at > 0 else None

    @model_validator(mode="after")
    def _in_step(self) -> Self:
        # A default never contradicts a value that was written: a 30 s call simply goes without the 60 s warning.
        if "warn_before_secs" in self.model_fields_set and self.warn_before_secs >= self.max_call_secs:
            before, longest = self.warn_before_secs, self.max_call_secs
            raise problem(
                f"warn_before_secs ({before:g}) must be shorter than max_call_secs ({longest:g})",
                "lower it; 0 switches the warning off",
            )
        if self.silence_ask_secs >= self.silence_hangup_secs:
            ask, hang_up = self.silence_ask_secs, self.silence_hangup_secs
            raise problem(
                f"silence_ask_secs ({ask:g}) must be shorter than silence_hangup_secs ({hang_up:g})",
                "ask first, hang up later: both count from the last word",
            )
        return self


class AgentConfig(BaseModel):
    """One agent, checked and frozen. `name` comes from the file's name, everything else from the YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Sentence = Field(description="The file's name without .yaml; never written into the file.")
    bot: Sentence = Field(description="File in bots/, without .py, that says how the agent behaves.")
    numbers: tuple[PhoneNumber, ...] = Field(default=(), description="Twilio numbers that it answers, E.164, quoted.")
    language: LanguageCode = Field(default="en-US", description="What it speaks: a BCP 47 code.")
    greeting: str = Field(default="", description="Its first words; empty: it waits for the caller.")
    instructions: str = Field(default="", description="What the model is told about who it is and what to do.")
    variables: dict[Identifier, str] = Field(default={}, description="Values for {names} in the texts.")
    pipeline: PipelineDefinition = Field(
        default_factory=PipelineDefinition.default, description="The stages of a call, first to last."
    )
    tools: Tools = Field(default=(), description="What its model may use, beside the bot's own tools.")
    limits: Limits = Field(default_factory=Limits, description="How long things may take.")
    phrases: Phrases = Field(default_factory=Phrases, description="What it says of its own accord.")
    listening: Listening = Field(default_factory=Listening, description="How it listens, and when it is interrupted.")
    on_failure: Ladder = Field(
        default=DEFAULT_LADDER, description="What happens when the model fails for good in mid-call, step by step."
    )
    transfers: dict[Identifier, Transfer] = Field(
        default={}, description="Whom it may put a caller through to, by name."
    )
    digits: Digits = Field(default_factory=Digits, description="How it presses keys, and what callers enter by them.")
    handoff: Handoff = Field(default_factory=Handoff, description="Which agents may take the call over.")
    outbound: Outbound = Field(default_factory=Outbound, description="Whether it may call anybody, and whom.")
    disclosure: Disclosure = Field(
        default=DISCLOSURE, description="Said first of all to whoever is called; false: nothing is said."
    )
    recording: Recording = Field(default_factory=Recording, description="Whether the call is kept as audio.")
    privacy: Privacy = Field(default_factory=Privacy, description="What of a call is not written down.")
    retention: Retention = Field(default_factory=Retention, description="How long what is left of a call is kept.")
    search: bool = Field(
        default=False, description="Its calls can be found by the words of their transcripts; docs/security.md."
    )
    analysis: Analysis = Field(default_factory=Analysis, description="What is worked out once a call is over.")
    budget: Budget = Field(default_factory=Budget, description="What its calls may cost in a day.")
    webhooks: Annotated[tuple[Webhook, ...], Field(max_length=10)] = Field(
        default=(), description="Who is told of its calls, signed."
    )
    settings: dict[str, Any] = Field(default={}, description="The bot's own settings; the bot says which.")

    _origin: Origin = PrivateAttr(default=IN_A_FILE)

    @property
    def origin(self) -> Origin:
        """Where it comes from; a copy keeps it."""
        return self._origin

    def coming_from(self, origin: Origin) -> Self:
        """Return the same agent with another origin."""
        agent = self.model_copy()
        agent._origin = origin
        return agent

    def render(self, text: str, extra: Mapping[str, str] | None = None) -> str:
        """Return `text` with {variables} filled in; a value in `extra` goes before the agent's own.

        Raises:
            UnknownVariable: when neither knows a name. The agent's own texts were checked when it was loaded.
        """
        return fill_placeholders(text, {**self.variables, **(extra or {})})

    def pipelines(self) -> Iterator[tuple[tuple[str | int, ...], PipelineDefinition]]:
        """Yield every pipeline that a call of this agent may run, with its path: its own, then those of its ladder."""
        yield ("pipeline",), self.pipeline
        for position, rung in enumerate(self.on_failure):
            if isinstance(rung, PipelineRung):
                yield ("on_failure", position, "pipeline"), rung.pipeline

    @model_validator(mode="before")
    @classmethod
    def _speaks_its_language(cls, values: object) -> object:
        return fill_in_listening(fill_in_phrases(values))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = [*self._repeated_numbers(), *self._unfit_transfers(), *self._unknown_variables()]
        faults += self._handoff_to_itself()
        faults += listening_faults(self.listening, self.language, self.pipeline)
        faults += self._faulty_tools()
        faults += consent_faults(self.recording, self.pipeline)
        if faults:
            raise ValidationError.from_exception_data("AgentConfig", faults)
        return self

    def _repeated_numbers(self) -> Iterator[InitErrorDetails]:
        for position, number in enumerate(self.numbers):
            if number in self.numbers[:position]:
                error = problem(f"{number} is listed twice", "keep one of them")
                yield InitErrorDetails(type=error, loc=("numbers", position), input=number)

    def _unfit_transfers(self) -> Iterator[InitErrorDetails]:
        for name, transfer in self.transfers.items():
            for position, target in enumerate(transfer.to):
                if target.address in self.numbers:
                    error = problem(
                        f"{target.address} is the agent's own number: the transfer would come back to it",
                        "name a person's number",
                    )
                    yield InitErrorDetails(type=error, loc=("transfers", name, "to", position), input=target.address)
                elif target.address.startswith("+") and is_costly(target.address) and not self.outbound.allow_premium:
                    yield _costly(target.address, ("transfers", name, "to", position))
            if transfer.when_not_answered == "message" and not self.recording.enabled:
                error = problem("a message is kept in the recording, which is off", "set recording.enabled: true")
                yield InitErrorDetails(
                    type=error, loc=("transfers", name, "when_not_answered"), input=transfer.when_not_answered
                )

        for position, rung in enumerate(self.on_failure):
            if isinstance(rung, TransferRung) and is_costly(rung.transfer) and not self.outbound.allow_premium:
                yield _costly(rung.transfer, ("on_failure", position, "transfer"))

    def _handoff_to_itself(self) -> Iterator[InitErrorDetails]:
        if self.name in self.handoff.to:
            error = problem("an agent cannot hand over to itself", "remove it, or name another agent")
            yield InitErrorDetails(type=error, loc=("handoff", "to", self.name), input=self.name)

    def _faulty_tools(self) -> Iterator[InitErrorDetails]:
        for path, message, cure in tool_faults(self.tools, self.variables):
            yield InitErrorDetails(type=problem(message, cure), loc=("tools", *path), input=None)

    def _unknown_variables(self) -> Iterator[InitErrorDetails]:
        for path, text in self.texts():
            for name, is_escaped in placeholders(text):
                if is_escaped and name in self.variables:
                    error = problem(
                        f"{{{{{name}}}}} says {{{name}}} aloud", f"write {{{name}}} for the variable's value"
                    )
                elif not is_escaped and name not in self.variables:
                    known = f"{suggest(name, self.variables, 'variables are')} Or " if self.variables else ""
                    add = f"add {name} under variables:, or write {{{{{name}}}}} for plain braces"
                    error = problem(f"unknown variable {{{name}}}", known + add)
                else:
                    continue
                yield InitErrorDetails(type=error, loc=path, input=text)

    def texts(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Yield every text in which {variables} are filled in, with its path."""
        yield ("greeting",), self.greeting
        yield ("instructions",), self.instructions
        for name in Phrases.model_fields:
            yield ("phrases", name), getattr(self.phrases, name)
        for name, transfer in self.transfers.items():
            yield ("transfers", name, "say"), transfer.say
            yield ("transfers", name, "hold"), transfer.hold_sentence or ""
            yield ("transfers", name, "describe"), transfer.describe
        for name, entered in self.digits.fields.items():
            yield ("digits", "fields", name, "describe"), entered.describe
        yield from self.listening.texts()
        yield ("recording", "announcement"), self.recording.announcement
        yield ("handoff", "greeting"), self.handoff.greeting
        yield ("recording", "question"), self.recording.question
        yield ("budget", "sentence"), self.budget.sentence
        if self.disclosure:
            yield ("disclosure",), self.disclosure
        for name, what in self.handoff.to.items():
            yield ("handoff", "to", name), what
        if self.outbound.machine is not None and self.outbound.machine.message:
            yield ("outbound", "machine", "message"), self.outbound.machine.message
        for position, rung in enumerate(self.on_failure):
            if isinstance(rung, SayRung) and rung.say is not None:
                yield ("on_failure", position, "say"), rung.say
        for path, pipeline in self.pipelines():
            for position, stage in enumerate(pipeline.stages):
                if not stage.is_named:
                    yield from _texts_below(stage.settings, (*path, position, stage.name))


def _costly(number: str, path: tuple[str | int, ...]) -> InitErrorDetails:
    error = problem(
        f"{number} is a premium-rate, shared-cost or satellite number",
        "name another one, or write outbound: {allow_premium: true}",
    )
    return InitErrorDetails(type=error, loc=path, input=number)


def _texts_below(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, below in cast(Mapping[str, object], value).items():
            yield from _texts_below(below, (*path, key))
    elif isinstance(value, list):
        for position, below in enumerate(cast(list[object], value)):
            yield from _texts_below(below, (*path, position))
