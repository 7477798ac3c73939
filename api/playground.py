"""The playground: a page to talk to an agent in the browser, and what the page asks for."""

import asyncio
import html
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Header, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, StreamingResponse
from loguru import logger
from pydantic import BaseModel, Field

from api.asking import OPEN, asked_of, check_agent, note_known
from api.call_events import follow_rows
from api.deps import Services, ServicesDep
from api.errands import write_down
from api.errors import PlaygroundOff, SecretNeeded, UnknownAgent, UnknownCall
from api.playground_door import (
    PATH,
    Chooser,
    Listener,
    Visitor,
    check_secret,
    check_visitor,
    refuse_foreign_page,
    set_cookie,
)
from api.rate_limits import TooManyFailures
from config.agent import AgentConfig
from telemetry.moments import moment_text
from transcripts.call import CallEvent, CallStatus, Direction
from transcripts.models import CallRow

router = APIRouter(prefix=PATH, tags=["playground"])

_PAGES = Path(__file__).parent / "pages"
_HEARTBEAT_SECS = 15.0
_ELSEWHERE_SECS = 7.0


class AgentChoice(BaseModel):
    """The agent to talk to, by name."""

    agent: str = Field(max_length=200)


class Offer(AgentChoice):
    """A browser's WebRTC offer, with its candidates gathered."""

    sdp: str = Field(max_length=60_000)
    type: Literal["offer"]


@router.get("")
async def show_page(request: Request, services: ServicesDep) -> Response:
    """Answer the page; the door instead, with 401, for whoever still has to give the secret."""
    try:
        await check_visitor(request, services)
    except SecretNeeded:
        return await _door(401)
    except PlaygroundOff as off:
        return await _door(404, off.__doc__ or "", is_locked=True)
    # Whoever opens the page is about to talk: the seconds of loading pass while he reads.
    services.talks.prepare()
    return FileResponse(_PAGES / "playground.html", media_type="text/html")


@router.post("/door")
async def open_door(request: Request, services: ServicesDep, secret: Annotated[str, Form()] = "") -> Response:
    """Take the secret from the door's form: a cookie and the page, or the door again."""
    refuse_foreign_page(request.headers, services.settings)
    try:
        await check_secret(secret, request, services)
    except TooManyFailures as error:
        return await _door(429, f"{TooManyFailures.__doc__}", headers=error.headers)
    except SecretNeeded:
        logger.warning("a wrong secret was given at the door of the playground")
        return await _door(401, "That is not the secret. Try again.")
    note_known(request)
    response = RedirectResponse(PATH, 303)
    set_cookie(response, services)
    return response


@router.get("/playground.css")
async def style() -> FileResponse:
    """Answer the style sheet; the door needs it before anybody is let in."""
    return FileResponse(_PAGES / "playground.css", media_type="text/css")


@router.get("/icon.svg")
async def icon() -> FileResponse:
    """Answer the picture that stands in the browser's tab."""
    return FileResponse(_PAGES / "icon.svg", media_type="image/svg+xml")


@router.get("/{name}.js")
async def script(name: Literal["playground", "sound", "transcript"]) -> FileResponse:
    """Answer one of the page's scripts."""
    return FileResponse(_PAGES / f"{name}.js", media_type="text/javascript")


@router.get("/agents", dependencies=[Chooser])
async def list_agents(request: Request, services: ServicesDep) -> dict[str, Any]:
    """List the agents there are, and whether Daily rooms can be made."""
    agents, asked = (await services.current_agents()).agents, asked_of(request)
    shown = [_describe(agent, services) for agent in agents if asked is None or asked.may_use(agent.name)]
    return {"agents": shown, "has_rooms": services.talks.has_rooms}


@router.post("/offer", dependencies=[Chooser])
async def take_offer(offer: Offer, request: Request, services: ServicesDep) -> dict[str, str]:
    """Begin a call in the browser: 404 unknown agent, 409 a phone-only bot, 503 full, 400 an offer without audio."""
    check_agent(request, offer.agent)
    agent = await _find_agent(offer.agent, services)
    call_id, sdp = await services.talks.answer_browser(agent, offer.sdp, offer.type)
    await _note_begin(request, services, call_id, agent, "browser")
    return {"call_id": call_id, "sdp": sdp, "type": "answer"}


@router.post("/room", dependencies=[Chooser])
async def open_room(choice: AgentChoice, request: Request, services: ServicesDep) -> dict[str, str]:
    """Begin a call in a new Daily room: 404 without a Daily key, 502 when Daily gives no room."""
    check_agent(request, choice.agent)
    agent = await _find_agent(choice.agent, services)
    call_id, url = await services.talks.open_room(agent)
    await _note_begin(request, services, call_id, agent, "room")
    return {"call_id": call_id, "url": url}


