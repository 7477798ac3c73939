"""`http:` of a tool: the request it makes, and what of the answer the model is told."""

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from config.tools_templates import Template, check_slots, slots_of
from config.wording import problem, shown

IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
"""Methods that may be sent again without doing anything twice (RFC 9110, section 9.2.2)."""

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_PATH = re.compile(r"\$?((\.[^.\[\]]+|\[\d+\]|\[\*\]|\['[^']+'\])*)|(/[^/]*)+")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "idempotency-key"})


def web_address(url: str) -> str:
    """Check an address that a tool may ask: whole, without anything filled in before its path; returns it."""
    if "{" in re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]:
        raise problem("must name its host outright", "fill in the path and the query only")
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("https", "http") or not host or re.search(r"[\s\\]", url):
        raise problem("must be a whole URL such as https://shop.example.com/orders (its value is not shown)")
    if "@" in parts.netloc:
        raise problem("must not hold a user name or password", 'send a header: Authorization: "Bearer {secret:NAME}"')
    if parts.fragment or "#" in url:
        raise problem("must not have a '#...'", "remove it; it is never sent")
    return url


def _host(name: str) -> str:
    if not _HOST.fullmatch(name) and ":" not in name:
        raise problem(f"{shown(name)} is not a host name", "write it like shop.example.com, without https:// and path")
    return name


def _header(name: str) -> str:
    if not _HEADER.fullmatch(name):
        raise problem(f"{shown(name)} is not a header's name", "use letters, digits and dashes")
    if name.lower() in _OURS:
        raise problem(f"{name} is set by the server", "remove it")
    return name


def _json_path(path: str) -> str:
    if not path or not _PATH.fullmatch(path):
        cure = "write it like $.order.status, $.items[0].name, $.items[*].name or /order/status"
        raise problem(f"{shown(path)} is not a path into the answer", cure)
    return path


def _one_line(text: str) -> str:
    if re.search(r"[\r\n\0]", text):
        raise problem("must be one line", "remove the line breaks")
    return text


HeaderName = Annotated[str, AfterValidator(_header)]
HeaderValue = Annotated[Template, AfterValidator(_one_line)]
WebAddress = Annotated[Template, AfterValidator(web_address)]
HostName = Annotated[str, AfterValidator(_host)]
JsonPath = Annotated[str, AfterValidator(_json_path)]
StatusCode = Annotated[int, Field(ge=400, le=599)]


class HttpRequest(BaseModel):
    """A request; `{parameters}`, `{variables}`, `{secret:NAME}` and `{call:...}` are filled into its texts."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = Field(default="GET", description="The method.")
    url: WebAddress = Field(description="The address; what is filled in is percent-encoded.")
    query: dict[str, Template] = Field(default={}, description="What follows the '?', by name.")
    headers: dict[HeaderName, HeaderValue] = Field(default={}, description="Headers, by name.")
    body: dict[str, Any] | None = Field(
        default=None, description="What is sent; null: nothing. A text that is one {parameter} keeps its type."
    )
    body_as: Literal["json", "form"] = Field(default="json", description="How the body is written.")
    retries: int = Field(
        default=1, ge=0, le=3, description="How often it is sent again, only when that does nothing twice."
    )
    idempotent: bool = Field(
        default=False, description="The service knows Idempotency-Key, so that also a POST may be sent again."
    )
    allow_hosts: tuple[HostName, ...] = Field(
        default=(), description="Hosts that may be asked; empty: the one of `url`. More matter for redirects only."
    )
    redirects: int = Field(default=0, ge=0, le=5, description="How many redirects are followed, within `allow_hosts`.")
    result: dict[str, JsonPath] | JsonPath | None = Field(
        default=None,
        description="What the model is told of the answer's JSON, by name or as one path; null: all of it.",
    )
    answers: dict[StatusCode, str] = Field(
        default={}, description="What the model is told for an error status that is none, such as 404."
    )
    max_bytes: int = Field(default=65_536, ge=1, le=1_048_576, description="The largest answer, in bytes.")

    @property
    def may_repeat(self) -> bool:
        """Whether sending it twice does what sending it once does."""
        return self.idempotent or self.method in IDEMPOTENT

    @property
    def host(self) -> str:
        """The host of the address, in small letters."""
        return (urlsplit(self.url).hostname or "").lower()

    @property
    def hosts(self) -> frozenset[str]:
        """Every host that may be asked."""
        return frozenset(self.allow_hosts) or frozenset({self.host})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_slots(self.body)
        if self.body is not None and self.method in ("GET", "HEAD"):
            raise problem(f"a {self.method} request has no body", "use query:, or method: POST")
        if self.allow_hosts and self.host not in self.allow_hosts:
            raise problem(f"allow_hosts does not name {self.host}", f"add {self.host}")
        if "?" in self.url and self.query:
            raise problem("has a query in url and in query:", "write all of it under query:")
        if self.redirects and self.method not in ("GET", "HEAD"):
            raise problem(f"a {self.method} request is not redirected", "remove redirects:, or name the final url")
        if any(isinstance(value, dict | list) for value in (self.body or {}).values()) and self.body_as == "form":
            raise problem("a form has no nested values", "use body_as: json")
        if any(slot.kind == "secret" for slot in slots_of(urlsplit(self.url).query)):
            raise problem("has a secret in the '?...'", "write it under query:")
        return self
