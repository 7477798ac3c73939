"""Who comes into the playground, and what its answers tell the browser."""

from dataclasses import replace

import pytest

from config.settings import Settings
from tests.unit.api.wire import PUBLIC_URL, Line, reachable, serve

SECRET = "open sesame ü"
OWN_PAGE = {"Origin": PUBLIC_URL}


async def test_this_machine_comes_in_without_a_secret(open_line: Line) -> None:
    page = await open_line.http.get("/playground")
    assert page.status_code == 200
    assert "Trunkline" in page.text
    agents = (await open_line.http.get("/playground/agents")).json()
    assert agents["has_rooms"] is False
    assert agents["agents"] == [
        {"name": "front-desk", "bot": "quiet", "language": "de-DE", "greeting": "", "is_phone_only": False}
    ]


@pytest.mark.parametrize("path", ["", "/agents", "/playground.css", "/playground.js", "/nothing", "/calls/none"])
async def test_every_answer_tells_the_browser_how_little_it_may_do(open_line: Line, path: str) -> None:
    headers = (await open_line.http.get(f"/playground{path}")).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("page", ["playground.html", "door.html"])
def test_the_pages_hold_no_script_and_load_nothing_from_elsewhere(page: str) -> None:
    from api import playground

    text = (playground._PAGES / page).read_text()  # pyright: ignore[reportPrivateUsage]
    assert "<style" not in text
    assert "style=" not in text
    assert "<script>" not in text
    assert "://" not in text


async def test_without_a_secret_in_the_settings_the_playground_is_off_and_says_so(line: Line) -> None:
    page = await line.http.get("/playground")
    assert page.status_code == 404
    assert "TRUNKLINE_PLAYGROUND_SECRET" in page.text
    assert " hidden>" in page.text  # the form: no secret would open it
    for answer in (
        await line.http.get("/playground/agents"),
        await line.http.post("/playground/door", data={"secret": ""}, headers=OWN_PAGE),
        await line.http.post("/playground/offer", json={"agent": "front-desk", "sdp": "v=0", "type": "offer"}),
    ):
        assert answer.status_code == 404
        assert "TRUNKLINE_PLAYGROUND_SECRET" in answer.json()["error"]


async def test_the_door_opens_for_the_secret_alone(settings: Settings) -> None:
    async with serve(reachable(settings, playground_secret=SECRET)) as line:
        door = await line.http.get("/playground")
        assert door.status_code == 401
        assert 'type="password"' in door.text
        assert "www-authenticate" not in door.headers  # the page asks, not the browser
        assert (await line.http.get("/playground/agents")).status_code == 401

        for wrong in ("", "wrong", SECRET + " ", "<b>"):
            answer = await line.http.post("/playground/door", data={"secret": wrong}, headers=OWN_PAGE)
            assert answer.status_code == 401
            assert "That is not the secret" in answer.text
            assert "set-cookie" not in answer.headers

        answer = await line.http.post("/playground/door", data={"secret": SECRET}, headers=OWN_PAGE)
        assert (answer.status_code, answer.headers["location"]) == (303, "/playground")
        given = answer.headers["set-cookie"]
        for property_ in ("HttpOnly", "SameSite=strict", "Secure", "Path=/playground"):
            assert property_ in given
        assert SECRET not in given

        cookie = {"Cookie": given.partition(";")[0]}
        assert (await line.http.get("/playground", headers=cookie)).status_code == 200
        assert (await line.http.get("/playground/agents", headers=cookie)).status_code == 200
        # The cookie is the playground's; it opens nothing else.
        assert (await line.http.get("/metrics", headers=cookie)).status_code == 401


async def test_a_cookie_is_no_good_when_forged_old_or_of_another_secret(settings: Settings) -> None:
    async with serve(reachable(settings, playground_secret=SECRET)) as line:
        answer = await line.http.post("/playground/door", data={"secret": SECRET}, headers=OWN_PAGE)
        name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
        expires, _, signature = value.partition(".")
        for forged in (
            f"{int(expires) + 1}.{signature}",
            f"{expires}.{signature[:-1]}x",
            f"{expires}.",
            expires,
            ".",
            f"{'9' * 5000}.{signature}",
        ):
            refused = await line.http.get("/playground/agents", headers={"Cookie": f"{name}={forged}"})
            assert refused.status_code == 401
        line.server.app.state.services = replace(line.server.services, now=lambda: int(expires))
        assert (await line.http.get("/playground/agents", headers={"Cookie": f"{name}={value}"})).status_code == 401
    async with serve(reachable(settings, playground_secret="another")) as line:
        assert (await line.http.get("/playground/agents", headers={"Cookie": f"{name}={value}"})).status_code == 401


async def test_a_program_may_show_the_secret_as_a_bearer_token(settings: Settings) -> None:
    async with serve(reachable(settings, playground_secret="plain")) as line:
        good, bad = ({"Authorization": f"Bearer {secret}"} for secret in ("plain", "wrong"))
        assert (await line.http.get("/playground/agents", headers=good)).status_code == 200
        assert (await line.http.get("/playground/agents", headers=bad)).status_code == 401
        assert (await line.http.post("/playground/calls/none/hang-up", headers=good)).status_code == 204


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:1"},  # another program of this machine
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_pages_of_other_sites_post_nothing(open_line: Line, headers: dict[str, str]) -> None:
    for path in ("/playground/offer", "/playground/room", "/playground/calls/none/hang-up", "/playground/door"):
        answer = await open_line.http.post(path, json={}, headers=headers)
        assert answer.status_code == 403
        assert "another site" in answer.json()["error"]


async def test_our_own_page_may_post(open_line: Line) -> None:
    own = {"Origin": open_line.server.base_url, "Sec-Fetch-Site": "same-origin"}
    assert (await open_line.http.post("/playground/calls/none/hang-up", headers=own)).status_code == 204
