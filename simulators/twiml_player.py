"""TwiML, read and carried out verb by verb.

`parse_twiml` turns a document into typed verbs; `play` carries them out on a `Telephone`, the call's own means.
Verbs and attributes: https://www.twilio.com/docs/voice/twiml.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit
from xml.etree import ElementTree

from simulators.conference import JoinConference, read_conference
from simulators.dialling import Dial, read_dial

_PLAYABLE = re.compile(r"[0-9*#w]*")
_LOCAL_STREAMS = frozenset({("ws", "127.0.0.1"), ("ws", "localhost"), ("ws", "::1")})


class TwimlError(Exception):
    """The document cannot be carried out; `code` is Twilio's: 12100 not XML, 12200 not TwiML."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class Play:
    url: str
    digits: str


@dataclass(frozen=True, slots=True)
class Pause:
    length_secs: float


@dataclass(frozen=True, slots=True)
class ConnectStream:
    """`<Connect><Stream>`: `action` belongs to Connect and is asked when the stream is over."""

    url: str
    name: str
    parameters: Mapping[str, str]
    status_callback: str
    action: str
    method: str


@dataclass(frozen=True, slots=True)
class Gather:
    """`inputs` are dtmf, speech or both."""

    prompts: tuple["Say | Play | Pause", ...]
    num_digits: int | None
    finish_on_key: str
    timeout_secs: float
    action: str
    method: str
    inputs: frozenset[str] = frozenset({"dtmf"})
    is_empty_told: bool = False
    language: str = "en-US"
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Redirect:
    url: str
    method: str


@dataclass(frozen=True, slots=True)
class Hangup:
    pass


@dataclass(frozen=True, slots=True)
class Reject:
    reason: str


Verb = Say | Play | Pause | ConnectStream | Dial | JoinConference | Gather | Redirect | Hangup | Reject


@dataclass(frozen=True, slots=True)
class Goto:
    """Go on with the TwiML at `url`, relative to the document's own. An empty `url` is the document itself."""

    url: str
    method: str
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Finished:
    """The call is over with this `CallStatus`."""

    status: str


class Telephone(Protocol):
    """What a verb may do to a call. Every method lasts as long as what it does."""

    def note_verb(self, verb: str, detail: str) -> None:
        """Log that a verb begins."""
        ...

    async def answer(self) -> None:
        """Take the call off the hook, if it still rings."""
        ...

    async def say_text(self, text: str) -> None:
        """Speak with Twilio's own voice."""
        ...

    async def play(self, url: str, digits: str) -> None:
        """Play a file, or key tones."""
        ...

    async def pause(self, secs: float) -> None:
        """Wait."""
        ...

    async def connect_stream(self, verb: ConnectStream) -> dict[str, str]:
        """Hold a media stream until the server closes it. Returns parameters for the action."""
        ...

    async def dial(self, verb: Dial) -> dict[str, str]:
        """Ring the targets and talk. Returns `DialCallStatus` and its companions."""
        ...

    async def join_conference(self, verb: JoinConference) -> dict[str, str]:
        """Be in a conference until it is over. Returns `DialCallStatus` and its companions."""
        ...

    async def gather(self, verb: Gather, play_prompts: Callable[[], Awaitable[None]]) -> dict[str, str]:
        """Play the prompts and listen. Returns `Digits`, or `SpeechResult` and `Confidence`; empty: nothing came."""
        ...


def parse_twiml(text: str) -> tuple[Verb, ...]:
    """Read a TwiML document.

    Raises:
        TwimlError: 12100 it is not well-formed XML, or not a `<Response>`; 12200 a verb or noun is unknown or unfit.
    """
    try:
        root = ElementTree.fromstring(text.strip())
    except ElementTree.ParseError as problem:
        raise TwimlError(12100, f"document parse failure: {problem}") from problem
    if root.tag != "Response":
        raise TwimlError(12100, f"the root element is <{root.tag}>, not <Response>")
    return tuple(_read_verb(element) for element in root)


def _read_verb(element: ElementTree.Element) -> Verb:
    match element.tag:
        case "Say" | "Play" | "Pause":
            return _read_prompt(element)
        case "Connect":
            return _read_connect(element)
        case "Dial" if element.find("Conference") is not None:
            try:
                return read_conference(element)
            except ValueError as problem:
                raise TwimlError(12200, str(problem)) from problem
        case "Dial":
            _method(element)
            try:
                return read_dial(element)
            except ValueError as problem:
                raise TwimlError(12200, str(problem)) from problem
        case "Gather":
            num_digits = element.get("numDigits")
            return Gather(
                prompts=tuple(_read_prompt(child) for child in element),
                num_digits=int(_number(num_digits)) if num_digits else None,
                finish_on_key=element.get("finishOnKey", "#"),
                timeout_secs=_number(element.get("timeout", "5")),
                action=element.get("action", ""),
                method=_method(element),
                inputs=_inputs(element),
                is_empty_told=element.get("actionOnEmptyResult", "false") == "true",
                language=element.get("language", "en-US"),
                hints=tuple(hint.strip() for hint in element.get("hints", "").split(",") if hint.strip()),
            )
        case "Redirect":
            return Redirect(_text(element), _method(element))
        case "Hangup":
            return Hangup()
        case "Reject":
            return Reject(element.get("reason", "rejected"))
        case tag:
            raise TwimlError(12200, f"<{tag}> is not a verb")


