"""`/v1/agents`: versions, publication, who may do what to which agent, and every refusal with its place and cure."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from config.settings import Settings
from storage.stored_agents import Draft
from tests.unit.api.test_calls import key, problem
from tests.unit.api.wire import NUMBER, Line, reachable, serve

CONTENT = {"bot": "quiet", "greeting": "Hello.", "numbers": ["+15551230177"]}
AT = datetime(2026, 3, 1, 9, tzinfo=UTC)


async def create(line: Line, name: str = "shop", publish: Any = True, **content: Any) -> httpx.Response:
    body = {"name": name, "content": CONTENT | content, "publish": publish, "note": "why"}
    return await line.http.post("/v1/agents", json=body)


def greeting_at(line: Line, number: str) -> str | None:
    agent = line.server.services.agents.catalog.by_number(number)
    return None if agent is None else agent.greeting


async def test_an_agent_is_created_changed_published_rolled_back_and_deleted(open_line: Line) -> None:
    http = open_line.http
    made = await create(open_line, publish=False)
    assert (made.status_code, made.headers["location"], made.headers["etag"]) == (201, "/v1/agents/shop", '"1"')
    shown = made.json()
    assert (shown["source"], shown["is_read_only"], shown["is_in_force"]) == ("api", False, False)
    assert (shown["published_version"], shown["latest_version"], shown["content"]) == (None, 1, CONTENT)
    assert greeting_at(open_line, "+15551230177") is None

    assert (await http.post("/v1/agents/shop/versions/1/publish")).json()["published_version"] == 1
    assert greeting_at(open_line, "+15551230177") == "Hello."

    put = {"content": CONTENT | {"greeting": "Two."}, "note": "a second"}
    assert "If-Match is needed" in problem(await http.put("/v1/agents/shop", json=put), 428)["detail"]
    changed = await http.put("/v1/agents/shop", json=put, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"], changed.json()["published_version"]) == (200, '"2"', 1)
    late = problem(await http.put("/v1/agents/shop", json=put, headers={"If-Match": '"1"'}), 412)
    assert (late["error"], "latest version is 2" in late["detail"]) == ("version_moved", True)
    weak = await http.put("/v1/agents/shop", json=put, headers={"If-Match": 'W/"2"'})
    assert weak.status_code == 412
    assert greeting_at(open_line, "+15551230177") == "Hello.", "a version that is not published answers nothing"

    patch = {"content": {"greeting": "Three.", "numbers": None}, "publish": True}
    patched = (await http.patch("/v1/agents/shop", json=patch, headers={"If-Match": '"1", "2"'})).json()
    assert (patched["version"], patched["content"]) == (3, {"bot": "quiet", "greeting": "Three."})
    assert greeting_at(open_line, "+15551230177") is None
    same = await http.patch("/v1/agents/shop", json={"content": {}}, headers={"If-Match": "*"})
    assert same.json()["latest_version"] == 3, "what changes nothing is no version"

    versions = (await http.get("/v1/agents/shop/versions?limit=2")).json()
    assert [(one["number"], one["is_published"]) for one in versions["versions"]] == [(3, True), (2, False)]
    rest = (await http.get(f"/v1/agents/shop/versions?cursor={versions['next_cursor']}")).json()
    assert [one["note"] for one in rest["versions"]] == ["why"]
    assert (await http.get("/v1/agents/shop/versions/2")).json()["content"]["greeting"] == "Two."
    assert (await http.get("/v1/agents/shop?version=2")).headers["etag"] == '"2"'
    assert (await http.get("/v1/agents/shop")).json()["version"] == 3

    told = (await http.get("/v1/agents/shop/diff?from=1&to=published")).json()
    assert told["changes"] == [
        {"path": "greeting", "kind": "changed", "before": "Hello.", "after": "Three."},
        {"path": "numbers", "kind": "removed", "before": ["+15551230177"], "after": None},
    ]
    assert "\n-greeting: Hello.\n" in told["yaml_diff"]
    assert "\n+greeting: Three.\n" in told["yaml_diff"]

    back = (await http.post("/v1/agents/shop/rollback")).json()
    assert (back["published_version"], back["version"]) == (1, 1)
    assert greeting_at(open_line, "+15551230177") == "Hello."
    assert problem(await http.post("/v1/agents/shop/rollback", json={}), 409)["error"] == "nothing_before"
    forth = await http.post("/v1/agents/shop/rollback", json={"to": 2}, headers={"If-Match": '"3"'})
    assert forth.json()["published_version"] == 2

    assert (await http.delete("/v1/agents/shop", headers={"If-Match": '"2"'})).status_code == 412
    assert (await http.delete("/v1/agents/shop")).status_code == 204
    assert greeting_at(open_line, "+15551230177") is None
    for path in ("/v1/agents/shop", "/v1/agents/nobody/versions", "/v1/agents/nobody"):
        assert problem(await http.get(path), 404)["error"] == "no_such_stored_agent"
    assert (await http.get("/v1/agents/shop/versions/1")).status_code == 200, "a call that had it can be explained"
    again = (await create(open_line, publish=False)).json()
    assert again["latest_version"] == 4


async def test_agents_of_files_stand_in_the_list_and_are_read_only(open_line: Line) -> None:
    http = open_line.http
    await create(open_line, "shop")
    await create(open_line, "annex", publish=False, numbers=[])
    listed = (await http.get("/v1/agents")).json()
    assert [(one["name"], one["source"], one["is_in_force"]) for one in listed["agents"]] == [
        ("annex", "api", False), ("front-desk", "yaml", True), ("shop", "api", True),
    ]  # fmt: skip
    names: list[str] = []
    path: str | None = ""
    while path is not None:
        page = (await http.get(f"/v1/agents?limit=1{path}")).json()
        names += [one["name"] for one in page["agents"]]
        path = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None
    assert names == ["annex", "front-desk", "shop"]
    for query, expected in [
        ("source=yaml", ["front-desk"]), ("source=api&published=true", ["shop"]), ("published=false", ["annex"]),
        ("prefix=s", ["shop"]), ("number=%2B15551230177", ["shop"]), (f"number=%2B{NUMBER[1:]}", ["front-desk"]),
    ]:  # fmt: skip
        page = (await http.get(f"/v1/agents?{query}")).json()
        assert [one["name"] for one in page["agents"]] == expected, query
    shown = (await http.get("/v1/agents/front-desk")).json()
    assert (shown["is_read_only"], shown["content"]["numbers"], "bot: quiet\n" in shown["yaml"]) == (
        True,
        [NUMBER],
        True,
    )
    for answer in (
        await create(open_line, "front-desk"),
        await http.put("/v1/agents/front-desk", json={"content": CONTENT}, headers={"If-Match": "*"}),
        await http.patch("/v1/agents/front-desk", json={"content": {}}, headers={"If-Match": "*"}),
        await http.post("/v1/agents/front-desk/rollback", json={}),
        await http.post("/v1/agents/front-desk/versions/1/publish"),
        await http.delete("/v1/agents/front-desk"),
    ):
        told = problem(answer, 409)
        assert (told["error"], told["cure"]) == ("read_only_agent", "Edit front-desk.yaml on the server.")


async def test_a_file_that_comes_later_goes_before_a_stored_agent_and_the_list_says_so(open_line: Line) -> None:
    http, folder = open_line.http, open_line.server.settings.agents_dir
    await create(open_line, "shop", numbers=["+15551230177", "+15551230178"])
    await asyncio.to_thread((folder / "other.yaml").write_text, 'bot: quiet\nnumbers: ["+15551230178"]\n')
    [shop] = (await http.get("/v1/agents?prefix=shop")).json()["agents"]
    assert shop["numbers"] == ["+15551230177"], "a number that a file claims is the file's"
    assert shop["problems"][0]["problem"] == "+15551230178 is answered by the agent of a file"
    await asyncio.to_thread((folder / "shop.yaml").write_text, "bot: quiet\ngreeting: From a file.\n")
    [shop] = (await http.get("/v1/agents?prefix=shop")).json()["agents"]
    assert (shop["source"], shop["is_read_only"]) == ("yaml", True)
    assert shop["problems"][0]["problem"].startswith("a stored agent of this name is out of force")
    assert problem(await http.delete("/v1/agents/shop"), 409)["error"] == "read_only_agent"
    assert greeting_at(open_line, "+15551230177") is None
    await asyncio.to_thread((folder / "shop.yaml").unlink)
    [shop] = (await http.get("/v1/agents?prefix=shop")).json()["agents"]
    assert (shop["source"], shop["problems"][0]["where"]) == ("api", "numbers")
    assert greeting_at(open_line, "+15551230177") == "Hello."


HTTP_TOOL = {"describe": "x", "http": {"url": "https://shop.example.com/orders", "headers": {"X-Key": "{secret:SHOP}"}}}
STDIO = {"mcp": {"command": "/bin/sh"}}
REFUSED: list[tuple[dict[str, Any], str, str, str]] = [
    ({"pipeline": ["transport.input", "os.system", "transport.output"]}, "pipeline[1]",
     "a class of Python's is not accepted over the API", "Name one of transport.input"),
    ({"on_failure": [{"pipeline": ["transport.input", "a.B", "transport.output"]}]}, "on_failure[0].pipeline[1]",
     "a class of Python's is not accepted over the API", "Name one of transport.input"),
    ({"tools": [{"crm": STDIO}]}, "tools[0].crm.mcp.command",
     "a program to start is not accepted over the API", "Give the url of a server that speaks MCP over HTTP"),
    ({"listening": {"ambient": {"sound": "/etc/x.wav"}}}, "listening.ambient.sound",
     "a file of the server's is not accepted over the API", "Name one of office, cafe, none"),
    ({"transfers": {"a": {"to": "+15551230188", "describe": "x", "hold": "x.wav"}}}, "transfers.a.hold",
     "a file of the server's is not accepted over the API", "Write music, silence, talk or a sentence"),
    ({"outbound": {"machine": {"do": "leave_message", "message_file": "x.wav"}}}, "outbound.machine.message_file",
     "a file of the server's is not accepted over the API", "Write the sentence under message"),
    ({"outbound": {"allow_premium": True}}, "outbound.allow_premium",
     "costly numbers cannot be allowed over the API", "Remove it"),
    ({"on_failure": [{"transfer": "+19005550123"}]}, "on_failure[0].transfer",
     "+19005550123 is a premium-rate, shared-cost or satellite number", "Name another one"),
    ({"transfers": {"a": {"to": [{"address": "+19005550123"}], "describe": "x"}}}, "transfers.a.to[0]",
     "+19005550123 is a premium-rate, shared-cost or satellite number", "Name another one"),
    ({"bot": "quit"}, "bot", "there is no bot 'quit'", "Did you mean 'quiet'?"),
    ({"tools": [{"find": HTTP_TOOL}]}, "tools[0].find.http.headers",
     "the secret SHOP is not granted to this agent for shop.example.com",
     "Have the operator run: cli.py agents grant-secret shop SHOP --host shop.example.com"),
    ({"tools": [{"find": {"describe": "x", "http": {"url": "https://169.254.169.254/"}}}]}, "tools[0].find.http.url",
     "169.254.169.254", "TRUNKLINE_TOOL_PRIVATE_HOSTS"),
    ({"tools": [{"crm": {"mcp": {"url": "http://localhost:1/mcp"}}}]}, "tools[0].crm.mcp.url",
     "localhost", "TRUNKLINE_TOOL_PRIVATE_HOSTS"),
    ({"webhooks": [{"url": "https://10.0.0.1/x"}]}, "webhooks[0].url", "10.0.0.1", "TRUNKLINE_TOOL_PRIVATE_HOSTS"),
    ({"webhooks": [{"url": "https://a.example.com/x", "secret": {"secret": "SHOP"}}]}, "webhooks[0].secret",
     "the secret SHOP is not granted to this agent for a.example.com", "grant-secret shop SHOP --host a.example.com"),
    ({"numbers": [NUMBER]}, "numbers[0]", f"{NUMBER} is answered by front-desk already", "Choose another number"),
    ({"handoff": {"to": {"nobody": "x"}}}, "handoff.to.nobody", "there is no agent 'nobody'", "Agents are front-desk."),
    ({"outbound": {"ring_secs": "30"}}, "outbound.ring_secs", "must be a whole number (got '30')", "Write it without"),
    ({"instructions": "x" * 32_001}, "instructions", "has 32001 characters, more than 32000", "Shorten it"),
    ({"greeting": "{nme}"}, "greeting", "unknown variable {nme}", "add nme under variables"),
    ({"name": "shop"}, "name", "is not a part of the content", "Give it beside the content"),
]  # fmt: skip


async def test_every_refusal_has_its_place_and_its_cure(open_line: Line) -> None:
    for content, where, what, cure in REFUSED:
        body = {"name": "shop", "content": CONTENT | content}
        told = problem(await open_line.http.post("/v1/agents", json=body), 422)
        assert told["error"] == "bad_agent", content
        assert where in {fault["where"] for fault in told["errors"]}, (content, told)
        assert told["detail"].startswith(f"{where}: "), told
        assert what in told["detail"], told
        assert cure.lower() in told["cure"].lower(), told
        checked = await open_line.http.post("/v1/agents/check", json={"name": "shop", "content": CONTENT | content})
        assert checked.json()["problems"] == told["errors"]
    assert (await open_line.http.get("/v1/agents?source=api")).json()["agents"] == [], "nothing was stored"


async def test_nothing_refused_comes_in_by_a_patch_or_an_older_version(open_line: Line) -> None:
    """Each is held against the whole agent as it would become, and again whenever a version is published."""
    http, store = open_line.http, open_line.server.services.in_force.store
    tools = [
        {"crm": {"mcp": {"url": "https://mcp.example.com/"}}},
        {"find": HTTP_TOOL | {"http": {"url": "https://a.example.com/"}}},
    ]
    one_of_each = [REFUSED[1], REFUSED[2], REFUSED[5], REFUSED[8], REFUSED[10]]
    assert (await create(open_line, tools=[{"end_call": None}])).status_code == 201
    for content, where, what, _ in one_of_each:
        patch = {"content": content, "publish": True}
        told = problem(await http.patch("/v1/agents/shop", json=patch, headers={"If-Match": "*"}), 422)
        assert where in {fault["where"] for fault in told["errors"]}
        assert what in told["detail"]
    # A list is replaced whole by a patch, so what is hidden behind a sound entry is seen as well.
    behind = {"tools": [*tools, {"sh": STDIO}]}
    told = problem(await http.patch("/v1/agents/shop", json={"content": behind}, headers={"If-Match": "*"}), 422)
    assert told["errors"][-1]["where"] == "tools[2].sh.mcp.command"
    assert (await http.get("/v1/agents/shop")).json()["latest_version"] == 1
    # Versions that an earlier, laxer version of the program, or somebody at the database, has let in.
    for number, (content, where, _what, _) in enumerate(one_of_each, start=2):
        draft = Draft(CONTENT | content, "key", AT, "")
        await store.change("shop", draft, expected=None, seen=None)
        for answer in (
            await http.post("/v1/agents/shop/rollback", json={"to": number}),
            await http.post(f"/v1/agents/shop/versions/{number}/publish"),
            await http.patch("/v1/agents/shop", json={"content": {"greeting": "x"}}, headers={"If-Match": "*"}),
        ):
            assert where in {fault["where"] for fault in problem(answer, 422)["errors"]}, content
        # A call that began with it, by whatever way, gets the agent that is published.
        agent = await open_line.server.services.in_force.of_call("shop", number)
        assert agent is not None
        assert agent.origin.version == 1 or not agent.origin.may_send("SHOP", ["shop.example.com"])
    assert greeting_at(open_line, "+15551230177") == "Hello."
    row = await store.find("shop")
    assert row.published == 1


async def test_a_refused_version_that_is_published_all_the_same_answers_no_call(open_line: Line) -> None:
    store = open_line.server.services.in_force.store
    assert (await create(open_line)).status_code == 201
    bad = CONTENT | {"pipeline": ["transport.input", "os.system", "transport.output"], "greeting": "Bad."}
    row = await store.change("shop", Draft(bad, "key", AT, ""), expected=None, seen=None)
    await store.publish("shop", row.latest, expected=None, seen=await store.counter(), at=AT)
    catalog = await open_line.server.services.current_agents()
    agent = catalog.by_number("+15551230177")
    assert agent is not None
    assert (agent.greeting, agent.origin.version) == ("Hello.", 1), "the last good one stays"
    [shop] = (await open_line.http.get("/v1/agents?prefix=shop")).json()["agents"]
    assert "a class of Python's is not accepted over the API" in shop["problems"][0]["problem"]


async def test_a_check_tells_all_problems_and_stores_nothing(open_line: Line) -> None:
    async def check(**body: Any) -> dict[str, Any]:
        answer = await open_line.http.post("/v1/agents/check", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert await check(content=CONTENT) == {"is_ok": True, "problems": []}
    assert await check(yaml='bot: quiet\nnumbers: ["+15551230177"]\n') == {"is_ok": True, "problems": []}
    found = await check(content={"bot": "quiet", "greetin": "x", "numbers": [NUMBER], "limits": {"max_call_secs": 1}})
    assert [fault["where"] for fault in found["problems"]] == ["limits.max_call_secs", "greetin"]
    twice = await check(yaml="bot: quiet\nbot: other\n")
    assert "is given twice" in twice["problems"][0]["problem"]
    for body in ({"content": CONTENT, "yaml": "bot: quiet"}, {}):
        assert (await check(**body))["problems"][0]["cure"] == "give one of them"
    read_only = await check(name="front-desk", content=CONTENT | {"numbers": []})
    assert "is a file's, and read-only here" in read_only["problems"][0]["problem"]


async def test_a_secret_is_granted_to_one_agent_by_its_name_for_its_hosts(settings: Settings) -> None:
    with_secret = settings.model_copy(update={"tool_secrets": {"SHOP": _secret("s3cret-value")}})
    async with serve(with_secret) as line:
        store = line.server.services.in_force.store
        toolbox: dict[str, Any] = {"tools": [{"find": HTTP_TOOL}]}
        # Whether there is a secret of that name is told to nobody who may not send it.
        one, other = (
            await create(line, **toolbox),
            await create(line, **json.loads(json.dumps(toolbox).replace("SHOP", "NONE"))),
        )
        assert one.json()["errors"][0]["problem"].replace("SHOP", "NONE") == other.json()["errors"][0]["problem"]
        await store.grant("shop", "SHOP", ["other.example.com"], at=AT)
        elsewhere = problem(await create(line, **toolbox), 422)
        assert elsewhere["cure"].endswith("shop SHOP --host other.example.com --host shop.example.com.")
        await store.grant("shop", "SHOP", ["shop.example.com"], at=AT)
        assert (await create(line, **toolbox)).status_code == 201
        assert problem(await create(line, "shop-2", **toolbox, numbers=[]), 422)["error"] == "bad_agent"
        agent = line.server.services.agents.catalog.by_name("shop")
        assert agent is not None
        assert agent.origin.may_send("SHOP", ["shop.example.com"])
        await store.withdraw("shop", "SHOP")
        [shop] = (await line.http.get("/v1/agents?prefix=shop")).json()["agents"]
        assert (shop["is_in_force"], "is not granted" in shop["problems"][0]["problem"]) == (True, True)
        agent = line.server.services.agents.catalog.by_name("shop")
        assert agent is not None
        assert not agent.origin.may_send("SHOP", ["shop.example.com"])


def _secret(text: str) -> Any:
    from pydantic import SecretStr

    return SecretStr(text)


async def test_scopes_names_and_bodies(settings: Settings) -> None:
    async with serve(reachable(settings)) as line:
        reader, writer = await key(line, "agents:read"), await key(line, "agents:write")
        assert (await line.http.get("/v1/agents", headers=reader)).status_code == 200
        body = {"name": "shop", "content": CONTENT, "publish": True}
        assert problem(await line.http.post("/v1/agents", json=body, headers=reader), 403)["error"] == "scope_missing"
        assert problem(await line.http.get("/v1/agents", headers=writer), 403)["error"] == "scope_missing"
        assert problem(await line.http.get("/v1/agents"), 401)["error"] == "key_needed"
        made = await line.http.post("/v1/agents", json=body, headers=writer | {"Idempotency-Key": "k1"})
        again = await line.http.post("/v1/agents", json=body, headers=writer | {"Idempotency-Key": "k1"})
        assert (made.status_code, again.status_code, again.json()) == (201, 201, made.json())
        assert problem(await line.http.post("/v1/agents", json=body, headers=writer), 409)["error"] == "name_taken"
        wrongs: list[Any] = [
            {"name": "Shop", "content": CONTENT}, {"name": "shop", "content": []}, {"name": "s", "publish": 1},
            {"name": "s", "content": CONTENT, "colour": 1}, {"name": "s", "content": CONTENT, "note": "x" * 501}, [], 5,
        ]  # fmt: skip
        for wrong in wrongs:
            assert problem(await line.http.post("/v1/agents", json=wrong, headers=writer), 422)
        for path in ("?version=0", "?version=x", "/versions/0", "/versions/99999999999", "/diff", "/diff?from=a"):
            assert problem(await line.http.get(f"/v1/agents/shop{path}", headers=reader), 422)
        for path in ("?version=99", "/versions/99", "/diff?from=1&to=99"):
            assert (
                problem(await line.http.get(f"/v1/agents/shop{path}", headers=reader), 404)["error"]
                == "no_such_version"
            )
        bound = await key(line, "agents:read", "agents:write", agents=["annex"])
        assert (await line.http.get("/v1/agents", headers=bound)).json()["agents"] == []
        for method, path, given in [
            ("GET", "/v1/agents/shop", None), ("POST", "/v1/agents", body | {"name": "other"}),
            ("DELETE", "/v1/agents/shop", None), ("POST", "/v1/agents/check", {"name": "other", "content": CONTENT}),
        ]:  # fmt: skip
            answer = await line.http.request(method, path, json=given, headers=bound)
            assert problem(answer, 403)["error"] == "bound_elsewhere", path
        own = body | {"name": "annex", "content": CONTENT | {"numbers": []}}
        assert (await line.http.post("/v1/agents", json=own, headers=bound)).status_code == 201
        [annex] = (await line.http.get("/v1/agents", headers=bound)).json()["agents"]
        assert annex["name"] == "annex"
        entries = await line.server.services.audit.entries(_every_entry(), 10)
        entry = [one for one in entries if one.action.startswith("agents.")][-1]
        assert (entry.action, entry.subject_id, entry.detail) == (
            "agents.create",
            "shop",
            {"latest": 1, "published": 1},
        )


def _every_entry() -> Any:
    from storage.audit import AuditFilter

    return AuditFilter()


async def test_an_agent_to_whom_calls_are_sent_is_not_deleted(open_line: Line) -> None:
    await create(open_line, "shop")
    await create(open_line, "annex", numbers=[], handoff={"to": {"shop": "for orders"}})
    told = problem(await open_line.http.delete("/v1/agents/shop"), 409)
    assert (told["error"], "handoff.to of annex" in told["detail"]) == ("agent_in_use", True)
    rules = open_line.server.settings.agents_dir / "routing.yaml"
    text = 'routes:\n  - numbers: ["+15551230199"]\n    default: {agent: annex}\n'
    await asyncio.to_thread(rules.write_text, text)
    assert "routing.yaml" in problem(await open_line.http.delete("/v1/agents/annex"), 409)["detail"]


@pytest.mark.parametrize("twice", [False, True])
async def test_two_who_claim_one_number_at_the_same_moment_get_it_once(open_line: Line, twice: bool) -> None:
    names = [f"shop-{number}" for number in range(4)]
    numbers: dict[str, Any] = {} if twice else {"numbers": []}
    answers = await asyncio.gather(*(create(open_line, name, **numbers) for name in names))
    made = [answer.status_code for answer in answers].count(201)
    assert made == (1 if twice else 4)
