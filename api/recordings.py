"""`/v1/calls/{call_id}/recording`: what was heard on a call, as one WAV file, whole or in ranges."""

from collections.abc import AsyncGenerator
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse
from loguru import logger

from api.api_keys import needs
from api.byte_ranges import FileState, is_unchanged, wanted_bytes
from api.deps import Services, ServicesDep
from api.errors import PARTIAL, UNCHANGED, WHOLE, NoRecording, NotThatFar, RecordingGoesOn
from api.patience import database_in_time
from api.problems import problems
from api.shapes import CallId
from calling.errors import NoSuchCall
from storage.envelope import SealingError
from transcripts.call import CallStatus, Speaker
from transcripts.models import CallRow
from transcripts.recording_reader import WavFile

router = APIRouter(prefix="/v1/calls", tags=["recordings"])

_PIECE_BYTES = 256 * 1024
_WAV = "audio/wav"
MayHear = Annotated[str, Depends(needs("recordings:read", takes_query=True))]
Channel = Annotated[
    Literal["caller", "agent"] | None,
    Query(description="Only this side, mono; left out: stereo, the caller left and the agent right."),
]
_ASKED_WITH = {
    "Range": ("One range of bytes; several are answered with the whole file.", "bytes=0-1023"),
    "If-Range": (
        "An `ETag`: the range of that file only, else the whole of this one.",
        '"3f0b6c9a51d24e7e-both-437996"',
    ),
    "If-None-Match": ("An `ETag`: nothing, when that file is still the one.", '"3f0b6c9a51d24e7e-both-437996"'),
}
_HEADERS_READ = [
    {
        "name": name,
        "in": "header",
        "required": False,
        "description": told,
        "schema": {"type": "string", "examples": [one]},
    }
    for name, (told, one) in _ASKED_WITH.items()
]
_FILE = {"content": {_WAV: {"schema": {"type": "string", "format": "binary"}}}}


@router.get(
    "/{call_id}/recording",
    response_class=Response,
    responses={
        WHOLE: {"description": "The whole file.", **_FILE},
        PARTIAL: {"description": "The bytes that were asked for with `Range`.", **_FILE},
        UNCHANGED: {"description": "The file is still the one of `If-None-Match`."},
        **problems(404, 409, 416),
    },
    openapi_extra={"parameters": _HEADERS_READ},
)
async def hear_recording(
    call_id: CallId, request: Request, services: ServicesDep, asked_by: MayHear, channel: Channel = None
) -> Response:
    """Answer the recording of a call that is over, as a WAV file; `Range` and `If-Range` are understood.

    HEAD tells of the file without its sound.

    Every access is in the audit log, as `recordings.read`, or as `recordings.look` when no sound was told.
    Several ranges at once are answered with the whole file.
    """
    row, wav = await _open(services, call_id, channel)
    file = _state(row, wav, channel)
    headers = _headers(file, call_id)
    if is_unchanged(file, request.headers.get("if-none-match")):
        await _note_look(services, asked_by, call_id, request, channel)
        return Response(status_code=UNCHANGED, headers=headers)
    try:
        wanted = wanted_bytes(file, request.headers.get("range"), request.headers.get("if-range"))
    except NotThatFar:
        await _note_look(services, asked_by, call_id, request, channel)  # the answer says how long it is
        raise
    start, stop = wanted or (0, file.size)
    # What cannot be read is known before anything is promised, and nobody hears a word that is not in the audit log.
    first = await services.recordings.in_thread(wav.read, start, min(start + _PIECE_BYTES, stop))
    detail = {"channel": channel or "both", "bytes": f"{start}-{stop - 1}/{file.size}"}
    await services.audit.note(asked_by, "recordings.read", "call", call_id, request=request, detail=detail)
    headers["Content-Length"] = str(stop - start)
    if wanted is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
    pieces = _pieces(services, call_id, wav, channel, first, start, stop)
    return StreamingResponse(pieces, WHOLE if wanted is None else PARTIAL, headers, media_type=_WAV)


@router.head("/{call_id}/recording", include_in_schema=False)
async def look(
    call_id: CallId, request: Request, services: ServicesDep, asked_by: MayHear, channel: Channel = None
) -> Response:
    """Tell of the file what `GET` would, without it: that it is there, and how long somebody spoke."""
    row, wav = await _open(services, call_id, channel)
    file = _state(row, wav, channel)
    await _note_look(services, asked_by, call_id, request, channel)
    return Response(headers={**_headers(file, call_id), "Content-Length": str(file.size)}, media_type=_WAV)


async def _note_look(services: Services, asked_by: str, call_id: str, request: Request, channel: str | None) -> None:
    detail = {"channel": channel or "both"}
    await services.audit.note(asked_by, "recordings.look", "call", call_id, request=request, detail=detail)


async def _open(services: Services, call_id: str, channel: str | None) -> tuple[CallRow, WavFile]:
    async with database_in_time():
        row = await services.store.get_call(call_id)
    if row is None:
        raise NoSuchCall
    if row.status != CallStatus.ENDED:
        raise RecordingGoesOn
    try:
        return row, await _wav_of(services, call_id, channel)
    except FileNotFoundError:
        raise NoRecording from None


async def _wav_of(services: Services, call_id: str, channel: str | None) -> WavFile:
    reader = await services.recordings.in_thread(services.recordings.open, call_id)
    return WavFile(reader, None if channel is None else Speaker(channel))


def _state(row: CallRow, wav: WavFile, channel: str | None) -> FileState:
    # Once a call is over its recording never changes: its size is enough to tell two of them apart.
    tag = f'"{row.call_id}-{channel or "both"}-{wav.bytes_count}"'
    return FileState(wav.bytes_count, tag, row.ended_at or row.created_at)


def _headers(file: FileState, call_id: str) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "ETag": file.tag,
        "Last-Modified": file.last_modified,
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'attachment; filename="call-{call_id}.wav"',
        "X-Content-Type-Options": "nosniff",
    }


async def _pieces(
    services: Services, call_id: str, wav: WavFile, channel: str | None, first: bytes, start: int, stop: int
) -> AsyncGenerator[bytes]:
    """Yield the bytes [start, stop), of which `first` has been read; no more than a piece is held."""
    piece, at = first, start
    while True:
        yield piece
        at += len(piece)
        if at >= stop:
            return
        try:
            end = min(at + _PIECE_BYTES, stop)
            try:
                piece = await services.recordings.in_thread(wav.read, at, end)
            except FileNotFoundError:
                # It has gone into the bucket meanwhile, the same to the byte.
                wav = await _wav_of(services, call_id, channel)
                piece = await services.recordings.in_thread(wav.read, at, end)
        except (SealingError, OSError) as error:
            logger.bind(call_id=call_id, problem=type(error).__name__).error("a recording could not be read to its end")
            raise
