"""JSON Schema of an agent file, for editors: completion and checking while typing."""

import json
from pathlib import Path
from typing import Any

from config.agent import AgentConfig

SCHEMA_FILE = Path(__file__).parent / "agent.schema.json"


def agent_schema() -> dict[str, Any]:
    """Return the schema of what an agent file may hold. `name` is absent: it is the file's name."""
    schema = AgentConfig.model_json_schema()
    del schema["properties"]["name"]
    schema["required"].remove("name")
    schema["title"] = "Trunkline agent"
    schema["description"] = "One agent; the file's name is the agent's name."
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def render_schema() -> str:
    """Return the schema as the text of `agent.schema.json`."""
    return json.dumps(agent_schema(), indent=2, ensure_ascii=False) + "\n"


def write_schema(path: Path = SCHEMA_FILE) -> None:
    """Write the schema to `path`."""
    path.write_text(render_schema(), encoding="utf-8")
