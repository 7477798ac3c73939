"""`/v1/people` and `/v1/do-not-call`: who may ask, what is answered, and what the audit log has of it."""

import io
import json
from datetime import UTC, datetime
from zipfile import ZipFile

import httpx
import pytest

from storage.audit import AuditFilter
from tests.unit.api.test_calls import key, problem
from tests.unit.api.wire import Line
from transcripts.call import Call, Consent, ConsentAnswer, ConsentGivenBy, Direction, EndReason
from transcripts.entries import ConsentEntry

ANN, PATH = "+15551230177", "%2B15551230177"
NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
BAD_NUMBERS = (
    "15551230177",
    "%2B",
    "%2B0123456789",
    "%2B1555123017x",
    "%2B" + "9" * 40,
    "%00",
    "%2B1555%0a123017",
    "%ED%A0%80",
)


async def _add_call(line: Line, call_id: str, *, is_over: bool = True) -> None:
    store = line.server.services.store
    await store.open_call(Call(call_id, None, "front-desk", Direction.INBOUND, ANN, "+15551230100", {}, NOW))
    await store.go_live(call_id)
    consent = Consent("front-desk", ANN, "May we?", "en-US", ConsentAnswer.YES, ConsentGivenBy.KEY, NOW)
    await store.add_entries([ConsentEntry(call_id, consent)])
    if is_over:
        await store.finish_call(call_id, EndReason.CALLER_HUNG_UP)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/do-not-call", "people:read"),
        ("GET", f"/v1/do-not-call/{PATH}", "people:read"),
        ("PUT", f"/v1/do-not-call/{PATH}", "people:write"),
        ("DELETE", f"/v1/do-not-call/{PATH}", "people:write"),
        ("GET", f"/v1/people/{PATH}/export", "people:read"),
        ("GET", f"/v1/people/{PATH}/consents", "people:read"),
        ("DELETE", f"/v1/people/{PATH}", "people:write"),
    ],
)
async def test_each_route_wants_its_scope(line: Line, method: str, path: str, scope: str) -> None:
    problem(await line.http.request(method, path), 401)
    other = {"people:read", "people:write", "calls:read", "calls:write"} - {scope}
    assert scope in problem(await line.http.request(method, path, headers=await key(line, *other)), 403)["detail"]
    assert (await line.http.request(method, path, headers=await key(line, scope))).status_code in (200, 201, 404)


async def test_a_number_is_entered_shown_listed_and_taken_off(line: Line) -> None:
    both = await key(line, "people:read", "people:write")

    async def ask(method: str, path: str = "") -> httpx.Response:
        return await line.http.request(method, f"/v1/do-not-call{path}", headers=both)

    problem(await ask("GET", f"/{PATH}"), 404)
    made = await ask("PUT", f"/{PATH}")
    assert made.status_code == 201
    entry = made.json()
    assert (entry["number"], entry["source"]) == (ANN, "api")
    assert (await ask("PUT", f"/{PATH}")).status_code == 200
    assert (await ask("GET", f"/{PATH}")).json() == entry
    for number in range(3):
        assert (await ask("PUT", f"/%2B155512302{number:02}")).status_code == 201
    first = (await ask("GET", "?limit=2")).json()
    second = (await ask("GET", f"?limit=2&cursor={first['next_cursor']}")).json()
    assert second["next_cursor"] is None
    numbers = [one["number"] for one in (*first["numbers"], *second["numbers"])]
    assert numbers == ["+15551230202", "+15551230201", "+15551230200", ANN]
    assert (await ask("DELETE", f"/{PATH}")).status_code == 204
    problem(await ask("DELETE", f"/{PATH}"), 404)
    problem(await ask("GET", "?cursor=nonsense"), 422)
    for bad in BAD_NUMBERS:
        for method in ("GET", "PUT", "DELETE"):
            assert (await ask(method, f"/{bad}")).status_code in (404, 422), bad
    entries = await line.server.services.audit.entries(AuditFilter(subject_id=entry["index"]), 9)
    assert [one.action for one in entries] == ["do_not_call.remove", "do_not_call.add"]


async def test_a_person_is_handed_out_and_erased(line: Line) -> None:
    both = await key(line, "people:read", "people:write")
    await _add_call(line, "c1")
    await _add_call(line, "now", is_over=False)
    consents = (await line.http.get(f"/v1/people/{PATH}/consents", headers=both)).json()["consents"]
    assert [(one["answer"], one["given_by"], one["wording"]) for one in consents] == [("yes", "key", "May we?")] * 2
    export = await line.http.get(f"/v1/people/{PATH}/export", headers=both)
    assert export.headers["content-type"] == "application/zip"
    assert export.headers["cache-control"] == "no-store"
    with ZipFile(io.BytesIO(export.content)) as archive:
        assert json.loads(archive.read("index.json"))["counts"]["calls"] == 2
    refused = problem(await line.http.delete(f"/v1/people/{PATH}", headers=both), 409)
    assert (refused["error"], "(now)" in refused["detail"]) == ("call_under_way", True)
    await line.server.services.store.finish_call("now", EndReason.CALLER_HUNG_UP)
    erased = await line.http.delete(f"/v1/people/{PATH}", headers=both)
    assert erased.status_code == 200
    assert erased.json()["erased"]["calls"] == 2
    assert await line.server.services.store.get_call("c1") is None
    entries = await line.server.services.audit.entries(AuditFilter(subject_id=erased.json()["person_hash"]), 9)
    assert [one.action for one in entries] == ["people.erase", "people.export"]
    for bad in BAD_NUMBERS:
        for method, path in (("DELETE", ""), ("GET", "/export"), ("GET", "/consents")):
            answer = await line.http.request(method, f"/v1/people/{bad}{path}", headers=both)
            assert answer.status_code in (404, 405, 422), (bad, path)
