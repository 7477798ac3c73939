"""What Twilio's REST API answers on its bad days."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from simulators.faults import Armoury


def rest_error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error as the API shows it (https://www.twilio.com/docs/usage/twilios-response#errors)."""
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return JSONResponse(body, status_code=status, headers=headers)


async def faulty_answer(faults: Armoury, request: Request) -> Response | None:
    """The answer to a request that a fault hits; it is not carried out then. None: no fault hits it."""
    for strike in faults.take("request"):
        match strike.name:
            case "rest-429":
                after = {"Retry-After": f"{strike.settings['retry_after_secs']:g}"}
                return rest_error(429, 20429, "Too many requests", after)
            case "rest-500":
                return rest_error(500, 20500, "An internal server error has occurred")
            case _:
                await _wait_for_the_client_to_leave(request, strike.settings["secs"])
                return rest_error(504, 20504, "Gateway timeout")
    return None


async def withheld_answer(faults: Armoury, request: Request) -> Response | None:
    """What comes in place of the answer to a request that was carried out. None: the answer, late or not."""
    for strike in faults.take("placement"):
        if strike.name == "created-500":
            return rest_error(500, 20500, "An internal server error has occurred")
        await _wait_for_the_client_to_leave(request, strike.settings["secs"])
    return None


async def _wait_for_the_client_to_leave(request: Request, most_secs: float) -> None:
    try:
        async with asyncio.timeout(most_secs):
            while (await request.receive())["type"] != "http.disconnect":
                continue
    except TimeoutError:
        return
