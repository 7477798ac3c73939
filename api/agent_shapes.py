"""What `/v1/agents` takes and answers."""

from typing import Annotated, Any, Literal

from fastapi import Header, Path, Query
from pydantic import ConfigDict, Field, StringConstraints

from api.problems import Fault
from api.shapes import Given, Moment, Shown

_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
_EXAMPLE: dict[str, Any] = {
    "bot": "assistant",
    "numbers": ["+15551230177"],
    "greeting": "Hello, this is Blue Door Dental. How can I help?",
    "instructions": "You take calls for a dentist. Be brief and kind.",
}

AgentName = Annotated[str, Path(pattern=_NAME, description="The agent's name.", examples=["blue-door"])]
VersionNumber = Annotated[int, Path(ge=1, le=2**31 - 1, description="A version's number.", examples=[3])]
WhichVersion = Annotated[
    str, Query(pattern=r"^([1-9][0-9]{0,8}|latest|published)$", description="A number, `latest` or `published`.")
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=200,
        description='The ETag of the latest version that you know, as `"3"`; `*`: whatever it is.',
        examples=['"3"'],
    ),
]

Content = Annotated[
    dict[str, Any],
    Field(
        description="What an agent's file holds, see docs/agents.md; some of it is for files only.", examples=[_EXAMPLE]
    ),
]
Yaml = Annotated[str, StringConstraints(max_length=64 * 1024), Field(description="The same as YAML, in its place.")]
Note = Annotated[str, StringConstraints(max_length=500), Field(description="Why, for whoever looks back.")]


class _Written(Given):
    content: Content | None = None
    yaml: Yaml | None = None


class AgentToCheck(_Written):
    """An agent that is to be checked: `content` or `yaml`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "blue-door", "content": _EXAMPLE}]})

    name: str = Field(default="unnamed", pattern=_NAME, description="What it is to be called.")


class NewAgent(_Written):
    """An agent that is to be stored: `content` or `yaml`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "blue-door", "content": _EXAMPLE, "publish": True, "note": "first"}]}
    )

    name: str = Field(pattern=_NAME, description="Lower-case letters, digits and dashes.", examples=["blue-door"])
    publish: bool = Field(default=False, description="Let it answer calls at once.")
    note: Note | None = None


class ChangedAgent(_Written):
    """A new version of an agent: `content` or `yaml`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"content": _EXAMPLE, "note": "another greeting"}]})

    publish: bool = Field(default=False, description="Let it answer calls at once.")
    note: Note | None = None


class PatchedAgent(Given):
    """What is to be different in a new version: a JSON Merge Patch (RFC 7396) of the latest one; null removes."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"content": {"greeting": "Good day."}, "publish": True, "note": "shorter"}]}
    )

    content: Annotated[dict[str, Any], Field(examples=[{"greeting": "Good day.", "limits": None}])]
    publish: bool = Field(default=False, description="Let it answer calls at once.")
    note: Note | None = None


class RollBack(Given):
    """To which version; left out: the one that was published before the one that is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"to": 3}, {}]})

    to: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(default=None, description="A version's number.")


class AgentListed(Shown):
    """One agent. What depends on its content is that of the version in force, and empty when there is none."""

    name: str
    source: Literal["yaml", "api"] = Field(description="A file on the server, or the API.")
    is_read_only: bool = Field(description="Whether it is changed on the server's disk only.")
    is_in_force: bool = Field(description="Whether it answers calls now.")
    published_version: int | None = Field(description="Which version answers calls; null for a file, or for none.")
    latest_version: int | None = Field(description="The newest version; null for a file.")
    bot: str | None
    language: str | None
    numbers: list[str] = Field(description="Numbers that it answers, E.164.")
    created_at: Moment | None
    updated_at: Moment | None
    problems: list[Fault] = Field(description="What keeps it, or a part of it, from working here and now.")


class AgentPage(Shown):
    """Agents by name; `next_cursor` asks for the next page."""

    agents: list[AgentListed]
    next_cursor: str | None


class AgentShown(AgentListed):
    """One agent with what was written of it."""

    version: int | None = Field(description="Which version `content` is; null for a file.")
    content: dict[str, Any] = Field(description="As it was written: defaults are not filled in.")
    yaml: str = Field(description="The same as YAML.")


class VersionListed(Shown):
    """One version."""

    number: int
    is_published: bool
    created_at: Moment
    created_by: str = Field(description="The API key's id; empty in the open mode.")
    published_at: Moment | None = Field(description="When it was published first.")
    note: str | None
    content_hash: str = Field(description="The same for the same content.")


class VersionPage(Shown):
    """Versions, the newest first."""

    versions: list[VersionListed]
    next_cursor: str | None


class VersionShown(VersionListed):
    """One version with its content."""

    content: dict[str, Any]
    yaml: str


class ChangeShown(Shown):
    """One place that is different."""

    path: str = Field(examples=["tools[0].http.url"])
    kind: Literal["added", "removed", "changed"]
    before: Any
    after: Any


class Difference(Shown):
    """What is different between two versions."""

    from_version: int
    to_version: int
    changes: list[ChangeShown]
    yaml_diff: str = Field(description="Both as YAML in a unified diff; empty when they are the same.")


class Checked(Shown):
    """What a check found."""

    is_ok: bool
    problems: list[Fault]
