"""What the supervisor and its processes tell each other: one JSON object a line, checked as it comes in."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MOST_BYTES = 4 * 1024 * 1024
"""The longest line. Metrics are the largest of them: some ten kilobytes."""


class BadMessage(Exception):
    """The line is no message of ours, or too long to be one."""


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Begin(_Body):
    """To a new process, before anything else: what it is to be. `settings` are those of the supervisor, secrets too."""

    kind: Literal["begin"] = "begin"
    number: int
    processes: int
    settings: dict[str, Any]


class Go(_Body):
    """Open the database and be up; before that a process only loads its code."""

    kind: Literal["go"] = "go"


class CannotBegin(_Body):
    """The process will not come up, and why: one line for the operator, and the exit code that belongs to it."""

    kind: Literal["cannot_begin"] = "cannot_begin"
    problem: str
    exit_code: int


class Up(_Body):
    """The process takes connections and calls; `instance` is its name in the database and in streams' paths."""

    kind: Literal["up"] = "up"
    instance: str


class State(_Body):
    """Told twice a second. `refusal` is why the process would take no further call, empty when it would."""

    kind: Literal["state"] = "state"
    refusal: str


class Stop(_Body):
    """Let the calls end and end then; or do so without waiting for any of them."""

    kind: Literal["stop"] = "stop"
    is_at_once: bool = False


class Leaving(_Body):
    """The process is about to close its last connections: it asks to be given no more of them."""

    kind: Literal["leaving"] = "leaving"


class Done(_Body):
    """The answer to what has no other."""

    kind: Literal["done"] = "done"


class Order(_Body):
    """A call that rings and needs a place: of the asking process to the supervisor, and on to the one that is chosen.

    `started_at` is ISO 8601 with its zone. `is_announced`: Twilio's voice tells the caller of the recording;
    `is_disclosed`: and that an assistant calls. `overrides`: what the call changes of its agent. `keep_secs`: how long
    the place is kept; None: as long as for any call that rings. `agent_version`: which one of a stored agent.
    """

    kind: Literal["order"] = "order"
    call_id: str
    call_sid: str
    agent_name: str
    agent_version: int | None = None
    direction: str
    from_number: str | None = None
    to_number: str | None = None
    variables: dict[str, str] = {}
    started_at: str
    is_announced: bool = False
    is_disclosed: bool = False
    overrides: dict[str, Any] = {}
    keep_secs: float | None = None


class Placed(_Body):
    """Where the call is: the name of its process; or empty, and why not."""

    kind: Literal["placed"] = "placed"
    instance: str = ""
    refusal: str = ""


class Admit(_Body):
    """A call begins here without having been placed here: may it, as far as the whole server goes?"""

    kind: Literal["admit"] = "admit"
    call_id: str
    call_sid: str = ""


class Took(_Body):
    """The process took a call while nobody could be asked."""

    kind: Literal["took"] = "took"
    call_id: str
    call_sid: str = ""


class Freed(_Body):
    """The process has given back the slot of this call."""

    kind: Literal["freed"] = "freed"
    call_id: str


class GiveUp(_Body):
    """The stream of this call will not come: whoever keeps a slot for it gives it back."""

    kind: Literal["give_up"] = "give_up"
    call_id: str


class Room(_Body):
    """Whether the server has room for a further call.

    `most`: it has none, and so many calls its process has of them; None: it has.
    """

    kind: Literal["room"] = "room"
    most: int | None = None


class Errand(_Body):
    """Something to be done where a call is, named by either id of it. Answered by `Result`."""

    kind: Literal["errand"] = "errand"
    name: str
    call_id: str = ""
    call_sid: str = ""
    details: dict[str, str] = {}


class Result(_Body):
    """What came of an errand; None when no process has the call, or it has nothing to say."""

    kind: Literal["result"] = "result"
    value: dict[str, str] | None = None


class Heard(_Body):
    """Twilio has asked about this call, or told that it is over."""

    kind: Literal["heard"] = "heard"
    call_sid: str


class Died(_Body):
    """A process is gone without a farewell; its calls can be closed."""

    kind: Literal["died"] = "died"
    instance: str


class Follow(_Body):
    """Somebody follows the events of this call, or no longer does."""

    kind: Literal["follow"] = "follow"
    call_id: str
    is_on: bool = True


class Wrote(_Body):
    """New rows of these calls are in the database; only calls that are followed are named."""

    kind: Literal["wrote"] = "wrote"
    call_ids: list[str]


class ReadMetrics(_Body):
    """Asked by a process: the metrics of all; asked by the supervisor: those of this one."""

    kind: Literal["read_metrics"] = "read_metrics"


class Metrics(_Body):
    """Metrics, as `telemetry.merging` has them."""

    kind: Literal["metrics"] = "metrics"
    families: list[dict[str, Any]]


class AskOpen(_Body):
    """Does any process take new calls?"""

    kind: Literal["ask_open"] = "ask_open"


class IsOpen(_Body):
    """A server that is full is open: it says busy."""

    kind: Literal["is_open"] = "is_open"
    value: bool


Body = (
    Begin
    | Go
    | CannotBegin
    | Up
    | State
    | Stop
    | Leaving
    | Done
    | Order
    | Placed
    | Admit
    | Took
    | Freed
    | GiveUp
    | Errand
    | Result
    | Room
    | Heard
    | Died
    | Follow
    | Wrote
    | ReadMetrics
    | Metrics
    | AskOpen
    | IsOpen
)


class Envelope(_Body):
    """A message. One with an `ask` wants an answer, which carries the same number as `answers`."""

    body: Annotated[Body, Field(discriminator="kind")]
    ask: int | None = None
    answers: int | None = None


def encode(envelope: Envelope) -> bytes:
    """Return the line, with its end."""
    return envelope.model_dump_json(exclude_none=True).encode() + b"\n"


class Decoder:
    """Cuts what comes in into messages, however it is cut itself. A last line that has no end yet is kept."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def has_rest(self) -> bool:
        """Whether a message has begun and not ended: its sender may have died in the middle of it."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[Envelope]:
        """Return the messages that are whole now. Raises `BadMessage`; nothing after that can be relied on."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MOST_BYTES:
            raise BadMessage(BadMessage.__doc__)
        return [_decode(line) for line in lines]


def _decode(line: bytes) -> Envelope:
    try:
        return Envelope.model_validate_json(line)
    except ValidationError as error:
        # What it says may hold secrets: only where it went wrong is told.
        raise BadMessage(f"no message of ours: {error.errors(include_input=False)[0]['type']}") from None