@router.post("/calls/{call_id}/hang-up", status_code=204, dependencies=[Visitor])
async def hang_up(call_id: str, request: Request, services: ServicesDep) -> None:
    """End a call for its caller; sent by a page that is being closed. A call that is over stays as it is."""
    talk = services.talks.get(call_id)
    if talk is not None:
        talk.hang_up()
    elif await services.colleagues.run_errand("hang_up", call_id=call_id, timeout_secs=_ELSEWHERE_SECS) is None:
        return
    await services.audit.note(OPEN, "calls.hang_up", "call", call_id, request=request)


@router.get("/events/{call_id}", dependencies=[Listener])
async def stream_events(
    call_id: str, services: ServicesDep, last_event_id: Annotated[int, Header(ge=-1)] = -1
) -> StreamingResponse:
    """Tell the call's events as they happen (server-sent events), the past ones first, and `end` after the last.

    A page that lost the connection asks again with Last-Event-ID and misses nothing.
    """
    talk = services.talks.get(call_id)
    if talk is not None:
        events = _numbered(talk.log.subscribe())
    else:
        await _find_call(call_id, services)
        events = follow_rows(services, call_id, last_event_id)
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(_as_text(events, last_event_id), media_type="text/event-stream", headers=headers)


@router.get("/calls/{call_id}", dependencies=[Visitor])
async def read_call(call_id: str, services: ServicesDep) -> dict[str, Any]:
    """Answer what the database keeps of a call; of one that is just ending, its end too."""
    await write_down(services, call_id)
    if services.talks.get(call_id) is None:
        await services.colleagues.run_errand("write_down", call_id=call_id, timeout_secs=_ELSEWHERE_SECS)
    row = await _find_call(call_id, services)
    turns = await services.store.list_turns(call_id)
    return {
        "call_id": row.call_id,
        "agent": row.agent_name,
        "status": row.status,
        "end_reason": row.end_reason,
        "is_over": row.status == CallStatus.ENDED,
        "started_at": moment_text(row.created_at),
        "ended_at": row.ended_at and moment_text(row.ended_at),
        "recording_status": row.recording_status,
        "turns": [
            {
                "speaker": turn.speaker,
                "text": turn.text,
                "start_ms": turn.start_ms,
                "end_ms": turn.end_ms,
                "interrupted": turn.interrupted,
                "error": turn.error,
            }
            for turn in turns
        ],
    }


async def _note_begin(request: Request, services: Services, call_id: str, agent: AgentConfig, where: str) -> None:
    """Write down who began a call, in the `browser` or in a `room`."""
    detail = {"agent": agent.name, "where": where}
    await services.audit.note(OPEN, "calls.begin", "call", call_id, request=request, detail=detail)


async def _find_agent(name: str, services: Services) -> AgentConfig:
    agent = (await services.current_agents()).by_name(name)
    if agent is None:
        raise UnknownAgent
    return agent


async def _find_call(call_id: str, services: Services) -> CallRow:
    row = await services.store.get_call(call_id)
    # What was said on the telephone is nobody's business here.
    if row is None or row.direction != Direction.BROWSER:
        raise UnknownCall
    return row


def _describe(agent: AgentConfig, services: Services) -> dict[str, Any]:
    return {
        "name": agent.name,
        "bot": agent.bot,
        "language": agent.language,
        "greeting": agent.render(agent.greeting),
        "is_phone_only": services.talks.is_phone_only(agent),
    }


async def _numbered(events: AsyncGenerator[CallEvent]) -> AsyncGenerator[tuple[int, CallEvent]]:
    """Give each event the number that its row will have: a call of the playground has one log, from its beginning."""
    number = 0
    try:
        async for event in events:
            yield number, event
            number += 1
    finally:
        await events.aclose()


async def _as_text(events: AsyncGenerator[tuple[int, CallEvent]], last_id: int) -> AsyncIterator[str]:
    """Write events as https://html.spec.whatwg.org/multipage/server-sent-events.html has them."""
    following: asyncio.Task[tuple[int, CallEvent] | None] | None = None
    try:
        while True:
            following = following or asyncio.create_task(anext(events, None), name="next event of a playground call")
            await asyncio.wait({following}, timeout=_HEARTBEAT_SECS)
            if not following.done():
                yield ": still here\n\n"
                continue
            told, following = following.result(), None
            if told is None:
                yield "event: end\ndata: {}\n\n"
                return
            number, event = told
            if number > last_id:
                data = json.dumps({"kind": event.kind, "at_ms": event.at_ms, "data": event.data}, ensure_ascii=False)
                yield f"id: {number}\ndata: {data}\n\n"
    finally:
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await events.aclose()


async def _door(
    status: int, sentence: str = "", *, is_locked: bool = False, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    text = await asyncio.to_thread((_PAGES / "door.html").read_text, encoding="utf-8")
    page = text.replace("{sentence}", html.escape(sentence)).replace("{locked}", "hidden" if is_locked else "")
    return HTMLResponse(page, status, headers)
