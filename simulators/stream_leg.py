"""One media stream of a call at the stand-in Twilio: opened, held until the server closes it, and what became of it."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack

from websockets.exceptions import InvalidHandshake

from simulators.call_setup import Network
from simulators.caller import Caller, StreamEnd
from simulators.media_socket import Line, drop_query, new_sid, open_stream
from simulators.noise import NoiseBed
from simulators.stream_errors import explain_close, explain_refusal
from simulators.twilio_webhook import AddressBook, CallError
from simulators.twiml_player import ConnectStream


class StreamLeg:
    """A stream that a `<Connect>` asked for.

    Attributes:
        stream_sid: Its SID.
    """

    def __init__(
        self,
        network: Network,
        book: AddressBook,
        call_sid: str,
        line: Line,
        noise: NoiseBed | None,
        errors: list[CallError],
    ) -> None:
        """Prepare a stream.

        Args:
            network: What the simulator's calls share.
            book: Where public URLs are dialled.
            call_sid: Its call.
            line: The wire that it goes over.
            noise: Background sound of the caller.
            errors: Where Twilio's errors of the call are kept; what goes wrong here is added.
        """
        self.stream_sid = new_sid("MZ")
        self._network, self._book, self._call_sid = network, book, call_sid
        self._line, self._noise, self._errors = line, noise, errors

    async def hold(
        self,
        verb: ConnectStream,
        took: Callable[[Caller, ExitStack], None],
        tell: Callable[[str], Awaitable[None]],
    ) -> dict[str, str]:
        """Open the stream and hold it until the server closes it.

        Args:
            verb: As the server's TwiML says.
            took: Told of the caller's end, and of what is undone when the stream is over.
            tell: Posts an event of the stream to its status callback.

        Returns:
            What the `<Connect>`'s action is told.
        """
        if drop_query(verb.url) != verb.url:
            self._errors.append(CallError(31920, "query strings on <Stream url> are dropped", verb.url))
        place = self._book.find(drop_query(verb.url))
        result = {"StreamSid": self.stream_sid} | ({"StreamName": verb.name} if verb.name else {})
        error: CallError | None = None
        async with AsyncExitStack() as stack:
            try:
                socket = await stack.enter_async_context(
                    open_stream(
                        place.dialled_url,
                        signed_url=place.public_url,
                        call_sid=self._call_sid,
                        account_sid=self._network.account_sid,
                        stream_sid=self.stream_sid,
                        auth_token=self._network.auth_token,
                        parameters=verb.parameters,
                        trust=self._network.trust,
                        line=self._line,
                        keep=self._network.keep,
                    )
                )
            except (InvalidHandshake, OSError) as problem:
                error = explain_refusal(problem, place.public_url)
            else:
                caller = Caller(socket, noise=self._noise)
                took(caller, stack.enter_context(ExitStack()))
                await tell("stream-started")
                if await caller.run() is StreamEnd.MALFORMED_MESSAGE:
                    error = CallError(31924, caller.protocol_error or "", place.public_url)
                else:
                    error = explain_close(socket, place.public_url)
        if error is not None:
            self._errors.append(error)
            result |= {"StreamError": error.message, "StreamErrorCode": str(error.code)}
        await tell("stream-error" if error else "stream-stopped")
        return result
