"""What a check found: one line each."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How it stands; the word that begins the line."""

    OK = "ok"
    OFF = "off"
    """Not set up, which is fine for trying things out on one machine."""
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was looked at, and what was found; for a problem with its cure, behind a semicolon."""

    grade: Grade
    what: str
    found: str

    def __str__(self) -> str:
        """Return the line."""
        return f"{self.grade.value:8} {self.what}: {self.found}"


def ok(what: str, found: str) -> Finding:
    """It is as it should be."""
    return Finding(Grade.OK, what, found)


def off(what: str, found: str) -> Finding:
    """It is not set up, and need not be."""
    return Finding(Grade.OFF, what, found)


def problem(what: str, found: str) -> Finding:
    """Calls would suffer from it."""
    return Finding(Grade.PROBLEM, what, found)
