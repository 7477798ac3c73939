"""`mcp:` of a tool: an MCP server, which is asked over HTTP or started as a process of ours."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from config.phrases import Sentence
from config.tools_http import HeaderName, WebAddress
from config.tools_templates import PlainText, SecretTemplate
from config.wording import problem


class McpServer(BaseModel):
    """Where the server is: `url`, or `command`; and what of it may be used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: WebAddress | None = Field(default=None, description="Streamable HTTP: the server's address.")
    headers: dict[HeaderName, SecretTemplate] = Field(default={}, description="Headers of every request, by name.")
    command: PlainText | None = Field(default=None, min_length=1, description="Stdio: the program to start.")
    args: tuple[PlainText, ...] = Field(default=(), description="Its arguments; everybody on the machine can see them.")
    env: dict[Sentence, SecretTemplate] = Field(default={}, description="Its environment, beside PATH and the like.")
    folder: str | None = Field(default=None, description="Where it runs; null: where the server does.")
    allow: tuple[Sentence, ...] = Field(default=(), description="Tools of the server that may be used; empty: all.")
    max_result_chars: int = Field(
        default=16_000, ge=100, le=200_000, description="The longest result; a longer one fails."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.url is None) == (self.command is None):
            raise problem("needs url or command, and not both", "url: for HTTP, command: for a process")
        for name in ("headers",) if self.url is None else ("args", "env", "folder"):
            if getattr(self, name):
                way = "command" if self.url is None else "url"
                raise problem(f"has {name}, which a server by {way} does not take", "remove it")
        return self
