"""What a bot written for Pipecat's own runner looks for in its environment, as far as it can be given from here."""

import ssl
from pathlib import Path

import certifi

from config.settings import Settings

_STAND_IN = "not-needed-here"


def guest_environment(settings: Settings) -> dict[str, str]:
    """Return name -> value for what `pipecat init` bots read; nothing that the operator has set is to be replaced.

    Without keys the bot gets dummies and our Gemini endpoint, which google-genai takes from GOOGLE_GEMINI_BASE_URL.
    """

    def secret(field: str) -> str:
        value = getattr(settings, field)
        return value.get_secret_value() if value is not None else _STAND_IN

    values = {
        "GOOGLE_API_KEY": secret("google_api_key"),
        "GOOGLE_MODEL": "gemini-3.8-live",
        "GOOGLE_VOICE_ID": "Aoede",
        "TWILIO_ACCOUNT_SID": settings.twilio_account_sid or "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": secret("twilio_auth_token"),
    }
    if settings.gemini_base_url is not None:
        values["GOOGLE_GEMINI_BASE_URL"] = settings.gemini_base_url
    if settings.gemini_ca_file is not None:
        values["SSL_CERT_FILE"] = str(_trust_bundle(settings.gemini_ca_file, settings.data_dir))
    return values


def _trust_bundle(ca_file: Path, data_dir: Path) -> Path:
    """The usual authorities and ours in one file: SSL_CERT_FILE replaces the trust store, so it must hold both."""
    usual = Path(ssl.get_default_verify_paths().cafile or certifi.where())
    bundle = data_dir / "guest-ca-bundle.pem"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_text(f"{usual.read_text()}\n{ca_file.read_text()}")
    return bundle
