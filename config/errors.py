"""What can be wrong with the configuration, said so that the reader knows where it is and how to cure it."""

from collections.abc import Iterable
from dataclasses import dataclass


def printable(text: str) -> str:
    """Return `text` on one line, with line breaks, control characters and lone surrogates escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One environment variable that cannot be used; `name` is the variable, "" when no single one is to blame."""

    name: str
    message: str

    def __str__(self) -> str:
        return printable(f"{self.name}: {self.message}" if self.name else self.message)


class ConfigError(Exception):
    """The environment holds settings that cannot be used. `str()` has one line per problem."""

    def __init__(self, problems: Iterable[SettingProblem]) -> None:
        self.problems: tuple[SettingProblem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class AgentProblem:
    """One thing wrong with an agent file.

    `file` is the path as the folder was named; `field` is dotted, with list positions counted from 0 in brackets
    (`numbers[0]`, `pipeline[3].gemini_live.voice`), and "" when the file as a whole is to blame; `cure` is "" when the
    message already says what to write.
    """

    file: str
    field: str
    message: str
    cure: str = ""

    def __str__(self) -> str:
        parts = [self.file, self.field, f"{self.message}; {self.cure}" if self.cure else self.message]
        return printable(": ".join(part for part in parts if part))


class AgentErrors(Exception):
    """Agent files cannot be used. `str()` has one line per problem: `file: field: what is wrong; how to cure it`."""

    def __init__(self, problems: Iterable[AgentProblem]) -> None:
        self.problems: list[AgentProblem] = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem that does not know its file yet: `path` holds the keys and list positions that lead to the value."""

    path: tuple[str | int, ...]
    message: str
    cure: str = ""


class UnknownVariable(ValueError):
    """A text names a {variable} that the agent does not declare."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name: str = name
        self.known: tuple[str, ...] = tuple(sorted(known))
        super().__init__(f"unknown variable {{{name}}}; known are: {', '.join(self.known) or 'none'}")
