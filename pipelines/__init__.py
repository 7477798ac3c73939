"""The bot author's whole vocabulary: `from pipelines import Bot, end_call, resources`."""

from pipelines.guest import AnyBot, GuestBot
from pipelines.tools import Bot, CallResources, end_call, resources
from transcripts.call import Call

__all__ = ["AnyBot", "Bot", "Call", "CallResources", "GuestBot", "end_call", "resources"]
