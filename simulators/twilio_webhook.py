"""Twilio asking the server: signed webhooks, and where on this machine a public URL is served."""

import ssl
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urljoin, urlsplit

import httpx
from twilio.request_validator import RequestValidator  # pyright: ignore[reportMissingTypeStubs]

TIMEOUT_SECS = 15.0
"""How long Twilio waits for a webhook (https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides)."""


def compute_signature(auth_token: str, url: str, parameters: Mapping[str, str]) -> str:
    """`X-Twilio-Signature` by Twilio's own code: of the exact URL and the form; a media stream has no form."""
    return RequestValidator(auth_token).compute_signature(url, dict(parameters))  # pyright: ignore[reportUnknownMemberType]


@dataclass(frozen=True, slots=True)
class CallError:
    """An entry of Twilio's error log, with its code from https://www.twilio.com/docs/api/errors."""

    code: int
    message: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class WebhookAnswer:
    """What the server answered. `status` is 0 and `error` set when there was no answer at all."""

    url: str
    status: int
    content_type: str
    body: str
    error: CallError | None
    took_ms: float


@dataclass(frozen=True, slots=True)
class Place:
    """One resource: the URL that Twilio knows (and signs) and the one that is dialled to reach it."""

    public_url: str
    dialled_url: str


@dataclass(slots=True)
class AddressBook:
    """Where the server is really reached: public base URL -> base URL to dial, both without a slash at the end."""

    bases: dict[str, str] = field(default_factory=dict[str, str])

    def find(self, url: str, relative_to: str = "") -> Place:
        """Both addresses of a URL, which may be public, local, or relative to a public one; http or ws alike."""
        absolute = urljoin(relative_to, url)
        for public_base, dialled_base in self.bases.items():
            for public, dialled in (
                (public_base, dialled_base),
                (_as_websocket(public_base), _as_websocket(dialled_base)),
            ):
                if _is_under(absolute, public):
                    return Place(absolute, dialled + absolute[len(public) :])
                if _is_under(absolute, dialled):
                    return Place(public + absolute[len(dialled) :], absolute)
        return Place(absolute, absolute)


def _as_websocket(url: str) -> str:
    return "ws" + url.removeprefix("http")


def _is_under(url: str, base: str) -> bool:
    return url == base or url.startswith((base + "/", base + "?"))


def base_of(url: str) -> str:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class WebhookClient:
    """Sends requests as Twilio does: form parameters, signed by Twilio's own code, an idempotency token for each."""

    def __init__(self, auth_token: str, *, trust: ssl.SSLContext, timeout_secs: float = TIMEOUT_SECS) -> None:
        self._auth_token = auth_token
        self._timeout_secs = timeout_secs
        self._client = httpx.AsyncClient(
            verify=trust,
            trust_env=False,
            timeout=timeout_secs,
            follow_redirects=False,
            # Twilio's requests come from many machines. One kept connection would also tie what a call asks for next to
            # the process that answered its ringing, and be closed by that one's death under the very request about it.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def request(
        self,
        place: Place,
        parameters: Mapping[str, str],
        *,
        method: str = "POST",
        sign: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> WebhookAnswer:
        """Ask the server. Never raises: what went wrong is the answer's `error`, 11200 or 11205, as in Twilio's log.

        Args:
            place: The URL signed and the URL dialled.
            parameters: Form fields; with GET they are added to the query string, and that is what is signed.
            method: POST or GET.
            sign: False leaves the signature out.
            headers: Further headers, which win over ours.
        """
        public_url, dialled_url, form = place.public_url, place.dialled_url, dict(parameters)
        if method == "GET":
            joint = "&" if urlsplit(public_url).query else "?"
            query = joint + urlencode(form) if form else ""
            public_url, dialled_url, form = public_url + query, dialled_url + query, {}
        sent = {"User-Agent": "TwilioProxy/1.1", "I-Twilio-Idempotency-Token": str(uuid.uuid4()), "Accept": "*/*"}
        if sign:
            sent["X-Twilio-Signature"] = compute_signature(self._auth_token, public_url, form)
        sent.update(headers or {})
        started_at = time.monotonic()
        try:
            response = await self._client.request(
                method, dialled_url, data=form if method == "POST" else None, headers=sent
            )
        except httpx.TimeoutException:
            error = CallError(11205, f"no answer within {self._timeout_secs} s", public_url)
            return WebhookAnswer(public_url, 0, "", "", error, (time.monotonic() - started_at) * 1000)
        except httpx.HTTPError as problem:
            error = CallError(11200, f"{type(problem).__name__}: {problem}", public_url)
            return WebhookAnswer(public_url, 0, "", "", error, (time.monotonic() - started_at) * 1000)
        return WebhookAnswer(
            url=public_url,
            status=response.status_code,
            content_type=response.headers.get("content-type", "").partition(";")[0].strip().lower(),
            body=response.text,
            error=None if response.is_success else CallError(11200, f"HTTP {response.status_code}", public_url),
            took_ms=(time.monotonic() - started_at) * 1000,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
