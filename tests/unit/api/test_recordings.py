"""`/v1/calls/{call_id}/recording`: whole, in ranges, one side of it, by whom, and what is not there."""

import io
import wave
from typing import Any

import numpy as np
import pytest

from storage.audit import AuditFilter
from tests.unit.api.test_calls import key, problem
from tests.unit.api.wire import Line
from transcripts.call import CallStatus, EndReason, Speaker

RATE_HZ = 8000
SECS = 9


def ramp(first: int) -> bytes:
    return ((np.arange(SECS * RATE_HZ) % 20_000) + first).astype("<i2").tobytes()


async def recorded(line: Line, *, is_over: bool = True) -> str:
    """A call of nine seconds, the caller and the agent each saying something of their own."""
    services, given = line.server.services, await line.ring()
    call_id = given["call_id"]
    await services.store.go_live(call_id)
    writer = services.recordings.writer(call_id, RATE_HZ)
    writer.add(Speaker.CALLER, 0, ramp(1))
    writer.add(Speaker.AGENT, 0, ramp(-30_000))
    await writer.close()
    if is_over:
        await services.store.finish_call(call_id, EndReason.CALLER_HUNG_UP)
    return call_id


def stereo() -> bytes:
    sides = [np.frombuffer(ramp(first), dtype="<i2") for first in (1, -30_000)]
    return np.stack(sides, axis=1).tobytes()


async def test_it_is_a_wav_file_whole_and_in_ranges(line: Line) -> None:
    call_id, reader = await recorded(line), await key(line, "recordings:read")
    path = f"/v1/calls/{call_id}/recording"
    whole = await line.http.get(path, headers=reader)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/wav")
    with wave.open(io.BytesIO(whole.content)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, RATE_HZ, SECS * RATE_HZ)
        assert file.readframes(SECS * RATE_HZ) == stereo()
    assert (whole.headers["cache-control"], whole.headers["accept-ranges"]) == ("private, no-store", "bytes")
    assert whole.headers["content-disposition"] == f'attachment; filename="call-{call_id}.wav"'
    size = len(whole.content)
    for asked, start, stop in (
        ("bytes=0-", 0, size),
        ("bytes=40-50", 40, 51),
        ("bytes=64043-64044", 64_043, 64_045),
        ("bytes=100000-", 100_000, size),
        ("bytes=-7", size - 7, size),
    ):
        part = await line.http.get(path, headers={**reader, "Range": asked})
        assert (part.status_code, part.content) == (206, whole.content[start:stop])
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        assert part.headers["content-length"] == str(stop - start)
    beyond = await line.http.get(path, headers={**reader, "Range": f"bytes={size}-"})
    problem(beyond, 416)
    assert beyond.headers["content-range"] == f"bytes */{size}"
    tag = whole.headers["etag"]
    again = await line.http.get(path, headers={**reader, "Range": "bytes=1-2", "If-Range": tag})
    assert (again.status_code, again.content) == (206, whole.content[1:3])
    changed = await line.http.get(path, headers={**reader, "Range": "bytes=1-2", "If-Range": '"x"'})
    assert (changed.status_code, changed.content) == (200, whole.content)
    assert (await line.http.get(path, headers={**reader, "If-None-Match": tag})).status_code == 304
    head = await line.http.head(path, headers=reader)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(size), b"")
    assert (head.headers["etag"], head.headers["accept-ranges"]) == (tag, "bytes")


async def test_one_side_of_it_is_mono(line: Line) -> None:
    call_id, reader = await recorded(line), await key(line, "recordings:read")
    for channel, first in (("caller", 1), ("agent", -30_000)):
        path = f"/v1/calls/{call_id}/recording?channel={channel}"
        answer = await line.http.get(path, headers=reader)
        with wave.open(io.BytesIO(answer.content)) as file:
            assert (file.getnchannels(), file.readframes(SECS * RATE_HZ)) == (1, ramp(first))
        part = await line.http.get(path, headers={**reader, "Range": "bytes=31999-32100"})
        assert part.content == answer.content[31_999:32_101]
    problem(await line.http.get(f"/v1/calls/{call_id}/recording?channel=both", headers=reader), 422)


