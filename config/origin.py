"""Where an agent comes from: a YAML file on disk, or the API, with a version and less that it may do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Origin:
    """What an agent's own fields do not tell.

    Attributes:
        version: Its number, for an agent that was stored over the API; None: it is a file's.
        secrets: Which secrets its tools may send, each with the hosts that may get it, none for any; None: all.
        content: What was written, as a mapping: defaults are not filled in.
    """

    version: int | None = None
    secrets: Mapping[str, frozenset[str]] | None = None
    content: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False)

    @property
    def is_stored(self) -> bool:
        """Whether it was written over the API."""
        return self.version is not None

    def may_send(self, secret: str, hosts: Iterable[str]) -> bool:
        """Whether a secret may be sent to these hosts, in small letters, by a tool of the agent."""
        if self.secrets is None:
            return True
        granted = self.secrets.get(secret)
        return granted is not None and (not granted or granted.issuperset(hosts))


IN_A_FILE = Origin()
"""What an agent is that nobody stored."""
