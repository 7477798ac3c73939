"""Faults on demand: arms one of the stand-in Gemini that `cli.py run` started, for a call from another process."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from demo.telling import Print
from simulators.faults import FAULTS, Fault, find_fault

_ANSWER_SECS = 5.0
# Without this a proxy of the environment would be asked for an address on this machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NoTrouble(Exception):
    """The fault cannot be made to happen; str() says why and what cures it."""


def ready_file(data_dir: Path) -> Path:
    """Where a running stand-in Gemini is described: its ready line, while it runs."""
    return data_dir / "emulator" / "ready.json"


def fault_of_a_call(name: str) -> Fault:
    """Return a fault that a simulated call can meet. Raises NoTrouble."""
    usable = [fault.name for fault in FAULTS.values() if fault.occasion not in ("request", "placement")]
    try:
        fault = find_fault(name)
    except ValueError as error:
        raise NoTrouble(f"there is no fault {name!r}; there are {', '.join(usable)}") from error
    if fault.occasion == "request":
        raise NoTrouble(f"{name} is a fault of Twilio's REST API; play it with `cli.py chaos --fault {name}`")
    if fault.occasion == "placement":
        raise NoTrouble(f"{name} hits calls that are placed, and no simulated caller; there are {', '.join(usable)}")
    return fault


@asynccontextmanager
async def armed(fault: Fault, data_dir: Path, write: Print) -> AsyncGenerator[None]:
    """Arm a fault of the stand-in Gemini, once, for the length of a call; says afterwards whether it struck.

    Raises:
        NoTrouble: no stand-in Gemini runs with this data folder.
    """
    file = ready_file(data_dir)
    try:
        control_url = str(json.loads(await asyncio.to_thread(file.read_text, encoding="utf-8"))["control_url"])
        before = await asyncio.to_thread(_ask, control_url, "POST", {"name": fault.name})
    except (OSError, ValueError, KeyError) as error:
        raise NoTrouble(
            f"{fault.name} is a fault of the stand-in Gemini, and none runs here: {file} leads to none. "
            "Start a server that has one with `make run`, without a Gemini key, and phone again"
        ) from error
    count = before["hits"].count(fault.name) - (fault.occasion == "port")  # that one strikes as it is armed
    try:
        yield
    finally:
        try:
            after = await asyncio.to_thread(_ask, control_url, "DELETE", {"name": fault.name})
        except OSError:
            write("The stand-in Gemini was stopped meanwhile.")
        else:
            has_struck = after["hits"].count(fault.name) > count
            told = "struck" if has_struck else "did not strike: the call gave it no occasion"
            write(f"The fault {fault.name} {told}.")


def _ask(control_url: str, method: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{control_url}/fault",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    with _DIRECT.open(request, timeout=_ANSWER_SECS) as answer:
        return json.load(answer)