async def test_who_heard_what_is_written_down_before_a_word_is_heard(line: Line, monkeypatch: Any) -> None:
    call_id, reader = await recorded(line), await key(line, "recordings:read")
    path = f"/v1/calls/{call_id}/recording"
    await line.http.get(path, headers={**reader, "Range": "bytes=0-9"})
    await line.http.get(f"{path}?channel=agent", headers=reader)
    head = await line.http.head(f"{path}?channel=caller", headers=reader)
    unchanged = await line.http.get(path, headers={**reader, "If-None-Match": "*"})
    beyond = await line.http.get(path, headers={**reader, "Range": "bytes=999999999-"})
    assert [answer.status_code for answer in (head, unchanged, beyond)] == [200, 304, 416]
    audit = line.server.services.audit
    looks = await audit.entries(AuditFilter(action="recordings.look"), 10)
    assert [(entry.subject_id, entry.detail) for entry in reversed(looks)] == [
        (call_id, {"channel": side}) for side in ("caller", "both", "both")
    ]
    entries = await audit.entries(AuditFilter(action="recordings.read"), 10)
    assert [(entry.subject_id, entry.detail["channel"]) for entry in entries] == [(call_id, "agent"), (call_id, "both")]
    assert entries[1].detail["bytes"].startswith("0-9/")
    assert entries[0].actor_id == reader["Authorization"].split("_")[1]

    async def refuse(*_: Any, **_more: Any) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr(type(line.server.services.audit), "note", refuse)
    answer = await line.http.get(path, headers=reader)
    assert (answer.status_code, b"RIFF" in answer.content) == (500, False)
    answer = await line.http.head(path, headers=reader)
    assert (answer.status_code, "etag" in answer.headers) == (500, False)


async def test_a_call_that_goes_on_or_was_not_recorded(line: Line) -> None:
    reader = await key(line, "recordings:read")
    problem(await line.http.get("/v1/calls/nobody/recording", headers=reader), 404)
    call_id = await recorded(line, is_over=False)
    path = f"/v1/calls/{call_id}/recording"
    assert problem(await line.http.get(path, headers=reader), 409)["error"] == "recording_goes_on"
    services = line.server.services
    await services.store.finish_call(call_id, EndReason.CALLER_HUNG_UP)
    assert (await line.http.get(path, headers=reader)).status_code == 200
    await services.recordings.in_thread(services.recordings.delete, call_id)
    assert problem(await line.http.get(path, headers=reader), 404)["error"] == "no_recording"
    assert (await line.row()).status == CallStatus.ENDED


@pytest.mark.parametrize("scopes", [("calls:read",), ("calls:write", "agents:read", "audit:read")])
async def test_other_scopes_hear_nothing(line: Line, scopes: tuple[str, ...]) -> None:
    call_id = await recorded(line)
    for method in ("GET", "HEAD"):
        path = f"/v1/calls/{call_id}/recording"
        assert (await line.http.request(method, path)).status_code == 401
        assert (await line.http.request(method, path, headers=await key(line, *scopes))).status_code == 403


async def test_a_part_that_was_changed_is_not_heard_and_a_missing_key_is_named(line: Line) -> None:
    call_id, reader = await recorded(line), await key(line, "recordings:read")
    recordings, path = line.server.services.recordings, f"/v1/calls/{call_id}/recording"
    segment = recordings.folder / call_id / "000000.sealed"
    sound = segment.read_bytes()
    segment.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    answer = problem(await line.http.get(path, headers=reader), 500)
    assert (answer["error"], answer["cure"]) == ("seal_broken", "Restore it from a backup.")
    later = await line.http.get(path, headers={**reader, "Range": "bytes=70000-70009"})
    assert later.content == stereo()[70_000 - 44 : 70_010 - 44]
    sealed_by_another = recordings.folder / call_id / "key"
    content = sealed_by_another.read_bytes()
    sealed_by_another.write_bytes(content[:2] + b"x" * content[1] + content[2 + content[1] :])
    answer = problem(await line.http.get(path, headers=reader), 503)
    assert answer["error"] == "sealing_key_missing"


async def test_a_token_in_the_address_opens_one_recording_for_an_audio_element(line: Line) -> None:
    call_id, reader = await recorded(line), await key(line, "recordings:read")
    path, scopes = f"/v1/calls/{call_id}/recording", ["recordings:read"]

    async def ask(**body: Any) -> int:
        made = (await line.http.post("/v1/tokens", headers=reader, json={"scopes": scopes, **body})).json()
        return (await line.http.get(f"{path}?token={made['token']}&channel=agent")).status_code

    assert await ask(call_id=call_id) == 200
    assert await ask() == 200
    assert await ask(call_id="c2") == 403
    assert (await line.http.get(f"{path}?token={reader['Authorization'].split()[1]}")).status_code == 401
    entries = await line.server.services.audit.entries(AuditFilter(action="recordings.read"), 10)
    assert [entry.actor_kind for entry in entries] == ["token", "token"]
