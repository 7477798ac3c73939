"""docs/api.md: every request of it is sent as it stands, and answered as it says."""

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from sqlmodel import col, update

from calling.request import read_request
from tests.unit.api.test_calls import key
from tests.unit.api.wire import Line
from transcripts.call import Call, CallEvent, Direction, EndReason, Speaker, Turn
from transcripts.models import CallRow

PAGE = Path(__file__).parents[3] / "docs" / "api.md"
CALL_ID = "3f0b6c9a51d24e7e"
BEGAN = datetime(2026, 3, 1, 9, tzinfo=UTC)


def commands() -> list[tuple[list[str], str | None, Any]]:
    """Each curl as its words, with the status and the part of the answer that the page shows, if it shows one."""
    found: list[tuple[list[str], str | None, Any]] = []
    for block in re.findall(r"^```\n(curl .*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for text in re.split(r"^(?=curl )", block.replace("\\\n", ""), flags=re.MULTILINE):
            if not text.strip():
                continue
            shown = re.search(r"^# (\d{3})(?: (.*))?$", text, re.MULTILINE)
            words = shlex.split(text.split("\n#", 1)[0])
            told = json.loads(shown[2]) if shown and shown[2] else None
            found.append((words, shown[1] if shown else None, told))
    return found


def holds(answer: Any, shown: Any) -> bool:
    """Whether an answer has all that the page shows of it."""
    if isinstance(shown, dict):
        return all(name in answer and holds(answer[name], inner) for name, inner in cast(dict[str, Any], shown).items())
    if isinstance(shown, list):
        items = cast(list[Any], shown)
        return len(answer) == len(items) and all(holds(one, inner) for one, inner in zip(answer, items, strict=True))
    return bool(answer == shown)


async def remember(line: Line) -> None:
    """Write down the call that the page speaks of, begun and over at once, so that no sweep finds it open."""
    services = line.server.services
    now = datetime.now(UTC)
    call = Call(CALL_ID, None, "front-desk", Direction.INBOUND, "+15557654321", "+15551230100", {}, now)
    await services.store.open_call(call)
    await services.store.go_live(CALL_ID, owner=services.instance)
    await services.store.add_turn(CALL_ID, 0, Turn(Speaker.AGENT, "Good morning.", 600, 1500))
    told = [CallEvent("latency.first_word", 600, {"ms": 600}), CallEvent("latency.reply", 4000, {"ms": 800})]
    await services.store.add_events(CALL_ID, 0, told)
    await services.store.finish_call(CALL_ID, EndReason.CALLER_HUNG_UP)
    moments = {"created_at": BEGAN, "live_at": BEGAN, "ended_at": BEGAN + timedelta(seconds=90)}
    async with services.database.writer() as session:
        await session.exec(update(CallRow).where(col(CallRow.call_id) == CALL_ID).values(**moments))


async def test_every_request_is_answered_as_the_page_says(line: Line) -> None:
    await remember(line)
    token = await key(line, "calls:read", "usage:read")
    asked = commands()
    assert len(asked) == 7
    for words, status, shown in asked:
        url = urlsplit(next(word for word in words if word.startswith("http://127.0.0.1:7860")))
        headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
        if status is None:  # the one that would dial
            wanted = read_request(words[words.index("-d") + 1].encode())
            assert wanted.agent == "front-desk"
            continue
        path = f"{url.path}?{url.query}" if url.query else url.path
        answer = await line.http.get(path, headers=headers | token)
        assert answer.status_code == int(status), (words, answer.text)
        if shown is None:
            assert "event: end" in answer.text
        else:
            assert holds(answer.json(), shown), (shown, answer.json())
