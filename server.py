"""Composition root: settings -> database -> bots -> agents -> log -> app, and the server that runs it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Self

from fastapi import FastAPI

from api import routes
from api.deps import Services
from api.dialling import open_dialler
from api.errands import Errands
from api.lines import OutgoingLines
from api.rescue import open_rescue
from api.secret_key import BadSecretKey, load_or_create
from api.talks import open_talks
from api.transfer_desk import open_transfer_desk
from api.web_server import WebServer
from bots import BotErrors, load_bots
from calling.callbacks import CallsBack
from config.agent_file import Checks
from config.agents_folder import watch_agents
from config.errors import AgentErrors
from config.guest_environment import guest_environment
from config.settings import Settings, lend_environment
from pipelines import GuestBot
from pipelines.answering import Answering
from pipelines.call_services import CallServices
from pipelines.callbacks import CannotCallBack
from pipelines.gemini_client import client_for
from pipelines.guest import settings_of_bots
from pipelines.live import LiveCalls
from pipelines.ringing import Ringing
from pipelines.sentences import open_sentences
from pipelines.stages import check_dotted
from pipelines.toolbox import Toolbox
from pipelines.voice_activity import load_voice_model
from storage.errors import BadDatabaseUrl, DatabaseAhead, DatabaseAway
from storage.keys import KeyStore
from switchboard.colleagues import Alone, Colleagues
from switchboard.member import Member
from switchboard.port import PortTaken, bind
from switchboard.start_failure import CannotStart
from telemetry.loop_lag import LoopLag
from transcripts.archive import BadDataFolder, open_archive
from transcripts.records import Records

# Webhook forms and session descriptions are a few KiB; nothing larger is ever read.
_MAX_BODY_BYTES = 64 * 1024
_CURED_BY_OPERATOR = (AgentErrors, BotErrors, BadDataFolder, BadDatabaseUrl, BadSecretKey, PortTaken)
_CURED_BY_DATABASE = (DatabaseAway, DatabaseAhead)


@asynccontextmanager
async def open_services(settings: Settings, colleagues: Colleagues) -> AsyncGenerator[Services]:
    """Build everything the routes use; close it at the end. Raises what `CannotStart` is made from."""
    secret = await asyncio.to_thread(load_or_create, settings.data_dir / "secret.key")
    bots = await asyncio.to_thread(load_bots, settings.bots_dir)
    if any(isinstance(bot, GuestBot) for bot in bots.values()):
        lend_environment(await asyncio.to_thread(guest_environment, settings))
    toolbox = Toolbox(bots, settings)
    checks = Checks(settings_of_bots(bots), check_dotted, toolbox.faults_of)
    agents = await asyncio.to_thread(watch_agents, settings.agents_dir, checks)
    await asyncio.to_thread(load_voice_model)
    gemini = await asyncio.to_thread(client_for, settings)
    async with AsyncExitStack() as closing:
        enter = closing.enter_async_context
        archive = await enter(open_archive(settings))
        db, store, log, folder = archive.database, archive.store, archive.log_writer, archive.recordings_dir
        lag = closing.enter_context(LoopLag(settings.max_loop_lag_ms).measuring())
        live = LiveCalls(settings.max_calls, most_here=settings.max_calls_per_process, is_slow=lag.is_slow)
        reader = gemini if settings.prepare_sentences else None
        sentences = await enter(open_sentences(settings.data_dir / "sentences", reader, lambda: agents.catalog.agents))
        await enter(toolbox.opened(lambda: agents.catalog.agents))
        ringing, calls_back = Ringing(gemini, bots, sentences, toolbox), CallsBack(CannotCallBack)
        closing.push_async_callback(ringing.close)
        rows, desk = partial(Records, db), await enter(open_transfer_desk(settings, db))
        shared = CallServices(gemini, ringing, sentences, folder, toolbox, rows, agents, calls_back, desk)
        answering, name = Answering(bots, live, log, shared), archive.instance.name
        talks = await enter(open_talks(settings, answering, store, owner=name, colleagues=colleagues))
        rescue = await enter(open_rescue(settings, store, log, agents, desk))
        lines = OutgoingLines(live, answering, colleagues, name)
        dialler = await enter(open_dialler(settings, db, agents, lines, archive.workflows, calls_back))
        await enter(archive.at_work(rescue.watch_rows))
        records, calls = (db, agents, store, log), (live, answering, answering.run_stream)
        rest = (talks, name, rescue, archive.sweeper, dialler, KeyStore(db), desk, sentences, colleagues)
        yield Services(settings, *records, *calls, secret, *rest)


def create_app(settings: Settings, colleagues: Colleagues | None = None) -> FastAPI:
    """Return the app; its lifespan opens the services and keeps them in `app.state.services`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with open_services(settings, colleagues or Alone()) as services:
            app.state.services = services
            yield

    app = FastAPI(title="Trunkline", lifespan=lifespan, max_body_size=_MAX_BODY_BYTES, openapi_url=None)
    routes.install(app)
    return app


class RunningServer:
    """The server, listening in the running loop for the length of an `async with`. It leaves signals alone."""

    def __init__(self, settings: Settings, *, drain_secs: float = 0.0, member: Member | None = None) -> None:
        """Take the settings (port 0 takes a free one) and how long calls may go on when the server stops.

        `member`: it is one process of several, and has its connections and its calls by way of the supervisor.
        """
        self.settings = settings
        self._drain_secs = drain_secs
        self._member = member

    async def __aenter__(self) -> Self:
        """Start; `base_url`, `app` and `services` are then there. Raises `CannotStart`."""
        async with AsyncExitStack() as closing:
            try:
                listener = None if self._member else bind(self.settings.host, self.settings.port)
                if listener is not None:
                    closing.callback(listener.close)
                    self.settings = self.settings.model_copy(update={"port": listener.getsockname()[1]})
                self.app = create_app(self.settings, self._member)
                await closing.enter_async_context(self.app.router.lifespan_context(self.app))
                self.services: Services = self.app.state.services
                leave = self._member.leave if self._member else None
                self._server = WebServer(self.app, self.services.live, self._drain_secs, leave)
                await closing.enter_async_context(self._server.running(listener))
                if self._member is not None:
                    self._member.be_up(Errands(self.services), self._server.take)
            except (*_CURED_BY_OPERATOR, *_CURED_BY_DATABASE) as problem:
                raise CannotStart(str(problem), 3 if isinstance(problem, _CURED_BY_DATABASE) else 2) from problem
            self._closing = closing.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let the calls end, then close everything."""
        await self._closing.aclose()

    @property
    def base_url(self) -> str:
        """Where this machine reaches the server, whatever its public address is."""
        return self.settings.model_copy(update={"public_base_url": None}).effective_public_base_url

    def stop_at_once(self) -> None:
        """Let the end of the block wait for no call, also when it waits already."""
        self._server.stop_at_once()