def _read_prompt(element: ElementTree.Element) -> Say | Play | Pause:
    match element.tag:
        case "Say":
            return Say(_text(element))
        case "Play":
            digits = element.get("digits", "")
            if not _PLAYABLE.fullmatch(digits):
                raise TwimlError(12200, "<Play digits> takes 0-9, *, # and w")
            return Play(_text(element), digits)
        case "Pause":
            return Pause(_number(element.get("length", "1")))
        case tag:
            raise TwimlError(12200, f"<{tag}> has no place here")


def _read_connect(element: ElementTree.Element) -> ConnectStream:
    stream = element.find("Stream")
    if stream is None or len(element) != 1:
        raise TwimlError(12200, "<Connect> needs exactly one <Stream>")
    parameters: dict[str, str] = {}
    for child in stream:
        if child.tag != "Parameter":
            raise TwimlError(12200, f"<{child.tag}> has no place in <Stream>")
        name, value = child.get("name", ""), child.get("value", "")
        # "The combined length of name and value must be under 500 characters."
        if not name or len(name) + len(value) >= 500:
            raise TwimlError(12200, "<Parameter> needs a name, and name and value together under 500 characters")
        parameters[name] = value
    url = stream.get("url", "")
    address = urlsplit(url)
    # Twilio takes wss:// only; without TLS we go no further than this machine.
    if address.scheme != "wss" and (address.scheme, address.hostname) not in _LOCAL_STREAMS:
        raise TwimlError(31922, "<Stream url> must be a wss:// address")
    return ConnectStream(
        url=url,
        name=stream.get("name", ""),
        parameters=parameters,
        status_callback=stream.get("statusCallback", ""),
        action=element.get("action", ""),
        method=_method(element),
    )


def _text(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _method(element: ElementTree.Element) -> str:
    method = element.get("method", "POST").upper()
    if method not in ("GET", "POST"):
        raise TwimlError(12200, f"method must be GET or POST, not {method}")
    return method


def _inputs(element: ElementTree.Element) -> frozenset[str]:
    inputs = frozenset(element.get("input", "dtmf").split())
    if not inputs or inputs - {"dtmf", "speech"}:
        raise TwimlError(12200, f"input must be dtmf, speech or both, not {element.get('input')!r}")
    return inputs


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError as problem:
        raise TwimlError(12200, f"{text!r} is not a number") from problem
    if number < 0:
        raise TwimlError(12200, f"{text!r} is below zero")
    return number


async def play(verbs: Sequence[Verb], telephone: Telephone) -> Goto | Finished:
    """Carry out a document. Returns where to go on, or that the call is over; cancel it to interrupt a verb.

    As with Twilio, the end of the document hangs up, `<Reject>` works only before the call is answered, and a verb
    with an action leaves its document for good.
    """
    for index, verb in enumerate(verbs):
        if isinstance(verb, Reject) and index == 0:
            telephone.note_verb("Reject", verb.reason)
            return Finished("busy" if verb.reason == "busy" else "no-answer")
        await telephone.answer()
        step = await _play_verb(verb, telephone)
        if step is not None:
            return step
    if not verbs:
        await telephone.answer()
    return Finished("completed")


async def _play_verb(verb: Verb, telephone: Telephone) -> Goto | Finished | None:
    match verb:
        case Say() | Play() | Pause():
            await _play_prompt(verb, telephone)
        case ConnectStream():
            telephone.note_verb("Connect", verb.url)
            after_stream = await telephone.connect_stream(verb)
            if verb.action:
                return Goto(verb.action, verb.method, after_stream)
        case Dial():
            telephone.note_verb("Dial", ", ".join(target.address for target in verb.targets))
            after_dial = await telephone.dial(verb)
            if verb.action:
                return Goto(verb.action, verb.method, after_dial)
        case JoinConference():
            telephone.note_verb("Conference", verb.name)
            after_conference = await telephone.join_conference(verb)
            if verb.action:
                return Goto(verb.action, verb.method, after_conference)
        case Gather():
            telephone.note_verb("Gather", verb.action)
            gathered = await telephone.gather(verb, lambda: _play_prompts(verb.prompts, telephone))
            if gathered or verb.is_empty_told:
                return Goto(verb.action, verb.method, gathered or {"Digits": ""})
        case Redirect():
            telephone.note_verb("Redirect", verb.url)
            return Goto(verb.url, verb.method)
        case Hangup():
            telephone.note_verb("Hangup", "")
            return Finished("completed")
        case Reject():
            telephone.note_verb("Reject", "ignored: the call is answered already")
    return None


async def _play_prompts(prompts: Sequence[Say | Play | Pause], telephone: Telephone) -> None:
    for prompt in prompts:
        await _play_prompt(prompt, telephone)


async def _play_prompt(verb: Say | Play | Pause, telephone: Telephone) -> None:
    match verb:
        case Say(text):
            telephone.note_verb("Say", text)
            await telephone.say_text(text)
        case Play(url, digits):
            telephone.note_verb("Play", digits or url)
            await telephone.play(url, digits)
        case Pause(length_secs):
            telephone.note_verb("Pause", f"{length_secs:g}")
            await telephone.pause(length_secs)
