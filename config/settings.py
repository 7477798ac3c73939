"""Every environment variable, its unit and its default. Nothing else in the project reads the environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from config.bucket import BucketUrl, is_private_host
from config.errors import ConfigError, SettingProblem
from config.setting_kinds import (
    LOG_LEVELS,
    AccountSid,
    ApiKeySid,
    ApiUrl,
    DatabaseUrl,
    ExistingFile,
    HostsAndPorts,
    HttpsUrl,
    LogLevel,
    Networks,
    PageOrigins,
    Port,
    RedisUrl,
    SealingKeyTexts,
    Secret,
    ToolSecretsByName,
    WebUrl,
    is_loopback,
)
from config.tool_secrets import ToolSecrets
from config.webhooks import EventsInText, IncludedInText, SigningSecret, WebhookEvent, WebhookUrl
from config.wording import describe, problem


def _default_database_url(values: dict[str, Any]) -> str:
    return f"sqlite+aiosqlite:///{values['data_dir']}/trunkline.db"


class Settings(BaseSettings):
    """What the operator decides about the whole server, frozen. Build it with `Settings.load()`.

    A field is read from `TRUNKLINE_<FIELD>`, except for the keys of other companies, which keep those companies' names.
    """

    model_config = SettingsConfigDict(
        env_prefix="TRUNKLINE_",
        env_ignore_empty=True,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 is every address of the machine.")
    port: Port = Field(default=7860, ge=0, le=65_535, description="TCP port to listen on; 0 takes a free one.")
    public_base_url: WebUrl | None = Field(
        default=None, description="Where Twilio reaches this server, for example https://voice.example.com."
    )
    processes: int | None = Field(
        default=None, ge=1, description="Server processes; unset: as many as the cores that it may use."
    )
    max_calls: int = Field(
        default=100, ge=1, description="Calls at once, in all processes together; one more hears a polite busy."
    )
    max_calls_per_process: int = Field(
        default=75, ge=1, description="Calls at once in one process; one more goes to another process."
    )
    max_loop_lag_ms: int = Field(
        default=80, ge=1, description="A process whose event loop is later than this takes no further call; ms."
    )
    max_outgoing_calls: int = Field(
        default=20, ge=1, description="Calls that we place, at the same time; one more is refused."
    )
    max_spend_per_day_usd: float | None = Field(
        default=None,
        ge=0,
        description="What the minutes of placed calls may cost in a day (UTC), by config/prices.yaml; unset: no limit.",
    )
    api_key: Secret | None = Field(
        default=None, description="The API key that `cli.py call` shows to the running server, outside the open mode."
    )
    log_level: LogLevel = Field(default="INFO", description=f"One of {', '.join(LOG_LEVELS)}.")
    log_format: Literal["text", "json"] = Field(
        default="text", description="json: one object a line, for programs that collect logs."
    )
    otel_endpoint: WebUrl | None = Field(
        default=None,
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="Collector of traces, OTLP over HTTP, for example http://127.0.0.1:4318; unset: no traces.",
    )
    otel_headers: Secret | None = Field(
        default=None,
        validation_alias="OTEL_EXPORTER_OTLP_HEADERS",
        description="Sent with every span: name=value, comma between, values as in a URL.",
    )
    otel_certificate: ExistingFile | None = Field(
        default=None,
        validation_alias="OTEL_EXPORTER_OTLP_CERTIFICATE",
        description="PEM file of the authority behind the collector; unset: the usual ones.",
    )
    otel_service_name: str = Field(
        default="trunkline",
        validation_alias="OTEL_SERVICE_NAME",
        min_length=1,
        description="What this server is called in traces.",
    )
    playground_secret: Secret | None = Field(
        default=None, description="Opens /playground and /metrics when the server can be reached from outside."
    )

    max_reads_per_minute: int = Field(
        default=600,
        ge=1,
        description="Requests that change nothing, of one API key in a minute; of an address 4 times.",
    )
    max_writes_per_minute: int = Field(
        default=120, ge=1, description="Requests that change something, of one API key in a minute; likewise."
    )
    max_dials_per_minute: int = Field(
        default=60, ge=1, description="Requests for a call, of one API key in a minute; likewise."
    )
    max_keyless_per_minute: int = Field(
        default=300, ge=1, description="Requests without a good key, token or secret, of one address in a minute."
    )
    max_failed_logins: int = Field(
        default=10, ge=1, description="Wrong keys, tokens or secrets of one address that cost it no time, in an hour."
    )
    slow_request_secs: float = Field(
        default=20.0, gt=0, description="A request whose head or body has not come by then is cut off; seconds each."
    )
    trusted_proxies: Networks = Field(
        default_factory=tuple,
        description="Proxies whose X-Forwarded-For is believed: addresses or networks, comma between.",
    )
    cors_origins: PageOrigins = Field(
        default_factory=tuple,
        description="Pages that may ask /v1 from a browser: exact origins, comma between; unset: none.",
    )
    tls_cert_file: ExistingFile | None = Field(
        default=None, description="PEM file of our certificate and its chain; the server then speaks TLS 1.2 and newer."
    )
    tls_key_file: ExistingFile | None = Field(default=None, description="PEM file of that certificate's key.")

    google_api_key: Secret | None = Field(
        default=None, validation_alias="GOOGLE_API_KEY", description="Gemini API key; unset: a stand-in speaks."
    )
    gemini_base_url: HttpsUrl | None = Field(default=None, description="Gemini endpoint, https; unset: Google's.")
    gemini_ca_file: ExistingFile | None = Field(
        default=None, description="PEM file of the certificate authority behind that endpoint."
    )

    twilio_account_sid: AccountSid | None = Field(
        default=None, validation_alias="TWILIO_ACCOUNT_SID", description="Twilio account."
    )
    twilio_auth_token: Secret | None = Field(
        default=None,
        validation_alias="TWILIO_AUTH_TOKEN",
        description="Checks that requests come from Twilio; needed as soon as the server can be reached from outside.",
    )
    twilio_api_key_sid: ApiKeySid | None = Field(
        default=None,
        validation_alias="TWILIO_API_KEY_SID",
        description="Twilio API key, for the calls we make to Twilio.",
    )
    twilio_api_key_secret: Secret | None = Field(
        default=None, validation_alias="TWILIO_API_KEY_SECRET", description="The secret of that API key."
    )
    twilio_api_base: ApiUrl | None = Field(default=None, description="Twilio's REST API; unset: Twilio's own.")
    daily_api_key: Secret | None = Field(
        default=None, validation_alias="DAILY_API_KEY", description="Daily API key; adds Daily rooms to the playground."
    )
    daily_api_base: ApiUrl = Field(default="https://api.daily.co/v1", description="Daily's REST API.")

    agents_dir: Path = Field(default=Path("config/agents"), description="Folder of agents, one YAML file each.")
    bots_dir: Path = Field(default=Path("bots"), description="Folder of bots, one Python file each.")
    data_dir: Path = Field(
        default=Path("data"), description="Folder of recordings, the SQLite file and our own secrets."
    )
    database_url: DatabaseUrl = Field(
        default_factory=_default_database_url,
        repr=False,
        description="PostgreSQL or SQLite URL; unset: trunkline.db in the data folder.",
    )
    sealing_keys: SealingKeyTexts | None = Field(
        default=None,
        description="Keys that seal what is private, id:base64 of 32 bytes, comma between, the current one first; "
        "unset: sealing.keys in the data folder, made at the first start.",
    )
    recordings_url: BucketUrl | None = Field(
        default=None,
        description="s3://bucket/prefix that recordings are moved to once their call is over; unset: they stay here.",
    )
    recordings_endpoint: WebUrl | None = Field(
        default=None, description="Address of an S3-compatible storage; unset: Amazon's, in AWS_REGION."
    )
    recordings_http: bool = Field(
        default=False,
        description="That address may be http:// although it is not of this machine or a private network.",
    )
    aws_region: str = Field(
        default="us-east-1",
        pattern=r"^[a-z0-9-]{1,40}$",
        validation_alias="AWS_REGION",
        description="Region of the bucket.",
    )
    aws_access_key_id: str | None = Field(
        default=None,
        min_length=1,
        validation_alias="AWS_ACCESS_KEY_ID",
        description="Key for the bucket; unset: the machine's own role.",
    )
    aws_secret_access_key: Secret | None = Field(
        default=None, validation_alias="AWS_SECRET_ACCESS_KEY", description="The secret of that key."
    )
    aws_session_token: Secret | None = Field(
        default=None, validation_alias="AWS_SESSION_TOKEN", description="What goes with a key for a while only."
    )
    audit_days: int | None = Field(
        default=None, ge=1, description="Days that entries of the audit log are kept; unset: for ever."
    )
    redis_url: RedisUrl | None = Field(default=None, repr=False, description="Redis URL; unset: no Redis.")

    stream_start_timeout_secs: float = Field(
        default=5.0, gt=0, description="A media socket that has not said start by then is closed; seconds."
    )
    stream_token_ttl_secs: int = Field(
        default=60, ge=1, description="How long the token that ties a media socket to its webhook is good; seconds."
    )
    database_wait_secs: float = Field(
        default=30, ge=0, description="How long to wait for the database at start; seconds."
    )

    drain_secs: float = Field(
        default=25.0,
        ge=0,
        description="How long calls may go on once the server was told to stop, before their goodbye; seconds.",
    )

    tool_secrets: ToolSecretsByName = Field(
        default_factory=dict,
        validation_alias="TRUNKLINE_SECRET_NAME",
        description="A secret that agents' tools send as {secret:NAME}; as many as you like, each with its own name.",
    )
    tool_private_hosts: HostsAndPorts = Field(
        default_factory=tuple,
        description="host:port, comma between: private addresses that tools of agents may ask all the same.",
    )
    webhook_url: WebhookUrl | None = Field(
        default=None, description="Is told of every agent's calls, beside the agents' own webhooks; https."
    )
    webhook_secret: SigningSecret | None = Field(default=None, description="Signs that, whsec_...; unset: one is made.")
    webhook_events: EventsInText = Field(
        default_factory=lambda: (WebhookEvent.CALL_ENDED, WebhookEvent.CALL_ANALYZED),
        description="Of what, comma between: call.started, call.ended, call.analyzed; unset: the last two.",
    )
    webhook_include: IncludedInText = Field(
        default_factory=lambda: ("analysis",),
        description="With what, comma between: analysis, transcript, variables, numbers; unset: the first.",
    )
    max_model_sessions: int | None = Field(
        default=None,
        ge=1,
        description="Gemini Live sessions that the key allows at once; analyses leave them to calls.",
    )
    text_requests_per_minute: int | None = Field(
        default=None, ge=1, description="Requests a minute that the key allows to text models; analyses queue for them."
    )
    prepare_sentences: bool = Field(
        default=True,
        description="Have each agent's filler, apology and the like read aloud by its model before they are needed.",
    )

    @classmethod
    def load(cls, *, env_file: Path | None = Path(".env"), **overrides: Any) -> Self:
        """Read the environment, then `env_file` for what it lacks; `overrides`, by field name, go before both.

        Raises:
            ConfigError: one line per setting that cannot be used.
        """
        unknown = [SettingProblem(name, "is not a setting") for name in overrides if name not in cls.model_fields]
        if unknown:
            raise ConfigError(unknown)
        try:
            return cls(_env_file=env_file, _env_file_encoding="utf-8", **overrides)  # pyright: ignore[reportCallIssue]
        except ValidationError as error:
            # A default that was never worked out, because the value it is made of is wrong, is no problem of its own.
            lines = [line for line in error.errors() if line["type"] != "default_factory_not_called"]
            raise ConfigError(_problem(line) for line in lines) from error
        except (SettingsError, UnicodeDecodeError, OSError) as error:
            raise ConfigError([SettingProblem(str(env_file), f"cannot be read ({error})")]) from error

    def reveal(self) -> dict[str, Any]:
        """Return every value as JSON can hold it, secrets too: for another process of ours, by a private socket.

        `model_validate` makes the same settings of it.
        """
        values = {name: getattr(self, name) for name in type(self).model_fields}
        plain = {k: v.get_secret_value() if isinstance(v, SecretStr) else v for k, v in values.items()}
        plain["tool_secrets"] = {name: secret.get_secret_value() for name, secret in self.tool_secrets.items()}
        plain["trusted_proxies"] = [str(network) for network in self.trusted_proxies]
        return {name: str(value) if isinstance(value, Path) else value for name, value in plain.items()}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the settings are read from, the most important first."""
        secrets = ToolSecrets(settings_cls, "tool_secrets", (env_settings, dotenv_settings))
        return init_settings, secrets, env_settings, dotenv_settings, file_secret_settings

    @property
    def is_loopback_bind(self) -> bool:
        """The server listens where only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def is_public_url_loopback_or_unset(self) -> bool:
        """No address that others could use has been announced."""
        return self.public_base_url is None or is_loopback(urlsplit(self.public_base_url).hostname or "")

    @property
    def may_run_open(self) -> bool:
        """Nobody else can reach the server, so it may work without an auth token and a playground secret."""
        return self.is_loopback_bind and self.is_public_url_loopback_or_unset

    @property
    def effective_public_base_url(self) -> str:
        """`public_base_url`, or else the address we listen on as this machine reaches it; no trailing slash."""
        if self.public_base_url is not None:
            return self.public_base_url
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host.strip("[]"), self.host.strip("[]"))
        scheme = "http" if self.tls_cert_file is None else "https"
        return f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"

    @property
    def stream_base_url(self) -> str:
        """The same address for media sockets: ws:// or wss://."""
        return "ws" + self.effective_public_base_url.removeprefix("http")

    @property
    def uses_emulator(self) -> bool:
        """There is neither a Gemini key nor another endpoint, so a stand-in has to speak."""
        return self.google_api_key is None and self.gemini_base_url is None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults: list[InitErrorDetails] = []
        if not self.may_run_open and self.twilio_auth_token is None:
            why = "TRUNKLINE_PUBLIC_BASE_URL is public" if self.is_loopback_bind else f"TRUNKLINE_HOST={self.host}"
            error = problem(
                f"must be set, because others can reach this server ({why})",
                "copy it from Twilio's console, or listen on 127.0.0.1 without a public URL",
            )
            faults.append(InitErrorDetails(type=error, loc=("twilio_auth_token",), input=None))
        if self.twilio_api_key_sid is not None and self.twilio_api_key_secret is None:
            error = problem("must be set too, because TWILIO_API_KEY_SID is", "set both, or neither of them")
            faults.append(InitErrorDetails(type=error, loc=("twilio_api_key_secret",), input=None))
        if self.twilio_api_key_secret is not None and self.twilio_api_key_sid is None:
            error = problem("must be set too, because TWILIO_API_KEY_SECRET is", "set both, or neither of them")
            faults.append(InitErrorDetails(type=error, loc=("twilio_api_key_sid",), input=None))
        if self.max_model_sessions is not None and self.max_calls > self.max_model_sessions:
            error = problem(
                f"must not be more than TRUNKLINE_MAX_MODEL_SESSIONS ({self.max_model_sessions}): each call takes one "
                f"(got {self.max_calls})",
                f"set it to {self.max_model_sessions} or less",
            )
            faults.append(InitErrorDetails(type=error, loc=("max_calls",), input=None))
        if self.aws_access_key_id is not None and self.aws_secret_access_key is None:
            error = problem("must be set too, because AWS_ACCESS_KEY_ID is", "set both, or neither of them")
            faults.append(InitErrorDetails(type=error, loc=("aws_secret_access_key",), input=None))
        endpoint = urlsplit(self.recordings_endpoint or "")
        if endpoint.scheme == "http" and not self.recordings_http and not is_private_host(endpoint.hostname or ""):
            error = problem(
                "must begin with https://, because it is not of this machine or a private network",
                "set TRUNKLINE_RECORDINGS_HTTP=true if it is one all the same",
            )
            faults.append(InitErrorDetails(type=error, loc=("recordings_endpoint",), input=None))
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            missing = "tls_cert_file" if self.tls_cert_file is None else "tls_key_file"
            error = problem("must be set too: a certificate and its key go together", "set both, or neither of them")
            faults.append(InitErrorDetails(type=error, loc=(missing,), input=None))
        elif self.tls_cert_file is not None and self.processes != 1:
            error = problem(
                "must be 1 with TRUNKLINE_TLS_CERT_FILE, because several processes share out connections by what "
                "they ask, which TLS hides",
                "set it to 1, or let a proxy speak TLS (docs/operate.md, Certificates)",
            )
            faults.append(InitErrorDetails(type=error, loc=("processes",), input=None))
        if faults:
            raise ValidationError.from_exception_data("Settings", faults)
        return self


def environment_name(field: str) -> str:
    """Return the environment variable of a field of Settings."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"TRUNKLINE_{field.upper()}"


def lend_environment(values: Mapping[str, str]) -> None:
    """Put values into the process's environment for others' code to read; what is set there already stays.

    SSL_CERT_FILE alone is replaced: what it named before is part of the new file.
    """
    for name, value in values.items():
        if name == "SSL_CERT_FILE":
            os.environ[name] = value
        else:
            os.environ.setdefault(name, value)


def is_secret(field: str) -> bool:
    """Return whether the field's value must never be shown."""
    return "SecretStr" in str(Settings.model_fields[field].annotation) or not Settings.model_fields[field].repr


def _problem(line: ErrorDetails) -> SettingProblem:
    key = str(line["loc"][0]) if line["loc"] else ""
    field = next((name for name in Settings.model_fields if key in (name, environment_name(name))), None)
    message, cure = describe(line, is_secret=field is not None and is_secret(field))
    return SettingProblem(environment_name(field) if field else key, f"{message}; {cure}" if cure else message)
