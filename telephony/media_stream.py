"""The messages of a Twilio media stream: parsed at the door, kept in order, built on the way out. No IO.

Source of the shapes: Twilio's "Media Streams - WebSocket Messages" reference. Numbers arrive as strings there
(`"timestamp": "20"`, `"sequenceNumber": "3"`), except in `mediaFormat`; both spellings are accepted everywhere.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Self, cast

MULAW = "audio/x-mulaw"
MAX_MESSAGE_BYTES = 64 * 1024
DTMF_DIGITS = frozenset("0123456789*#ABCD")
# Ten hours of call time have eight digits; a longer number is not a time, and int() grows costly with length.
_MAX_NUMBER_DIGITS = 18

# `media` as Twilio writes it, fifty times a second and call. Whatever differs in anything takes the long way.
_USUAL_MEDIA = re.compile(
    r'\{"event": ?"media", ?"sequenceNumber": ?"[0-9]{1,18}", ?"media": ?\{"track": ?"\w{1,32}", ?'
    r'"chunk": ?"[0-9]{1,18}", ?"timestamp": ?"([0-9]{1,18})", ?"payload": ?"([A-Za-z0-9+/]*={0,2})"\}, ?'
    r'"streamSid": ?"(\w{1,64})"\}',
    re.ASCII,
)


class MalformedMessage(ValueError):
    """The text is not a message of a Twilio media stream."""

    def __str__(self) -> str:
        """Return the detail given, or the sentence above."""
        return str(self.args[0]) if self.args else (type(self).__doc__ or "")


class ProtocolViolation(Exception):
    """A well-formed message that may not come at this point of the stream."""

    def __str__(self) -> str:
        """Return the detail given, or the sentence above."""
        return str(self.args[0]) if self.args else (type(self).__doc__ or "")


@dataclass(frozen=True, slots=True)
class Connected:
    """The first message: the socket is open. The only one without a stream SID."""

    protocol: str
    version: str


@dataclass(frozen=True, slots=True)
class Start:
    """The stream begins. `parameters` are the `<Parameter>`s of our TwiML, in which the token rides."""

    stream_sid: str
    call_sid: str
    account_sid: str
    parameters: dict[str, str]
    encoding: str = MULAW
    sample_rate_hz: int = 8000
    channels: int = 1


@dataclass(frozen=True, slots=True)
class Media:
    """Audio of the caller: `payload` is decoded from base64, still coded as `Start.encoding` says.

    Usually 160 bytes (20 ms of 8 kHz mu-law); any length, none included, is let through.
    `timestamp_ms` counts from the start of the stream.
    """

    stream_sid: str
    timestamp_ms: int
    payload: bytes
    track: str


@dataclass(frozen=True, slots=True)
class Dtmf:
    """The caller pressed a key: one of `0`-`9`, `*`, `#`, `A`-`D`."""

    stream_sid: str
    digit: str


@dataclass(frozen=True, slots=True)
class Mark:
    """All audio that we sent before the mark of this name was played, or thrown away by a `clear`."""

    stream_sid: str
    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The stream is over: the caller hung up, or the call was redirected."""

    stream_sid: str
    call_sid: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event that Twilio may add one day; it is passed over."""

    stream_sid: str | None
    event: str


StreamEvent = Connected | Start | Media | Dtmf | Mark | Stop | Unknown
_Object = dict[str, object]


@dataclass(slots=True)
class MediaStream:
    """One stream: feed it each text message of the socket, take the event that comes out.

    Enforced: `start` comes before everything but `connected`, and once; every later message names the stream of
    the `start`; nothing follows `stop`; no message is longer than 64 KiB of UTF-8. Unknown events may come at any time.
    """

    start: Start | None = None
    has_stopped: bool = False

    @classmethod
    def after(cls, start: Start) -> Self:
        """Return a stream whose `start` was read already, for whoever reads on from there."""
        return cls(start=start)

    @property
    def stream_sid(self) -> str:
        """The stream's SID. Raises `ProtocolViolation` before its `start`."""
        if self.start is None:
            raise ProtocolViolation("the stream has not started")
        return self.start.stream_sid

    def receive(self, text: str) -> StreamEvent:
        """Return the event in `text`. Raises `MalformedMessage` or `ProtocolViolation`; the state is then unchanged."""
        # A character takes at most four bytes, so short texts need no encoding to be judged.
        if len(text) * 4 > MAX_MESSAGE_BYTES and len(text.encode("utf-8", "replace")) > MAX_MESSAGE_BYTES:
            raise ProtocolViolation("a message is longer than 64 KiB")
        event = parse(text)
        self._check(event)
        if isinstance(event, Start):
            self.start = event
        elif isinstance(event, Stop):
            self.has_stopped = True
        return event

    def usual_media(self, text: str) -> tuple[int, bytes] | None:
        """Return (timestamp in ms, payload) of a `media` message of this stream as Twilio writes it.

        None for everything else: `receive` says what it is, or what is wrong with it.
        """
        usual = _USUAL_MEDIA.fullmatch(text)
        start = self.start
        if usual is None or start is None or self.has_stopped or len(text) > MAX_MESSAGE_BYTES:
            return None
        timestamp, payload, stream_sid = usual.groups()
        if stream_sid != start.stream_sid:
            return None
        try:
            return int(timestamp), binascii.a2b_base64(payload, strict_mode=True)
        except binascii.Error:
            return None

    def _check(self, event: StreamEvent) -> None:
        if self.has_stopped:
            raise ProtocolViolation("a message came after stop")
        if isinstance(event, Connected | Start):
            if self.start is not None:
                raise ProtocolViolation("the stream started twice")
        elif isinstance(event, Unknown):
            if self.start is not None and event.stream_sid not in (None, self.start.stream_sid):
                raise ProtocolViolation("a message names another stream")
        elif self.start is None:
            raise ProtocolViolation(f"{type(event).__name__.lower()} came before start")
        elif event.stream_sid != self.start.stream_sid:
            raise ProtocolViolation("a message names another stream")


