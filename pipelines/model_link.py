"""A call's link to the model: one conversation, over as many connections as it takes."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Sequence
from typing import cast

from google.genai import Client
from google.genai.errors import APIError
from google.genai.types import Blob, Content, FunctionResponse, LiveServerMessage
from loguru import logger
from websockets.exceptions import ConnectionClosed

from pipelines.gemini_setup import LiveSetup
from pipelines.link_listener import Beginning, Cause, LinkListener
from pipelines.model_connection import ModelConnection
from pipelines.model_failures import FailureKind, ModelFailure, sort_failure
from pipelines.outbox import Audio, Contents, Item, Outbox, Text, ToolResult

_FIRST_RETRY_SECS, _LAST_RETRY_SECS = 0.15, 4.0
_LOST_FOR_GOOD_SECS = 30.0
"""A model that cannot be reached for this long, while nobody waits for it, is not waited for either."""
_LEAVE_SECS = 0.3
"""A server refuses to resume a conversation that it still holds, so the old connection is closed first; for so long."""
_POLL_SECS = 0.1
_MARGIN_SECS = 2.0
"""So long before the server's deadline the connection is left, however much is going on."""
_SHORT_LIFE_SECS = 2.0
"""A connection that ends so soon after it stood is one more failed attempt, or it would be made again without end."""
_FINISH_SECS = 0.5
"""A message that is being dealt with when its connection is left may take so long: cut off in the middle, the end of
what it began might never be told."""
_MALFORMED_LIMIT = 20
"""So many messages in a row that cannot be read are a connection that says nothing."""


