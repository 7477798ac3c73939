"""The worked example of docs/agents-api.md: every request is sent as it stands, and answered as it says."""

import json
import re
import shlex
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from config.settings import Settings
from tests.unit.api.test_calls import key
from tests.unit.api.wire import reachable, serve

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "agents-api.md"


def requests() -> list[tuple[list[str], int, Any]]:
    """Each curl as its words, with the status and the part of the answer that the page shows."""
    found: list[tuple[list[str], int, Any]] = []
    for block in re.findall(r"^```\n(curl .*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for command, status, shown in re.findall(
            r"(curl .*?)\n# (\d{3})(?: ([^\n]*))?$", block, re.MULTILINE | re.DOTALL
        ):
            found.append((shlex.split(command.replace("\\\n", "")), int(status), json.loads(shown) if shown else None))
    return found


def holds(answer: Any, shown: Any) -> bool:
    """Whether an answer has all that the page shows of it."""
    if isinstance(shown, dict):
        return all(name in answer and holds(answer[name], inner) for name, inner in cast(dict[str, Any], shown).items())
    return bool(answer == shown)


async def test_the_worked_example_is_answered_as_the_page_says(settings: Settings) -> None:
    shipped = {"bots_dir": ROOT / "bots", "agents_dir": ROOT / "config" / "agents"}
    async with serve(reachable(settings).model_copy(update=shipped)) as line:
        token = await key(line, "agents:read", "agents:write")
        asked = requests()
        assert len(asked) == 9
        for words, status, shown in asked:
            method = words[words.index("-X") + 1] if "-X" in words else "GET"
            url = next(word for word in words if word.startswith("http://127.0.0.1:7860"))
            headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
            body = next((words[i + 1] for i, word in enumerate(words) if word == "-d"), None)
            parts = urlsplit(url)
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            answer = await line.http.request(method, path, content=body, headers=headers | token)
            assert answer.status_code == status, (words, answer.text)
            if shown is not None:
                told = answer.json()
                problems = cast(list[Any], shown.pop("problems", []))
                assert all(one in told["problems"] for one in problems), told
                assert holds(told, shown), (shown, told)