def parse(text: str) -> StreamEvent:
    """Read one text message of the socket.

    Returns one of the frozen event classes above. Raises `MalformedMessage`, and nothing else, whatever the text is:
    not JSON, not an object, a field missing or of the wrong type, audio that is not base64.
    """
    message = _load(text)
    event = _text(message, "event", "event")
    if event == "media":  # fifty times a second and call: asked first
        return _media(message)
    if event == "mark":
        return Mark(_stream_sid(message), _text(_object(message, "mark", "mark"), "name", "mark.name"))
    if event == "dtmf":
        return Dtmf(_stream_sid(message), _digit(_object(message, "dtmf", "dtmf")))
    if event == "start":
        return _start(message)
    if event == "stop":
        return _stop(message)
    if event == "connected":
        return Connected(_text(message, "protocol", "protocol"), _text(message, "version", "version"))
    stream_sid = message.get("streamSid")
    return Unknown(stream_sid if isinstance(stream_sid, str) else None, event)


def media(stream_sid: str, mulaw: bytes) -> str:
    """Build the message that plays `mulaw` (8 kHz, one channel, any length) to the caller after what is queued."""
    payload = base64.b64encode(mulaw).decode("ascii")
    # A SID is letters and digits, or JSON's own text for it if it ever is not.
    return f'{{"event":"media","streamSid":{json.dumps(stream_sid)},"media":{{"payload":"{payload}"}}}}'


def mark(stream_sid: str, name: str) -> str:
    """Build the message that Twilio sends back once all audio before it was played."""
    return _dump({"event": "mark", "streamSid": stream_sid, "mark": {"name": name}})


def clear(stream_sid: str) -> str:
    """Build the message that empties Twilio's play-out buffer; its pending marks come back at once."""
    return _dump({"event": "clear", "streamSid": stream_sid})


def _dump(message: _Object) -> str:
    return json.dumps(message, separators=(",", ":"))


def _load(text: str) -> _Object:
    try:
        message: object = json.loads(text)
    except (ValueError, RecursionError) as error:  # RecursionError: "[[[[..." thousands deep
        raise MalformedMessage("not JSON") from error
    if not isinstance(message, dict):
        raise MalformedMessage("not a JSON object")
    return cast(_Object, message)


def _object(parent: _Object, key: str, path: str) -> _Object:
    value = parent.get(key)
    if not isinstance(value, dict):
        raise MalformedMessage(f"{path}: an object is missing")
    return cast(_Object, value)


def _text(parent: _Object, key: str, path: str) -> str:
    return _checked_text(parent.get(key), path)


def _checked_text(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise MalformedMessage(f"{path}: text is missing")
    # JSON may smuggle in half a surrogate pair or a NUL; neither can be written to a log or a database later.
    if "\0" in value or not (value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)):
        raise MalformedMessage(f"{path}: not printable text")
    return value


def _number(parent: _Object, key: str, path: str) -> int:
    value = parent.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_MAX_NUMBER_DIGITS:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_NUMBER_DIGITS:
        return int(value)
    raise MalformedMessage(f"{path}: a number is missing")


def _stream_sid(message: _Object) -> str:
    stream_sid = _text(message, "streamSid", "streamSid")
    if not stream_sid:
        raise MalformedMessage("streamSid: text is missing")
    return stream_sid


def _media(message: _Object) -> Media:
    part = _object(message, "media", "media")
    encoded = part.get("payload")
    if not isinstance(encoded, str):
        raise MalformedMessage("media.payload: text is missing")
    try:
        payload = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedMessage("media.payload: not base64") from error
    track = _text(part, "track", "media.track") if "track" in part else "inbound"
    return Media(_stream_sid(message), _number(part, "timestamp", "media.timestamp"), payload, track)


def _digit(part: _Object) -> str:
    digit = _text(part, "digit", "dtmf.digit").upper()
    if digit not in DTMF_DIGITS:
        raise MalformedMessage("dtmf.digit: not a key of a telephone")
    return digit


def _start(message: _Object) -> Start:
    part = _object(message, "start", "start")
    given = _object(part, "customParameters", "start.customParameters") if "customParameters" in part else {}
    wire = _object(part, "mediaFormat", "start.mediaFormat")
    return Start(
        stream_sid=_stream_sid(message),
        call_sid=_text(part, "callSid", "start.callSid"),
        account_sid=_text(part, "accountSid", "start.accountSid"),
        parameters={
            _checked_text(name, "start.customParameters"): _checked_text(value, "start.customParameters")
            for name, value in given.items()
        },
        encoding=_text(wire, "encoding", "start.mediaFormat.encoding"),
        sample_rate_hz=_number(wire, "sampleRate", "start.mediaFormat.sampleRate"),
        channels=_number(wire, "channels", "start.mediaFormat.channels"),
    )


def _stop(message: _Object) -> Stop:
    part = message.get("stop")
    call_sid = cast(_Object, part).get("callSid") if isinstance(part, dict) else None
    return Stop(_stream_sid(message), call_sid if isinstance(call_sid, str) else None)
