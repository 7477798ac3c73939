"""Which call a request is about: noted by whoever finds its row, read once the request was answered."""

from contextvars import ContextVar, Token
from dataclasses import dataclass


@dataclass
class RequestNote:
    """What was found out about a request while it was served."""

    call_id: str | None = None


_NOTE: ContextVar[RequestNote | None] = ContextVar("request_note", default=None)


def begin_note() -> tuple[RequestNote, Token[RequestNote | None]]:
    """Begin a request; give the second to `end_note`."""
    note = RequestNote()
    return note, _NOTE.set(note)


def end_note(token: Token[RequestNote | None]) -> None:
    """The request was served."""
    _NOTE.reset(token)


def note_call(call_id: str) -> None:
    """The request that is served, if any, is about this call."""
    note = _NOTE.get()
    if note is not None:
        note.call_id = call_id
