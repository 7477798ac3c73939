"""The REST resources of the stand-in Twilio: calls, recordings, phone numbers, messages.

JSON and errors as https://www.twilio.com/docs/iam/api and /docs/voice/api describe them. State is in `TwilioAccount`.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from twilio.rest.api.v2010.account.call import CallContext, CallList  # pyright: ignore[reportMissingTypeStubs]
from twilio.rest.api.v2010.account.call.recording import RecordingList  # pyright: ignore[reportMissingTypeStubs]
from twilio.rest.api.v2010.account.incoming_phone_number import (  # pyright: ignore[reportMissingTypeStubs]
    IncomingPhoneNumberContext,
    IncomingPhoneNumberList,
)
from twilio.rest.api.v2010.account.message import MessageList  # pyright: ignore[reportMissingTypeStubs]

from simulators.answering_machine import detection_problem
from simulators.faults import Armoury
from simulators.media_socket import new_sid
from simulators.rest_faults import faulty_answer, rest_error, withheld_answer
from simulators.sdk_parameters import read_sdk_parameters
from simulators.simulated_call import SimulatedCall
from simulators.twiml_player import Goto

Parameters = Mapping[str, Sequence[str]]
"""Form or query parameters; each name with all its values, as `StatusCallbackEvent` is repeated."""

# Read while importing: it reads source files, which must not happen on a running event loop.
CREATE_CALL = read_sdk_parameters(CallList, "create")
UPDATE_CALL = read_sdk_parameters(CallContext, "update")
LIST_CALLS = read_sdk_parameters(CallList, "page")
CREATE_RECORDING = read_sdk_parameters(RecordingList, "create")
CREATE_NUMBER = read_sdk_parameters(IncomingPhoneNumberList, "create")
UPDATE_NUMBER = read_sdk_parameters(IncomingPhoneNumberContext, "update")
LIST_NUMBERS = read_sdk_parameters(IncomingPhoneNumberList, "page")
CREATE_MESSAGE = read_sdk_parameters(MessageList, "create")

_DIALLABLE = re.compile(r"\+[1-9][0-9]{6,14}|(sips?|client):.+")
_NUMBER_FIELDS = {name: "".join(f"_{c.lower()}" if c.isupper() else c for c in name)[1:] for name in UPDATE_NUMBER}


class RestError(Exception):
    """An error answer of the API: HTTP status, Twilio's code, message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class RestRequest:
    """A request the API received, for tests to look at. Secrets are left out."""

    method: str
    path: str
    parameters: dict[str, list[str]]


@dataclass(slots=True)
class TwilioAccount:
    """What one account holds. `credentials` are the Basic user names and their passwords."""

    sid: str
    credentials: dict[str, str]
    place_call: Callable[[Parameters], Awaitable[SimulatedCall]]
    faults: Armoury
    calls: dict[str, SimulatedCall] = field(default_factory=dict[str, SimulatedCall])
    numbers: dict[str, dict[str, object]] = field(default_factory=dict[str, dict[str, object]])
    messages: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    requests: list[RestRequest] = field(default_factory=list[RestRequest])
    status: str = "active"
    """Also "suspended" or "closed", as of an account that is not paid."""
    ahead_secs: float = 0.0
    """How far Twilio's clock is ahead, as its `Date` headers tell."""

    def add_number(self, phone_number: str, parameters: Mapping[str, str] | None = None) -> dict[str, object]:
        """Own a phone number. `parameters` are spelled as in the API: VoiceUrl, StatusCallback, ..."""
        sid = new_sid("PN")
        number: dict[str, object] = {name: None for name in _NUMBER_FIELDS.values()}
        number |= {
            "sid": sid,
            "account_sid": self.sid,
            "phone_number": phone_number,
            "friendly_name": phone_number,
            "voice_method": "POST",
            "voice_fallback_method": "POST",
            "status_callback_method": "POST",
            "capabilities": {"voice": True, "sms": True, "mms": False, "fax": False},
            "origin": "twilio",
            "beta": False,
            "status": "in-use",
            "api_version": "2010-04-01",
            "date_created": _write_time(datetime.now(UTC)),
            "uri": f"/2010-04-01/Accounts/{self.sid}/IncomingPhoneNumbers/{sid}.json",
        }
        self.numbers[sid] = number
        self.change_number(number, parameters or {})
        return number

    def change_number(self, number: dict[str, object], parameters: Mapping[str, str]) -> None:
        """Set fields of a number; the unset ones stay."""
        number |= {_NUMBER_FIELDS[name]: value for name, value in parameters.items() if name in _NUMBER_FIELDS}
        number["date_updated"] = _write_time(datetime.now(UTC))

    def find_number(self, phone_number: str) -> dict[str, object]:
        """The number with this E.164 name; an empty dict when it is not ours."""
        unknown: dict[str, object] = {}
        return next((number for number in self.numbers.values() if number["phone_number"] == phone_number), unknown)


