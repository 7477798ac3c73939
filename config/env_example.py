"""`.env.example`, written from Settings so that it cannot fall behind."""

from pydantic_core import PydanticUndefined

from config.settings import Settings, environment_name

_HEADINGS = {
    "host": "Server",
    "google_api_key": "Gemini",
    "twilio_account_sid": "Twilio and Daily",
    "agents_dir": "Folders and database",
    "recordings_url": "Bucket of recordings",
    "redis_url": "Redis",
    "stream_start_timeout_secs": "Timing",
}
"""The field that each group of settings begins with."""

_TOP = """\
# Copy this file to .env and fill in what you need; every line is optional. The environment goes before .env.
# Written by `.venv/bin/python cli.py env-example`; a commented line shows the default.
"""


def render_env_example() -> str:
    """Return the text of `.env.example`: every variable with what it means and its default, all commented out."""
    lines = [_TOP]
    for name, field in Settings.model_fields.items():
        if name in _HEADINGS:
            lines.append(f"# --- {_HEADINGS[name]}\n")
        default = "" if field.default in (None, PydanticUndefined) else field.default
        lines.append(f"# {field.description}\n#{environment_name(name)}={default}\n")
    return "\n".join(lines)
