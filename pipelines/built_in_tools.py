"""Tools that every agent may name in its `tools:`, whatever its bot is. A new one is a function and a line here."""

from collections.abc import Callable, Mapping

from config.agent import AgentConfig
from pipelines.attention_tools import speak_language_for, wait_longer
from pipelines.callbacks import schedule_callback_for
from pipelines.do_not_call_tool import stop_calling
from pipelines.key_tools import collect_digits_for, press_digits
from pipelines.message_tools import send_sms, take_message
from pipelines.recording_tools import pause_recording, resume_recording, stop_recording
from pipelines.tools import Tool, end_call
from pipelines.transfer_tool import transfer_call_for

BUILT_IN_TOOLS: Mapping[str, Callable[[AgentConfig], Tool]] = {
    "end_call": lambda _agent: end_call,
    "pause_recording": lambda _agent: pause_recording,
    "resume_recording": lambda _agent: resume_recording,
    "stop_recording": lambda _agent: stop_recording,
    "speak_language": speak_language_for,
    "wait_longer": lambda _agent: wait_longer,
    "transfer_call": transfer_call_for,
    "press_digits": lambda _agent: press_digits,
    "collect_digits": collect_digits_for,
    "schedule_callback": schedule_callback_for,
    "stop_calling": lambda _agent: stop_calling,
    "send_sms": lambda _agent: send_sms,
    "take_message": lambda _agent: take_message,
}
"""Name, as in YAML, to what gives an agent the tool of that name. A tool is like a bot's own: the model sees its
docstring and arguments, and it reaches the call through `resources(params)`."""


def implied_tools(agent: AgentConfig) -> list[str]:
    """Return the built-in tools that an agent has by other sections of its file, without naming them in `tools:`."""
    names = ["transfer_call"] if agent.transfers else []
    if agent.outbound.enabled:  # whom it calls may ask it to call no more
        names.append("stop_calling")
    return [*names, "press_digits", "collect_digits"] if "digits" in agent.model_fields_set else names
