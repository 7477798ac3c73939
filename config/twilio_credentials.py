"""What Twilio's REST API is asked with."""

from config.settings import Settings


def twilio_credentials(settings: Settings) -> tuple[str, str, str] | None:
    """Return account SID, user name and password: the API key where there is one, else the auth token; or None."""
    secret = settings.twilio_api_key_secret or settings.twilio_auth_token
    if settings.twilio_account_sid is None or secret is None:
        return None
    username = settings.twilio_api_key_sid or settings.twilio_account_sid
    return settings.twilio_account_sid, username, secret.get_secret_value()
