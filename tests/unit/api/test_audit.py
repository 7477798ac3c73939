"""`/v1/audit`: pages, filters, and an address that nobody can read out of it."""

from datetime import UTC, datetime

from starlette.requests import HTTPConnection

from api.asking import Asked
from storage.audit import Actor, ActorKind
from tests.unit.api.test_calls import key, problem
from tests.unit.api.wire import Line


def request_from(address: str) -> HTTPConnection:
    connection = HTTPConnection({"type": "http", "client": (address, 1), "headers": [], "state": {}})
    connection.state.asked = Asked(Actor(ActorKind.TOKEN, "k1", "t1"), frozenset())
    return connection


async def test_what_was_done_is_listed_in_pages_and_found_by_filters(line: Line) -> None:
    audit = line.server.services.audit
    for number in range(5):
        await audit.note("k1", "agents.publish", "agent", f"a{number}", detail={"version": number})
    await audit.note("", "calls.place", "call", "c1", request=request_from("203.0.113.9"))
    reader = await key(line, "audit:read")

    async def ask(query: str) -> dict[str, object]:
        answer = await line.http.get(f"/v1/audit{query}", headers=reader)
        assert answer.status_code == 200, answer.text
        assert "203.0.113.9" not in answer.text
        told: dict[str, object] = answer.json()
        return told

    seen: list[str] = []
    cursor = ""
    while True:
        page = await ask(f"?limit=4{cursor}")
        seen += [entry["subject_id"] for entry in page["entries"]]  # pyright: ignore
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ["c1", "a4", "a3", "a2", "a1", "a0"]
    (entry,) = (await ask("?address=203.0.113.9"))["entries"]  # pyright: ignore
    assert (entry["actor_kind"], entry["actor_id"], entry["token_id"]) == ("token", "k1", "t1")  # pyright: ignore
    assert len((await ask("?action=agents.publish&actor_id=k1&since=2020-01-01T00:00:00Z"))["entries"]) == 5  # pyright: ignore
    assert (await ask(f"?until={datetime(2020, 1, 1, tzinfo=UTC):%Y-%m-%dT%H:%M:%SZ}"))["entries"] == []


async def test_bad_questions_are_refused_and_nothing_is_changed(line: Line) -> None:
    reader = await key(line, "audit:read")
    for query in ("?limit=0", "?limit=201", "?cursor=x", "?cursor=0", "?since=yesterday", "?since=2026-01-01T00:00:00",
                  "?action=%00", f"?action={'x' * 301}", "?cursor=99999999999999999999"):  # fmt: skip
        problem(await line.http.get(f"/v1/audit{query}", headers=reader), 422)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert (await line.http.request(method, "/v1/audit", headers=reader)).status_code == 405