def describe_call(call: SimulatedCall, account_sid: str) -> dict[str, object]:
    """A call as the API shows it."""
    uri = f"/2010-04-01/Accounts/{account_sid}/Calls/{call.sid}"
    duration_ms = call.outcome.duration_ms if call.outcome else None
    return {
        "sid": call.sid,
        "account_sid": account_sid,
        "parent_call_sid": None,
        "to": call.setup.to,
        "to_formatted": call.setup.to,
        "from": call.setup.from_,
        "from_formatted": call.setup.from_,
        "phone_number_sid": "",
        "status": call.status,
        "direction": call.setup.direction,
        "answered_by": call.answered_by,
        "api_version": "2010-04-01",
        "date_created": _write_time(call.created_at),
        "date_updated": _write_time(call.ended_at or call.answered_at or call.created_at),
        "start_time": _write_time(call.answered_at),
        "end_time": _write_time(call.ended_at),
        "duration": None if duration_ms is None else str(-(-duration_ms // 1000)),
        "price": None,
        "price_unit": "USD",
        "caller_name": "",
        "forwarded_from": "",
        "group_sid": "",
        "queue_time": "0",
        "trunk_sid": "",
        "annotation": None,
        "uri": f"{uri}.json",
        "subresource_uris": {name: f"{uri}/{name.title()}.json" for name in ("recordings", "events", "streams")},
    }


def _describe_legs(call: SimulatedCall, account_sid: str) -> list[dict[str, object]]:
    """The calls that a call has dialled, as the API shows them."""
    own = describe_call(call, account_sid)
    return [
        own
        | {"sid": sid, "parent_call_sid": call.sid, "to": to, "to_formatted": to, "status": status}
        | {"direction": "outbound-dial", "uri": f"/2010-04-01/Accounts/{account_sid}/Calls/{sid}.json"}
        for sid, (to, status) in call.legs.items()
    ]


def build_rest(account: TwilioAccount) -> ASGIApp:
    """The API as an ASGI application."""
    app = Starlette(
        routes=_Api(account).routes(),
        exception_handlers={RestError: _answer_error, HTTPException: _answer_unknown_resource},
    )

    async def dated(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                now = datetime.now(UTC) + timedelta(seconds=account.ahead_secs)
                date = format_datetime(now.replace(microsecond=0), usegmt=True).encode("ascii")
                message = {**message, "headers": [*message.get("headers", []), (b"date", date)]}
            await send(message)

        await app(scope, receive, send_dated)

    return dated


class _Api:
    def __init__(self, account: TwilioAccount) -> None:
        self._account = account

    def routes(self) -> list[Route]:
        root = "/2010-04-01/Accounts/{account_sid}"
        return [
            Route(f"{root}.json", self._checked(self.show_account, frozenset()), methods=["GET"]),
            Route(f"{root}/Calls.json", self._checked(self.create_call, CREATE_CALL), methods=["POST"]),
            Route(f"{root}/Calls.json", self._checked(self.list_calls, LIST_CALLS), methods=["GET"]),
            Route(f"{root}/Calls/{{sid}}.json", self._checked(self.update_call, UPDATE_CALL), methods=["POST"]),
            Route(f"{root}/Calls/{{sid}}.json", self._checked(self.show_call, frozenset()), methods=["GET"]),
            Route(
                f"{root}/Calls/{{sid}}/Recordings.json",
                self._checked(self.create_recording, CREATE_RECORDING),
                methods=["POST"],
            ),
            Route(
                f"{root}/IncomingPhoneNumbers.json",
                self._checked(self.create_number, CREATE_NUMBER),
                methods=["POST"],
            ),
            Route(f"{root}/IncomingPhoneNumbers.json", self._checked(self.list_numbers, LIST_NUMBERS), methods=["GET"]),
            Route(
                f"{root}/IncomingPhoneNumbers/{{sid}}.json",
                self._checked(self.update_number, UPDATE_NUMBER),
                methods=["POST"],
            ),
            Route(
                f"{root}/IncomingPhoneNumbers/{{sid}}.json",
                self._checked(self.show_number, frozenset()),
                methods=["GET"],
            ),
            Route(f"{root}/Messages.json", self._checked(self.create_message, CREATE_MESSAGE), methods=["POST"]),
        ]

    def _checked(
        self, answer: Callable[[Request, Parameters], Awaitable[Response]], known: frozenset[str]
    ) -> Callable[[Request], Awaitable[Response]]:
        """The route behind the checks every resource shares: who asks, which account, only known parameters."""

        async def endpoint(request: Request) -> Response:
            self._authenticate(request)
            text = request.url.query if request.method == "GET" else (await request.body()).decode()
            parameters: dict[str, list[str]] = {}
            for name, value in parse_qsl(text, keep_blank_values=True):
                parameters.setdefault(name, []).append(value)
            self._account.requests.append(RestRequest(request.method, request.url.path, parameters))
            trouble = await faulty_answer(self._account.faults, request)
            if trouble is not None:
                return trouble
            unknown = sorted(set(parameters) - known)
            if unknown:
                raise RestError(400, 20001, f"Unknown parameter: {', '.join(unknown)}")
            return await answer(request, parameters)

        return endpoint

    def _authenticate(self, request: Request) -> None:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user, password = "", ""
        expected = self._account.credentials.get(user)
        if scheme.lower() != "basic" or expected is None or not secrets.compare_digest(expected, password):
            raise RestError(401, 20003, "Authenticate")
        if request.path_params["account_sid"] != self._account.sid:
            raise RestError(404, 20404, f"The requested resource {request.url.path} was not found")

    def _find_call(self, request: Request) -> SimulatedCall:
        call = self._account.calls.get(request.path_params["sid"])
        if call is None:
            raise RestError(404, 20404, f"The requested resource {request.url.path} was not found")
        return call

    def _find_number(self, request: Request) -> dict[str, object]:
        number = self._account.numbers.get(request.path_params["sid"])
        if number is None:
            raise RestError(404, 20404, f"The requested resource {request.url.path} was not found")
        return number

    async def show_account(self, request: Request, parameters: Parameters) -> Response:
        account: dict[str, object] = {
            "sid": self._account.sid,
            "friendly_name": "A simulated account",
            "status": self._account.status,
            "type": "Full",
            "owner_account_sid": self._account.sid,
            "date_created": _write_time(datetime.now(UTC)),
            "date_updated": _write_time(datetime.now(UTC)),
            "uri": request.url.path,
        }
        return JSONResponse(account)

    async def create_call(self, request: Request, parameters: Parameters) -> Response:
        for name, code in (("To", 21201), ("From", 21213)):
            if not _first(parameters, name):
                raise RestError(400, code, f"No '{name}' number is specified")
        if not _DIALLABLE.fullmatch(_first(parameters, "To")):
            raise RestError(400, 21211, "The phone number you are attempting to call is not valid.")
        # An account without any number stands for one that owns all there are: most tests have none.
        if self._account.numbers and not self._account.find_number(_first(parameters, "From")):
            raise RestError(400, 21210, "The source phone number provided is not yet verified for your account.")
        if not _first(parameters, "Twiml"):
            _require_url(_first(parameters, "Url"), 21205, "Url")
        if _first(parameters, "StatusCallback"):
            _require_url(_first(parameters, "StatusCallback"), 21609, "StatusCallback")
        if problem := detection_problem(_flatten(parameters)):
            raise RestError(400, 20001, problem)
        if _first(parameters, "AsyncAmd").lower() == "true" and not _first(parameters, "AsyncAmdStatusCallback"):
            raise RestError(400, 21262, "Asynchronous AMD needs AsyncAmdStatusCallback")
        call = await self._account.place_call(parameters)
        trouble = await withheld_answer(self._account.faults, request)
        return trouble or JSONResponse(describe_call(call, self._account.sid), status_code=201)

    async def list_calls(self, request: Request, parameters: Parameters) -> Response:
        calls = sorted(self._account.calls.values(), key=lambda call: call.created_at, reverse=True)
        parent = _first(parameters, "ParentCallSid")
        wanted = [call for call in calls if not parent and _is_wanted(call, parameters)]
        legs = [row for call in calls if parent in ("", call.sid) for row in _describe_legs(call, self._account.sid)]
        status, to = _first(parameters, "Status"), _first(parameters, "To")
        legs = [leg for leg in legs if status in ("", leg["status"]) and to in ("", leg["to"])]
        rows = [*(describe_call(call, self._account.sid) for call in wanted), *legs]
        return _page(request, "calls", rows, parameters)

    async def show_call(self, request: Request, parameters: Parameters) -> Response:
        return JSONResponse(describe_call(self._find_call(request), self._account.sid))

    async def update_call(self, request: Request, parameters: Parameters) -> Response:
        call = self._find_call(request)
        status, twiml, url = (_first(parameters, name) for name in ("Status", "Twiml", "Url"))
        if twiml and url:
            raise RestError(400, 21218, "Twiml and Url are mutually exclusive")
        if status not in ("", "completed", "canceled"):
            raise RestError(400, 21218, f"Invalid status: {status}")
        if call.is_over and status:
            raise RestError(404, 20404, f"The requested resource {request.url.path} was not found")
        if call.is_over or (status == "canceled" and call.answered_at is not None):
            raise RestError(400, 21220, "Call is not in-progress. Cannot redirect.")
        if status == "completed" or status == "canceled":
            call.end(status)
        elif twiml:
            call.redirect(twiml)
        elif url:
            _require_url(url, 21205, "Url")
            call.redirect(Goto(url, _first(parameters, "Method") or "POST"))
        return JSONResponse(describe_call(call, self._account.sid))

    async def create_recording(self, request: Request, parameters: Parameters) -> Response:
        call = self._find_call(request)
        if call.status != "in-progress":
            raise RestError(400, 21220, "Requested resource is not eligible for recording")
        sid = new_sid("RE")
        recording: dict[str, object] = {
            "sid": sid,
            "account_sid": self._account.sid,
            "call_sid": call.sid,
            "status": "in-progress",
            "channels": 2 if _first(parameters, "RecordingChannels") == "dual" else 1,
            "source": "StartCallRecordingAPI",
            "track": _first(parameters, "RecordingTrack") or "both",
            "duration": None,
            "price": None,
            "api_version": "2010-04-01",
            "date_created": _write_time(datetime.now(UTC)),
            "uri": f"/2010-04-01/Accounts/{self._account.sid}/Calls/{call.sid}/Recordings/{sid}.json",
        }
        call.recordings.append(recording)
        return JSONResponse(recording, status_code=201)

    async def create_number(self, request: Request, parameters: Parameters) -> Response:
        phone_number = _first(parameters, "PhoneNumber")
        if not phone_number:
            raise RestError(400, 21402, "No phone number is specified")
        number = self._account.add_number(phone_number, _flatten(parameters))
        return JSONResponse(number, status_code=201)

    async def list_numbers(self, request: Request, parameters: Parameters) -> Response:
        wanted = _first(parameters, "PhoneNumber")
        numbers = [n for n in self._account.numbers.values() if not wanted or wanted in str(n["phone_number"])]
        return _page(request, "incoming_phone_numbers", numbers, parameters)

    async def show_number(self, request: Request, parameters: Parameters) -> Response:
        return JSONResponse(self._find_number(request))

    async def update_number(self, request: Request, parameters: Parameters) -> Response:
        number = self._find_number(request)
        for name in ("VoiceUrl", "VoiceFallbackUrl", "StatusCallback"):
            if _first(parameters, name):
                _require_url(_first(parameters, name), 21502, name)
        self._account.change_number(number, _flatten(parameters))
        return JSONResponse(number)

    async def create_message(self, request: Request, parameters: Parameters) -> Response:
        for name, code in (("To", 21604), ("Body", 21602)):
            if not _first(parameters, name):
                raise RestError(400, code, f"A '{name}' is required")
        sid = new_sid("SM")
        message: dict[str, object] = {
            "sid": sid,
            "account_sid": self._account.sid,
            "to": _first(parameters, "To"),
            "from": _first(parameters, "From"),
            "messaging_service_sid": _first(parameters, "MessagingServiceSid") or None,
            "body": _first(parameters, "Body"),
            "status": "queued",
            "direction": "outbound-api",
            "num_segments": "1",
            "num_media": "0",
            "api_version": "2010-04-01",
            "date_created": _write_time(datetime.now(UTC)),
            "uri": f"/2010-04-01/Accounts/{self._account.sid}/Messages/{sid}.json",
        }
        self._account.messages.append(message)
        return JSONResponse(message, status_code=201)


async def _answer_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RestError):
        raise error
    headers = {"WWW-Authenticate": 'Basic realm="Twilio API"'} if error.status == 401 else None
    return rest_error(error.status, error.code, str(error), headers)


async def _answer_unknown_resource(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = f"The requested resource {request.url.path} was not found"
    return await _answer_error(request, RestError(status, 20404 if status == 404 else 20004, message))


def _is_wanted(call: SimulatedCall, parameters: Parameters) -> bool:
    exact = {"To": call.setup.to, "From": call.setup.from_, "Status": call.status}
    if any(_first(parameters, name) not in ("", value) for name, value in exact.items()):
        return False
    for name, moment in (("StartTime", call.answered_at or call.created_at), ("EndTime", call.ended_at)):
        for sign in ("", "<", ">"):
            bound = _first(parameters, name + sign)
            if bound and (moment is None or not _is_within(moment, sign, bound)):
                return False
    return True


def _is_within(moment: datetime, sign: str, bound: str) -> bool:
    """Twilio's date filters: a day, or a time in UTC; without a sign the call must fall on that day."""
    try:
        limit = datetime.fromisoformat(bound)
    except ValueError as problem:
        raise RestError(400, 20001, f"Invalid date: {bound}") from problem
    limit = limit.replace(tzinfo=UTC) if limit.tzinfo is None else limit
    if sign == "<":
        return moment < limit
    return moment >= limit if sign == ">" else moment.date() == limit.date()


def _page(request: Request, key: str, rows: list[dict[str, object]], parameters: Parameters) -> Response:
    """One page of a list in the frame the API puts around it."""
    size = int(_first(parameters, "PageSize") or 50)
    page = int(_first(parameters, "Page") or 0)
    shown = rows[page * size : (page + 1) * size]

    def uri(number: int) -> str:
        kept = [
            (name, value) for name, values in parameters.items() if name not in ("Page", "PageSize") for value in values
        ]
        return f"{request.url.path}?{urlencode([*kept, ('PageSize', str(size)), ('Page', str(number))])}"

    return JSONResponse(
        {
            key: shown,
            "page": page,
            "page_size": size,
            "start": page * size,
            "end": max(page * size + len(shown) - 1, 0),
            "uri": uri(page),
            "first_page_uri": uri(0),
            "previous_page_uri": uri(page - 1) if page else None,
            "next_page_uri": uri(page + 1) if (page + 1) * size < len(rows) else None,
        }
    )


def _first(parameters: Parameters, name: str) -> str:
    values = parameters.get(name)
    return values[0] if values else ""


def _flatten(parameters: Parameters) -> dict[str, str]:
    return {name: values[-1] for name, values in parameters.items()}


def _require_url(url: str, code: int, name: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RestError(400, code, f"{name} is not a valid URL: {url}")


def _write_time(moment: datetime | None) -> str | None:
    return None if moment is None else format_datetime(moment)