class ModelLink:
    """Opens connections, keeps one, replaces it; takes what is to be sent at any time, and sends it in order, once.

    To Pipecat's service it is the session: it has its `send_*` methods, and they never fail.
    """

    def __init__(self, client: Client, setup: LiveSetup, *, begins_with_content: bool) -> None:
        """Take the client, what connections are set up with, and whether the conversation begins with a request."""
        self.setup = setup
        self.failure: ModelFailure | None = None
        """Why the model is not to be had; None while it is, or is still tried."""
        self.begins_with_content = begins_with_content
        self.connected_model = ""
        self.stands = False
        """Whether a first connection has been made, attached to or not."""
        self._client = client
        self._listener: LinkListener | None = None
        self._outbox = Outbox()
        self._handle: str | None = None
        self._is_handle_fresh = False
        self._generation = self._malformed = 0
        self._call_generations: dict[str, int] = {}
        self._connection: ModelConnection | None = None
        self._is_open = False
        self._has_begun = False
        self._leave: asyncio.Future[Cause] | None = None
        self._leave_by: float | None = None
        self._renew_for: Cause | None = None
        self._task: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._handling = asyncio.Lock()
        self._retry_secs = _FIRST_RETRY_SECS
        self._news = asyncio.Event()
        """Another model was named."""
        self._hurry = asyncio.Event()
        self._attached = asyncio.Event()
        self._has_items = asyncio.Event()

    # ---- its life ----

    @property
    def is_up(self) -> bool:
        """Whether a connection stands."""
        return self._connection is not None

    def open(self) -> None:
        """Begin to connect. Does nothing the second time."""
        if self._task is None:
            self._is_open = True
            self._task = asyncio.create_task(self._run(), name="model link")

    def attach(self, listener: LinkListener) -> None:
        """Give the conversation to `listener`; what came before waits for it."""
        self._listener = listener
        self._attached.set()
        self._retry_secs = _FIRST_RETRY_SECS
        self._hurry.set()
        if self.failure is not None:
            listener.link_failed(Cause.CONNECT, self.failure)

    async def close(self) -> None:
        """End it. Returns within a few seconds, also when the other side takes nothing any more."""
        self._is_open = False
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait({task})
        if self._leaving:
            await asyncio.wait(self._leaving)

    def renew(self, cause: Cause) -> None:
        """Leave the connection for another one, now."""
        if self._leave is not None and not self._leave.done():
            self._leave.set_result(cause)

    def renew_when_quiet(self, cause: Cause) -> None:
        """Leave the connection for another one at the next moment in which nobody notices."""
        self._renew_for = cause

    def use(self, setup: LiveSetup) -> None:
        """Go on with another model, from what was said so far."""
        self.setup = setup
        self.failure = None
        self._handle = None
        self._news.set()
        self._hurry.set()
        self.renew(Cause.OTHER_MODEL)

    # ---- what is sent: the part of google-genai's AsyncSession that Pipecat uses ----

    def send_audio(self, audio: Audio) -> None:
        """Voice of the caller; on the wire when this returns, unless something else has to go first."""
        connection = self._connection
        if connection is not None and not len(self._outbox) and connection.send_now(audio):
            self._outbox.passed(audio)
        else:
            self._add(audio)

    async def send_realtime_input(self, *, text: str | None = None, audio: Blob | None = None) -> None:
        """Words in step with the audio."""
        assert audio is None, "audio goes by send_audio, which knows when it was spoken"
        if text is not None:
            self._add(Text(text))

    async def send_client_content(
        self, *, turns: Sequence[Content] | Content | None = None, turn_complete: bool = True
    ) -> None:
        """Turns of the conversation."""
        listed = [turns] if isinstance(turns, Content) else list(turns or ())
        self._add(Contents(listed, turn_complete))

    async def send_tool_response(self, *, function_responses: FunctionResponse) -> None:
        """A tool's result. When the connection that the call came over is gone, it is told in words."""
        self._add(ToolResult(function_responses))

    def note_call(self, call_id: str) -> None:
        """The model has called a tool over the present connection."""
        self._call_generations[call_id] = self._generation

    def _add(self, item: Item) -> None:
        if isinstance(item, ToolResult) and not self._is_known(item) and self._listener is not None:
            prompt = self._listener.as_prompt(item.response)
            if not prompt:
                return
            item = Text(prompt)
        self._outbox.add(item)
        self._has_items.set()

    def _is_known(self, result: ToolResult) -> bool:
        # No handle is given out while a call is open, so whatever connection comes next does not know it.
        return self._call_generations.get(result.response.id or "", self._generation) == self._generation

    # ---- connecting ----

    async def _run(self) -> None:
        cause, since = Cause.CONNECT, time.monotonic()
        try:
            while self._is_open:
                self._news.clear()
                handle, connection = self._handle, ModelConnection()
                try:
                    beginning = await self._connect(connection, handle)
                except Exception as error:
                    error.__traceback__ = None  # websockets' refusal refers to itself, and would keep us by our frame
                    if not self._news.is_set():
                        failure = sort_failure(error)
                        if handle is not None and _is_refusal(error):
                            # The conversation cannot be resumed; it can be told.
                            self._handle = None
                            self._tell_attempt(failure)
                            continue
                        await self._bear(cause, failure, since)
                    if self._news.is_set():
                        cause, since = self._begin_anew()
                    continue
                cause, failure, has_lasted = await self._hold(connection, beginning, cause, since)
                if self._news.is_set():
                    cause, since = self._begin_anew()
                elif has_lasted or cause not in (Cause.DROPPED, Cause.HANDOVER):
                    since, self._retry_secs = time.monotonic(), _FIRST_RETRY_SECS
                else:
                    await self._bear(cause, failure, since)
                    if self._news.is_set():
                        cause, since = self._begin_anew()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # Our own bug; the call must not fall silent for it.
            logger.exception("the link to the model failed")
            if self._listener is not None:
                self._listener.link_failed(cause, sort_failure(error))

    def _begin_anew(self) -> tuple[Cause, float]:
        """Another model was named: it gets its own time."""
        self._retry_secs = _FIRST_RETRY_SECS
        return Cause.OTHER_MODEL, time.monotonic()

    async def _bear(self, cause: Cause, failure: ModelFailure | None, since: float) -> None:
        """Wait for a moment before the next attempt; or, when that would not help, for another model to be named."""
        if failure is not None and self._is_final(failure, since):
            await self._wait_for_another(cause, failure)
            return
        if failure is not None:
            self._tell_attempt(failure)
        self._hurry.clear()
        secs, self._retry_secs = self._retry_secs, min(self._retry_secs * 2, _LAST_RETRY_SECS)
        await _wait_for(self._hurry, secs * random.uniform(0.7, 1.3))

    async def _hold(
        self, connection: ModelConnection, beginning: Beginning, cause: Cause, since: float
    ) -> tuple[Cause, ModelFailure | None, bool]:
        """Hold the conversation over a connection; returns why it is over, and whether it lasted for a while."""
        ready_at, failure, self.stands = time.monotonic(), None, True
        try:
            await self._attached.wait()
            if not self._news.is_set():  # else it is a connection to the model before
                cause, failure = await self._serve(connection, beginning, cause, time.monotonic() - since)
        finally:
            self._connection = None
            leaving = self._leave_behind(connection)
        has_lasted = time.monotonic() - ready_at >= _SHORT_LIFE_SECS
        await asyncio.wait({leaving}, timeout=_LEAVE_SECS)
        return cause, failure, has_lasted

    async def _connect(self, connection: ModelConnection, handle: str | None) -> Beginning:
        listener = self._listener
        history = listener.history() if listener is not None and handle is None and self._has_begun else ()
        # A peer that has gone also lets a closing wait, which must not count against the next attempt.
        attempt = asyncio.create_task(self._enter(connection, handle, history), name="model link connecting")
        news = asyncio.create_task(self._news.wait(), name="model link news")
        try:
            deadline_secs = self.setup.settings.connection.ready_secs
            await asyncio.wait({attempt, news}, timeout=deadline_secs, return_when=asyncio.FIRST_COMPLETED)
            if not attempt.done():
                raise TimeoutError
            attempt.result()
        except BaseException:
            self._leave_behind(connection, attempt)
            raise
        finally:
            news.cancel()
        self._generation += 1
        if handle is not None:
            return Beginning.RESUMED
        return Beginning.SEEDED if self._has_begun else Beginning.NEW

    async def _enter(self, connection: ModelConnection, handle: str | None, history: Sequence[Content]) -> None:
        begins = not self._has_begun and self.begins_with_content
        config = self.setup.config(handle=handle, has_history=bool(history) or begins)
        await connection.open(self._client, self.setup.settings.model, config, history)

    def _is_final(self, failure: ModelFailure, since: float) -> bool:
        is_hopeless = failure.kind is not FailureKind.TRY_AGAIN
        return is_hopeless or (self._listener is not None and time.monotonic() - since > _LOST_FOR_GOOD_SECS)

    async def _wait_for_another(self, cause: Cause, failure: ModelFailure) -> None:
        self._news.clear()
        self.failure = failure
        logger.bind(problem=failure.sentence, code=failure.code).error("the model cannot be had")
        if self._listener is not None:
            self._listener.link_failed(cause, failure)
        await self._news.wait()

    def _tell_attempt(self, failure: ModelFailure) -> None:
        logger.bind(problem=failure.sentence, code=failure.code).warning("connecting to the model failed")
        if self._listener is not None:
            self._listener.link_attempt_failed(failure)

    def _leave_behind(
        self, connection: ModelConnection, attempt: asyncio.Task[None] | None = None
    ) -> asyncio.Task[None]:
        """Close a connection, or give up an attempt at one, without waiting for the other side."""
        leaving = asyncio.create_task(_close(connection, attempt), name="model link leaving")
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        return leaving

    # ---- one connection ----

    async def _serve(
        self, connection: ModelConnection, beginning: Beginning, cause: Cause, took_secs: float
    ) -> tuple[Cause, ModelFailure | None]:
        """Hold the conversation over this connection; returns why it is over."""
        listener = self._listener
        assert listener is not None
        self._leave = leave = asyncio.get_running_loop().create_future()
        self._leave_by = None
        self._renew_for = None
        self._is_handle_fresh = False
        self._has_begun = True
        self.connected_model = self.setup.settings.model
        self._go_on(listener, beginning)
        self._connection = connection
        listener.link_ready(beginning, cause, took_secs)
        receiving = asyncio.create_task(self._receive(connection, listener), name="model link receiving")
        sending = asyncio.create_task(self._send(connection), name="model link sending")
        try:
            over, failure = await self._wait_for_end(receiving, leave, listener)
        finally:
            leave.cancel()
            self._connection = None
            await self._stop(receiving, sending)
        await listener.link_lost(over, failure)
        return over, failure

    async def _wait_for_end(
        self, receiving: asyncio.Task[None], leave: asyncio.Future[Cause], listener: LinkListener
    ) -> tuple[Cause, ModelFailure | None]:
        renew_at = time.monotonic() + self.setup.settings.connection.renew_after_secs
        while True:
            is_due = self._leave_by is not None or self._renew_for is not None or time.monotonic() >= renew_at
            timeout = _POLL_SECS if is_due else max(0.0, min(renew_at - time.monotonic(), 0.5))
            await asyncio.wait({receiving, leave}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if leave.done():
                return leave.result(), None
            if receiving.done():
                failure = sort_failure(receiving.exception() or ConnectionError("the stream of messages ended"))
                logger.bind(problem=failure.sentence, code=failure.code).warning("the model's connection was lost")
                return Cause.DROPPED, failure
            if is_due and self._may_leave(listener):
                return self._renew_for or Cause.HANDOVER, None

    async def _stop(self, *tasks: asyncio.Task[None]) -> None:
        is_done = await _take(self._handling, _FINISH_SECS)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if is_done:
            self._handling.release()

    def _may_leave(self, listener: LinkListener) -> bool:
        if self._leave_by is not None and time.monotonic() >= self._leave_by:
            return True
        # A handle from before the last answer would forget that answer.
        return listener.is_quiet() and self._is_handle_fresh and not len(self._outbox)

    def _go_on(self, listener: LinkListener, beginning: Beginning) -> None:
        """Put before everything that waits what the new connection has to be told."""
        if beginning is Beginning.NEW:
            return
        told = listener.resumption(beginning)
        self._outbox.drop_tool_results()  # their calls are unknown there; the prompt tells them
        first: list[Item] = []
        if told.context and beginning is Beginning.RESUMED:
            first.append(Contents(told.context, is_complete=False))
        if told.prompt and not self._outbox.asks(told.prompt):
            first.append(Text(told.prompt))
        self._outbox.say_again(told.say_again_from_ms)
        self._outbox.put_first(first)
        self._has_items.set()

    async def _send(self, connection: ModelConnection) -> None:
        """Send what waits, as long as the connection takes it; what was not sent stays."""
        while True:
            await self._has_items.wait()
            self._has_items.clear()
            while (item := self._outbox.first()) is not None:
                try:
                    await connection.send(item)
                except (ConnectionClosed, OSError, EOFError):
                    return  # the receiving side tells why
                except Exception as error:
                    # Our own bug, or a tool's: what cannot be written down must not keep back all that comes after.
                    logger.exception("something for the model could not be sent: {}", type(error).__name__)
                self._outbox.sent(item)

    async def _receive(self, connection: ModelConnection, listener: LinkListener) -> None:
        self._malformed = 0

        async def hear(speech: list[bytes] | str | None) -> None:
            if speech is None:
                await _hand_over(listener.link_pause())
                return
            self._malformed = 0
            self._is_handle_fresh = False
            async with self._handling:
                if isinstance(speech, str):
                    await _hand_over(listener.link_words(speech))
                else:
                    for pcm in speech:
                        await _hand_over(listener.link_voice(pcm))

        connection.hear_by(hear)
        while True:
            try:
                async for message in connection.session.receive():
                    self._malformed = 0
                    async with self._handling:
                        self._note(message, listener)
                        await _hand_over(listener.link_message(message))
            except (ConnectionClosed, OSError, EOFError):
                raise
            except APIError as error:
                if isinstance(cast(object, error.details), str):  # pyright: ignore[reportUnknownMemberType]
                    raise  # the reason of a close; anything else was a message
                self._pass_over(connection, listener)
            except (ValueError, TypeError, AttributeError):
                # One unreadable message (google-genai raises these for it) must not cost the conversation.
                self._pass_over(connection, listener)

    def _pass_over(self, connection: ModelConnection, listener: LinkListener) -> None:
        if connection.last_is_of_unknown_kind:
            self._malformed = 0
            return
        self._malformed += 1
        listener.link_malformed(self._malformed)
        if self._malformed >= _MALFORMED_LIMIT:
            raise ConnectionError("too many messages in a row cannot be read")

    def _note(self, message: LiveServerMessage, listener: LinkListener) -> None:
        update = message.session_resumption_update
        if update is not None:
            self._is_handle_fresh = bool(update.resumable and update.new_handle)
            if self._is_handle_fresh:
                self._handle = update.new_handle
                listener.link_resumable()
        elif message.server_content is not None or message.tool_call is not None:
            self._is_handle_fresh = False
        if message.go_away is not None:
            left_secs = parse_duration(message.go_away.time_left)
            if left_secs is None:
                self._renew_for = Cause.HANDOVER  # nobody knows how long: at the next quiet moment
            else:
                self._leave_by = time.monotonic() + left_secs - min(_MARGIN_SECS, left_secs / 3)
            listener.link_going(left_secs)


async def _hand_over(dealing: Awaitable[None]) -> None:
    try:
        await dealing
    except Exception as error:
        # A message that we cannot deal with is our bug; the conversation goes on with the next one.
        logger.exception("a message of the model could not be dealt with: {}", type(error).__name__)


async def _close(connection: ModelConnection, attempt: asyncio.Task[None] | None) -> None:
    if attempt is not None:
        attempt.cancel()
        await asyncio.wait({attempt})
        if not attempt.cancelled() and (error := attempt.exception()) is not None:
            logger.bind(problem=type(error).__name__).debug("an attempt to connect to the model was given up")
    await connection.close()


async def _wait_for(event: asyncio.Event, secs: float) -> bool:
    """Wait for an event, for so long at most; returns whether it came."""
    try:
        async with asyncio.timeout(secs):
            return await event.wait()
    except TimeoutError:
        return False


async def _take(lock: asyncio.Lock, secs: float) -> bool:
    """Take a lock as soon as it is free; False when it was not within that time."""
    try:
        async with asyncio.timeout(secs):
            return await lock.acquire()
    except TimeoutError:
        return False


def _is_refusal(error: Exception) -> bool:
    """Whether the server took the connection and then closed it instead of becoming ready."""
    return isinstance(error, APIError | ConnectionClosed)


def parse_duration(text: str | None) -> float | None:
    """Return seconds of a protobuf duration in JSON, such as "9.5s"; None when there is none to read."""
    try:
        secs = float((text or "").removesuffix("s"))
    except ValueError:
        return None
    return max(0.0, secs) if math.isfinite(secs) else None
