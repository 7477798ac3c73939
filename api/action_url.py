"""The address that Twilio asks after a stream or a transfer, and what rides in its query string."""

from dataclasses import dataclass
from urllib.parse import urlencode

from config.agent import AgentConfig


@dataclass(frozen=True, slots=True)
class ActionUrl:
    """`/twilio/next` of one call. The agent's name and language survive there while the database is away.

    Twilio keeps the query string of an `action` and signs it. `over_stream_sid` names the stream whose end led to a
    question that is asked again, `attempt` the dialling whose outcome is reported there.
    """

    agent_name: str = ""
    language: str = ""
    over_stream_sid: str = ""
    attempt: str = ""

    @classmethod
    def of(cls, agent: AgentConfig | None, attempt: str = "") -> "ActionUrl":
        """Return the address for a call of this agent; None when it was removed meanwhile."""
        return cls(agent.name if agent else "", agent.language if agent else "", attempt=attempt)

    @property
    def attempt_number(self) -> int | None:
        """The attempt as a number; None when there is none to read."""
        return int(self.attempt) if self.attempt.isascii() and self.attempt.isdigit() else None

    def at(self, base_url: str) -> str:
        """Return the whole address."""
        given = {"agent": self.agent_name, "language": self.language, "stream": self.over_stream_sid}
        given["attempt"] = self.attempt
        query = urlencode({name: value for name, value in given.items() if value})
        return f"{base_url}/twilio/next?{query}" if query else f"{base_url}/twilio/next"
