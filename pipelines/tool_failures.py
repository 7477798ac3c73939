"""How a tool says that it did not do what it was asked, so that model and caller hear the right thing."""

from enum import StrEnum


class FailureKind(StrEnum):
    """What kind of failure the model is told of."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    NOT_ALLOWED = "not_allowed"
    """Where the request would have gone is not to be asked."""
    HTTP_STATUS = "http_status"
    BAD_ANSWER = "bad_answer"
    TOO_LARGE = "too_large"
    REFUSED = "refused"
    """The other side will not do it."""
    UNAVAILABLE = "unavailable"
    """The other side is not there at the moment."""


class RefusalKind(StrEnum):
    """Why a call of a tool was not carried out, which is no failure of the tool."""

    NOT_FOR_THIS_CALL = "not_for_this_call"
    BAD_ARGUMENTS = "bad_arguments"
    NOT_CONFIRMED = "not_confirmed"
    DECLINED = "declined"
    NOT_POSSIBLE = "not_possible"


class ToolFailed(Exception):
    """The tool failed; the caller hears `phrases.tool_failed`, and the model a short reason."""

    def __init__(self, kind: FailureKind, reason: str) -> None:
        """`reason` is one short sentence without secrets; it goes to the model and into the call's events."""
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class ToolRefused(Exception):
    """The tool was not run; nobody apologises, for the model may do better or ask the caller."""

    def __init__(self, kind: RefusalKind, reason: str, *, say: str | None = None) -> None:
        """`reason` says what to do instead; `say` what is to be said to the caller, if anything."""
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.say = say
