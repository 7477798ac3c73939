"""Tools that every agent may name in its `tools:`, whatever its bot is. A new one is a function and a line here."""

from collections.abc import Callable, Mapping

from config.agent import AgentConfig
from pipelines.attention_tools import speak_language_for, wait_longer
from pipelines.recording_tools import pause_recording, resume_recording, stop_recording
from pipelines.tools import Tool, end_call

BUILT_IN_TOOLS: Mapping[str, Callable[[AgentConfig], Tool]] = {
    "end_call": lambda _agent: end_call,
    "pause_recording": lambda _agent: pause_recording,
    "resume_recording": lambda _agent: resume_recording,
    "stop_recording": lambda _agent: stop_recording,
    "speak_language": speak_language_for,
    "wait_longer": lambda _agent: wait_longer,
}
"""Name, as in YAML, to what gives an agent the tool of that name. A tool is like a bot's own: the model sees its
docstring and arguments, and it reaches the call through `resources(params)`."""
