"""Settings: what the environment says, or one line per thing that it says wrongly."""

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.setting_kinds import is_loopback
from config.settings import Settings

PUBLIC = "https://voice.example.com"


@pytest.fixture(autouse=True)
def _bare(bare_environment: pytest.MonkeyPatch) -> None:
    """No test here sees the settings of the machine it runs on."""


def load(**overrides: object) -> Settings:
    return Settings.load(env_file=None, **overrides)


def problems(**overrides: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(**overrides)
    return str(caught.value).splitlines()


def test_without_environment_it_is_an_open_server_on_loopback_that_speaks_through_the_emulator() -> None:
    settings = load()
    assert (settings.host, settings.port, settings.effective_public_base_url) == (
        "127.0.0.1",
        7860,
        "http://127.0.0.1:7860",
    )
    assert settings.stream_base_url == "ws://127.0.0.1:7860"
    assert settings.may_run_open
    assert settings.uses_emulator
    assert settings.database_url == "sqlite+aiosqlite:///data/trunkline.db"


def test_the_environment_goes_before_the_file_and_overrides_before_both(
    bare_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("TRUNKLINE_PORT=1\nTRUNKLINE_MAX_CALLS=2\nGOOGLE_API_KEY=file\nUNRELATED=x\nTRUNKLINE_HOST=\n")
    bare_environment.setenv("TRUNKLINE_MAX_CALLS", "3")
    bare_environment.setenv("GOOGLE_API_KEY", "environment")
    settings = Settings.load(env_file=env_file, google_api_key="override")
    assert (settings.port, settings.max_calls, settings.host) == (1, 3, "127.0.0.1")
    assert settings.google_api_key is not None
    assert settings.google_api_key.get_secret_value() == "override"


def test_the_data_folder_holds_the_default_database() -> None:
    assert load(data_dir="/var/lib/trunkline").database_url == "sqlite+aiosqlite:////var/lib/trunkline/trunkline.db"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u:p@h/n", "postgresql+psycopg://u:p@h/n"),
        ("postgresql://h/n", "postgresql+psycopg://h/n"),
        ("postgresql+psycopg://h/n", "postgresql+psycopg://h/n"),
        ("sqlite:///x.db", "sqlite+aiosqlite:///x.db"),
    ],
)
def test_a_database_url_gets_the_driver_that_is_installed(given: str, used: str) -> None:
    assert load(database_url=given).database_url == used


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("TRUNKLINE_PORT", "http", "TRUNKLINE_PORT: must be a whole number (got 'http')"),
        ("TRUNKLINE_PORT", "70000", "TRUNKLINE_PORT: must be <= 65535 (got '70000')"),
        ("TRUNKLINE_PORT", "tcp://10.0.0.1:80", "TRUNKLINE_PORT: was set by Kubernetes for a Service named trunkline;"),
        ("TRUNKLINE_PUBLIC_BASE_URL", "voice.example.com", "TRUNKLINE_PUBLIC_BASE_URL: must be a URL such as"),
        ("TRUNKLINE_PUBLIC_BASE_URL", "ftp://x", "TRUNKLINE_PUBLIC_BASE_URL: must be a URL such as"),
        ("TRUNKLINE_PUBLIC_BASE_URL", "http://[x", "TRUNKLINE_PUBLIC_BASE_URL: must be a URL such as"),
        ("TRUNKLINE_PUBLIC_BASE_URL", "http://x:y", "TRUNKLINE_PUBLIC_BASE_URL: must be a URL such as"),
        ("TRUNKLINE_PUBLIC_BASE_URL", "https://x/?a=b", "TRUNKLINE_PUBLIC_BASE_URL: must be a plain URL; leave out"),
        (
            "TRUNKLINE_GEMINI_BASE_URL",
            "http://x",
            "TRUNKLINE_GEMINI_BASE_URL: must begin with https:// (got 'http://x')",
        ),
        ("TRUNKLINE_TWILIO_API_BASE", "http://x", "TRUNKLINE_TWILIO_API_BASE: must begin with https://, because"),
        ("TRUNKLINE_GEMINI_CA_FILE", "/no/such", "TRUNKLINE_GEMINI_CA_FILE: must be an existing file (got '/no/such')"),
        ("TRUNKLINE_MAX_CALLS", "0", "TRUNKLINE_MAX_CALLS: must be >= 1 (got '0')"),
        ("TRUNKLINE_LOG_LEVEL", "loud", "TRUNKLINE_LOG_LEVEL: must be one of TRACE,"),
        ("TRUNKLINE_STREAM_START_TIMEOUT_SECS", "nan", "TRUNKLINE_STREAM_START_TIMEOUT_SECS: must be a number"),
        ("TRUNKLINE_REDIS_URL", "http://x", "TRUNKLINE_REDIS_URL: must begin with redis://"),
        ("TWILIO_ACCOUNT_SID", "AC1", "TWILIO_ACCOUNT_SID: must be AC and 32 hexadecimal digits (got 'AC1');"),
        ("TWILIO_API_KEY_SECRET", "x", "TWILIO_API_KEY_SID: must be set too, because TWILIO_API_KEY_SECRET is;"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable(
    bare_environment: pytest.MonkeyPatch, name: str, value: str, line: str
) -> None:
    bare_environment.setenv(name, value)
    [found] = problems()
    assert found.startswith(line)


def test_every_wrong_value_is_named_at_once_and_what_follows_from_it_is_not() -> None:
    found = problems(port="x", data_dir=3, max_calls="many")
    assert [line.split(":")[0] for line in found] == ["TRUNKLINE_PORT", "TRUNKLINE_MAX_CALLS", "TRUNKLINE_DATA_DIR"]


def test_no_secret_is_shown() -> None:
    settings = load(google_api_key="k-1", database_url="postgresql://u:pass-2@h/n", redis_url="redis://:pass-3@h")
    said = repr(settings) + "\n".join(
        problems(database_url="mysql://u:pass-2@h/n", public_base_url="http://u:pass-3@h")
    )
    assert not any(secret in said for secret in ("k-1", "pass-2", "pass-3"))


@pytest.mark.parametrize("overrides", [{"host": "0.0.0.0"}, {"host": "192.0.2.1"}, {"public_base_url": PUBLIC}])
def test_a_server_that_others_can_reach_needs_the_auth_token(
    overrides: dict[str, str],
) -> None:
    [line] = problems(**overrides)
    assert line.startswith("TWILIO_AUTH_TOKEN: must be set, because others can reach this server (TRUNKLINE_")
    settings = load(**overrides, twilio_auth_token="t")
    assert not settings.may_run_open


@pytest.mark.parametrize("url", ["http://localhost:7860", "http://127.0.0.1:7860", "http://[::1]:7860"])
def test_a_loopback_public_url_keeps_the_server_open(url: str) -> None:
    assert load(public_base_url=url).may_run_open


@pytest.mark.parametrize(
    ("overrides", "web", "stream"),
    [
        ({"public_base_url": PUBLIC + "/"}, PUBLIC, "wss://voice.example.com"),
        ({"public_base_url": PUBLIC + "/phone/"}, PUBLIC + "/phone", "wss://voice.example.com/phone"),
        ({"host": "0.0.0.0", "port": 80}, "http://127.0.0.1:80", "ws://127.0.0.1:80"),
        ({"host": "::1", "port": 80}, "http://[::1]:80", "ws://[::1]:80"),
    ],
)
def test_addresses(overrides: dict[str, object], web: str, stream: str) -> None:
    settings = load(**overrides, twilio_auth_token="t")
    assert (settings.effective_public_base_url, settings.stream_base_url) == (web, stream)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("app.localhost", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_gemini_endpoint_or_a_key_replaces_the_emulator() -> None:
    assert not load(gemini_base_url="https://localhost:8443").uses_emulator
    assert not load(google_api_key="k").uses_emulator


def test_a_mistyped_override_is_refused() -> None:
    assert problems(prot=1) == ["prot: is not a setting"]


def test_an_unreadable_env_file_is_a_config_error(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_bytes(b"TRUNKLINE_HOST=\xff\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        Settings.load(env_file=env_file)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1  # pyright: ignore[reportAttributeAccessIssue]
