"""Composition root: settings, bots, then all that the routes use; the app, and the server that runs it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from ssl import SSLContext
from typing import Self

from fastapi import FastAPI

from api import routes
from api.certificate import BadCertificate, load_certificate
from api.deps import Services
from api.errands import Errands
from api.opening import open_services
from api.secret_key import BadSecretKey
from api.web_server import WebServer
from bots import BotErrors, load_bots
from config.errors import AgentErrors
from config.settings import Settings
from storage.envelope import SealingError
from storage.errors import BadDatabaseUrl, DatabaseAhead, DatabaseAway
from switchboard.colleagues import Alone, Colleagues
from switchboard.member import Member
from switchboard.port import PortTaken, bind
from switchboard.start_failure import CannotStart
from transcripts.archive import BadDataFolder

# Webhook forms and session descriptions are a few KiB; nothing larger is ever read.
_MAX_BODY_BYTES = 64 * 1024
_CURED_BY_OPERATOR = (
    AgentErrors,
    BotErrors,
    BadCertificate,
    BadDataFolder,
    BadDatabaseUrl,
    BadSecretKey,
    PortTaken,
    SealingError,
)
_CURED_BY_DATABASE = (DatabaseAway, DatabaseAhead)


def create_app(settings: Settings, colleagues: Colleagues | None = None) -> FastAPI:
    """Return the app; its lifespan opens the services and keeps them in `app.state.services`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        bots = await asyncio.to_thread(load_bots, settings.bots_dir)
        async with open_services(settings, bots, colleagues or Alone()) as services:
            app.state.services = services
            yield

    app = routes.App(
        title="Trunkline",
        lifespan=lifespan,
        max_body_size=_MAX_BODY_BYTES,
        openapi_url=None,
        redirect_slashes=False,  # to an address made of the request's own Host header
    )
    app.state.settings = settings
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
                certificate = await self._certificate()
                self._server = WebServer(
                    self.app, self.services.live, self._drain_secs, leave, certificate, self.settings.slow_request_secs
                )
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

    async def _certificate(self) -> SSLContext | None:
        cert_file, key_file = self.settings.tls_cert_file, self.settings.tls_key_file
        if cert_file is None or key_file is None:
            return None
        return await asyncio.to_thread(load_certificate, cert_file, key_file)

    @property
    def base_url(self) -> str:
        """Where this machine reaches the server, whatever its public address is."""
        return self.settings.model_copy(update={"public_base_url": None}).effective_public_base_url

    def stop_at_once(self) -> None:
        """Let the end of the block wait for no call, also when it waits already."""
        self._server.stop_at_once()
