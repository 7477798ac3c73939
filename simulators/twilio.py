"""The stand-in Twilio: a REST API on loopback, and a telephone network that rings the server.

    async with TwilioSimulator(auth_token="secret") as twilio:
        call = await twilio.dial(to="+15551230100", from_="+15557654321", voice_url="http://127.0.0.1:8080/twilio/voice")
        await call.connected()
        await call.wait_heard()
        await call.hang_up()

Webhooks and media sockets are signed by Twilio's own SDK, TwiML is carried out, media flows in real time.
"""

import asyncio
import functools
import ssl
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from simulators.call_setup import AnswerPolicy, CallSetup, Detection, DialOutcome, Network
from simulators.conference import ConferenceRooms
from simulators.faults import Armoury, strike_now
from simulators.loopback import LoopbackServer
from simulators.media_socket import Line, new_sid
from simulators.noise import NoiseBed
from simulators.simulated_call import SimulatedCall
from simulators.twilio_rest import Parameters, RestRequest, TwilioAccount, build_rest
from simulators.twilio_webhook import TIMEOUT_SECS, AddressBook, WebhookAnswer, WebhookClient, base_of

_load_system_trust = functools.cache(ssl.create_default_context)
"""Parsing the system's certificates takes a good part of a second, once a process."""


class TwilioSimulator:
    """Twilio, as an async context manager in the running loop. Leaving it ends every call."""

    def __init__(
        self,
        *,
        account_sid: str = "AC" + "0123456789abcdef" * 2,
        auth_token: str = "simulated-auth-token",
        api_keys: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        trust: ssl.SSLContext | None = None,
        say_word_ms: int = 20,
        webhook_timeout_secs: float = TIMEOUT_SECS,
    ) -> None:
        """Set it up; entering the context opens the port.

        Args:
            account_sid: The one account.
            auth_token: Signs webhooks and sockets, and is the password of the account SID.
            api_keys: API key SIDs and their secrets, which may use the REST API too.
            host: Where the API listens.
            port: Its port; 0 takes a free one.
            trust: Certificates to trust when calling the server by https and wss; None takes the system's.
            say_word_ms: How long Twilio's own voice takes for a word. A real one takes about 350 ms.
            webhook_timeout_secs: How long a webhook may take.
        """
        self.account_sid = account_sid
        self.auth_token = auth_token
        self.answer_policy: AnswerPolicy | Callable[[CallSetup], AnswerPolicy] = AnswerPolicy()
        self.dial_outcome = DialOutcome()
        self.dial_outcomes: dict[str, DialOutcome] = {}
        """By address: what `<Dial>` meets there, in place of `dial_outcome`."""
        self.book = AddressBook()
        self.rooms = ConferenceRooms()
        credentials = {account_sid: auth_token, **(api_keys or {})}
        self.faults = Armoury("twilio")
        self.account = TwilioAccount(account_sid, credentials, self._place_call, self.faults)
        self._host = host
        rest = build_rest(self.account)
        self._server = LoopbackServer(rest, name="stand-in Twilio REST", host=host, port=port, has_date=False)
        self._trust = trust
        self._say_word_ms = say_word_ms
        self._webhook_timeout_secs = webhook_timeout_secs
        self._network: Network | None = None
        self._lives: dict[asyncio.Task[None], SimulatedCall] = {}
        self._left_behind: set[asyncio.Task[None]] = set()
        self._crashes: list[BaseException] = []
        self._placed: asyncio.Queue[SimulatedCall] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        trust = self._trust or await asyncio.to_thread(_load_system_trust)
        webhooks = WebhookClient(self.auth_token, trust=trust, timeout_secs=self._webhook_timeout_secs)
        self._network = Network(
            self.account_sid, self.auth_token, webhooks, trust, self._say_word_ms, self._keep_running, self.rooms
        )
        self.rooms.open(self.account_sid, self._tell_of_conference, self._keep_running)
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for call in self._lives.values():
            if not call.is_over:
                call.end("completed")
        lives = list(self._lives)
        if lives:
            _, late = await asyncio.wait(lives, timeout=10)
            for life in late:
                life.cancel()
            await asyncio.gather(*late, return_exceptions=True)  # a crash is kept by `_forget`
        for task in self._left_behind:
            task.cancel()
        await asyncio.gather(*self._left_behind, return_exceptions=True)  # nothing but cancelled
        await self._server.__aexit__(kind, problem, trace)
        await self._require_network().webhooks.close()
        if self._crashes and problem is None:
            raise BaseExceptionGroup("calls of the stand-in Twilio crashed", self._crashes)

    @property
    def base_url(self) -> str:
        """Where the REST API is, in place of https://api.twilio.com."""
        return f"http://{self._host}:{self._server.port}"

    @property
    def calls(self) -> dict[str, SimulatedCall]:
        """Every call by its SID, inbound and outbound, ended ones too."""
        return self.account.calls

    @property
    def requests(self) -> list[RestRequest]:
        """Every request the REST API let in."""
        return self.account.requests

    def serve_at(self, public_base_url: str, dialled_base_url: str) -> None:
        """From now on, dial `dialled_base_url` for what the server publishes as `public_base_url` (and sign that)."""
        self.book.bases[public_base_url.rstrip("/")] = dialled_base_url.rstrip("/")

    def add_number(self, phone_number: str, **parameters: str) -> str:
        """Own a number, as `add_number("+15551230100", VoiceUrl="https://...")`. Returns its SID."""
        return str(self.account.add_number(phone_number, parameters)["sid"])

    def arm(self, name: str, *, times: int | None = 1, skip: int = 0, **settings: float) -> None:
        """Makes a fault hit the next calls, or the next requests to the REST API; see `Armoury.arm`.

        Raises:
            ValueError: No such fault or setting.
        """
        self.faults.arm(name, times=times, skip=skip, **settings)

    def disarm(self, name: str | None = None) -> None:
        """Makes a fault, or all, hit no more.

        Raises:
            ValueError: No such fault.
        """
        self.faults.disarm(name)

    async def dial(
        self,
        *,
        to: str,
        from_: str,
        voice_url: str | None = None,
        voice_method: str = "POST",
        fallback_url: str | None = None,
        fallback_method: str | None = None,
        status_callback: str | None = None,
        status_events: Iterable[str] = ("completed",),
        public_base_url: str | None = None,
        call_sid: str | None = None,
        dial_outcome: DialOutcome | None = None,
        noise: NoiseBed | None = None,
        line: Line | None = None,
        fault: str | None = None,
    ) -> SimulatedCall:
        """Somebody calls the server. Returns at once, while it rings.

        Args:
            to: The number dialled; one that REST configured brings its own URLs.
            from_: The caller's number.
            voice_url: The webhook, as it is dialled; None takes the number's.
            voice_method: POST or GET.
            fallback_url: Asked when the webhook, or any TwiML after it, fails; None takes the number's.
            fallback_method: POST or GET; None takes the number's.
            status_callback: Told of `status_events`; a number's is told of `completed` only.
            status_events: Any of initiated, ringing, answered, completed.
            public_base_url: What the server calls itself, when it is not the base of `voice_url`: this is signed.
            call_sid: To repeat a call; random when left out.
            dial_outcome: What `<Dial>` meets; the simulator's default when left out.
            noise: Background sound of the caller.
            line: The wire of the media stream.
            fault: A fault that hits this call, with its usual settings; `arm` has more to say.

        Raises:
            ValueError: There is no webhook to call, or no such fault of a call.
        """
        number = self.account.find_number(to)
        url = voice_url or str(number.get("voice_url") or "")
        if not url:
            raise ValueError("no voice_url is given, and the number has none")
        book = self.book
        if public_base_url:
            book = AddressBook(self.book.bases | {public_base_url.rstrip("/"): base_of(url)})
        setup = CallSetup(
            to=to,
            from_=from_,
            direction="inbound",
            voice_url=url,
            voice_method=voice_method,
            fallback_url=fallback_url or str(number.get("voice_fallback_url") or ""),
            fallback_method=fallback_method or str(number.get("voice_fallback_method") or "POST"),
            status_callback=status_callback or str(number.get("status_callback") or ""),
            status_events=frozenset(status_events),
            dial_outcome=dial_outcome or self.dial_outcome,
            dial_outcomes=self.dial_outcomes,
        )
        strikes = self.faults.take("phone call")
        if fault is not None:
            strikes.append(strike_now(fault, "phone call"))
        network = self._require_network()
        call = SimulatedCall(network, book, setup, sid=call_sid, noise=noise, line=line, strikes=strikes)
        self._begin(call)
        return call

    async def next_placed(self, *, timeout_secs: float = 5.0) -> SimulatedCall:
        """The next call that the server placed by REST, in order; waits for it.

        Raises:
            TimeoutError: None in time.
        """
        async with asyncio.timeout(timeout_secs):
            return await self._placed.get()

    async def request(
        self,
        url: str,
        parameters: Mapping[str, str],
        *,
        method: str = "POST",
        sign: bool = True,
        headers: Mapping[str, str] | None = None,
        public_base_url: str | None = None,
    ) -> WebhookAnswer:
        """Send one webhook of any content, for what a call would never send."""
        book = AddressBook(dict(self.book.bases))
        if public_base_url:
            book.bases[public_base_url.rstrip("/")] = base_of(url)
        webhooks = self._require_network().webhooks
        return await webhooks.request(book.find(url), parameters, method=method, sign=sign, headers=headers)

    async def _place_call(self, parameters: Parameters) -> SimulatedCall:
        """`POST Calls.json`."""

        def first(name: str, default: str = "") -> str:
            return parameters.get(name, [default])[0] or default

        events = frozenset(event for value in parameters.get("StatusCallbackEvent", []) for event in value.split())
        setup = CallSetup(
            to=first("To"),
            from_=first("From"),
            direction="outbound-api",
            voice_url=first("Url"),
            voice_method=first("Method", "POST"),
            twiml=first("Twiml"),
            fallback_url=first("FallbackUrl"),
            fallback_method=first("FallbackMethod", "POST"),
            status_callback=first("StatusCallback"),
            status_callback_method=first("StatusCallbackMethod", "POST"),
            status_events=events or frozenset({"completed"}),
            time_limit_secs=float(first("TimeLimit", "14400")),
            ring_secs=float(first("Timeout", "60")),
            machine_detection=first("MachineDetection"),
            detection=Detection(
                float(first("MachineDetectionTimeout", "30")),
                int(first("MachineDetectionSpeechThreshold", "2400")),
                int(first("MachineDetectionSpeechEndThreshold", "1200")),
            ),
            async_amd=first("AsyncAmd").lower() == "true",
            async_amd_callback=first("AsyncAmdStatusCallback"),
            dial_outcome=self.dial_outcome,
            dial_outcomes=self.dial_outcomes,
        )
        policy = self.answer_policy(setup) if callable(self.answer_policy) else self.answer_policy
        strikes = self.faults.take("phone call")
        setup = replace(setup, policy=policy)
        call = SimulatedCall(self._require_network(), self.book, setup, sid=new_sid("CA"), strikes=strikes)
        self._begin(call)
        self._placed.put_nowait(call)
        return call

    async def _tell_of_conference(self, url: str, method: str, form: Mapping[str, str]) -> WebhookAnswer:
        return await self._require_network().webhooks.request(self.book.find(url), form, method=method)

    def _keep_running(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(errand, name="left behind by a call")
        self._left_behind.add(task)
        task.add_done_callback(self._left_behind.discard)

    def _begin(self, call: SimulatedCall) -> None:
        self.calls[call.sid] = call
        life = asyncio.create_task(call.run(), name=f"life of call {call.sid}")
        self._lives[life] = call
        life.add_done_callback(self._forget)

    def _forget(self, life: asyncio.Task[None]) -> None:
        del self._lives[life]
        if not life.cancelled() and (crash := life.exception()) is not None:
            self._crashes.append(crash)

    def _require_network(self) -> Network:
        if self._network is None:
            raise RuntimeError("the stand-in Twilio is used outside its `async with`")
        return self._network
