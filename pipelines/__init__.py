"""The bot author's whole vocabulary: `from pipelines import Bot, end_call, resources`."""

from pipelines.attention_tools import speak_language_for, wait_longer
from pipelines.callbacks import schedule_callback
from pipelines.guest import AnyBot, GuestBot
from pipelines.recording_tools import pause_recording, resume_recording, stop_recording
from pipelines.tool_failures import RefusalKind, ToolRefused
from pipelines.tools import Bot, CallResources, end_call, resources
from transcripts.call import Call

__all__ = [
    "AnyBot",
    "Bot",
    "Call",
    "CallResources",
    "GuestBot",
    "RefusalKind",
    "ToolRefused",
    "end_call",
    "pause_recording",
    "resume_recording",
    "stop_recording",
    "resources",
    "schedule_callback",
    "speak_language_for",
    "wait_longer",
]
