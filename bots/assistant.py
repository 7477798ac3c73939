"""Assistant: no tools of its own. What it can do stands in the agent's `tools:`."""

from pipelines import Bot

bot = Bot()
