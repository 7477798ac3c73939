"""The agents and the schema that the project ships."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.agent import AgentConfig
from config.agent_schema import SCHEMA_FILE, render_schema, write_schema
from config.agents_folder import check_agents, load_agents
from config.pipeline import STAGES, PipelineDefinition

AGENTS = Path(__file__).parents[3] / "config" / "agents"


def test_they_have_no_problem() -> None:
    assert check_agents(AGENTS, None) == []


@pytest.mark.parametrize(
    ("number", "name", "bot"),
    [
        ("+15551230100", "front-desk", "receptionist"),
        ("+15551230101", "survey", "survey"),
        ("+15551230102", "echo", "echo"),
    ],
)
def test_who_answers_which_number(number: str, name: str, bot: str) -> None:
    agent = load_agents(AGENTS, known_bots=None).by_number(number)
    assert agent is not None
    assert (agent.name, agent.bot) == (name, bot)


def test_the_front_desk_spells_out_the_default_pipeline() -> None:
    agent = load_agents(AGENTS, known_bots=None).by_name("front-desk")
    assert agent is not None
    assert agent.pipeline == PipelineDefinition.default()
    assert agent.render(agent.greeting) == "Good morning, Blue Door Dental. How can I help?"


def test_the_survey_asks_three_questions_of_three_types() -> None:
    agent = load_agents(AGENTS, known_bots=None).by_name("survey")
    assert agent is not None
    assert [question["type"] for question in agent.settings["questions"]] == ["number", "text", "yes_no"]


def test_echo_needs_no_model() -> None:
    agent = load_agents(AGENTS, known_bots=None).by_name("echo")
    assert agent is not None
    assert agent.pipeline.find("gemini_live") is None
    echo = agent.pipeline.find("bots.echo.Echo")
    assert echo is not None
    assert echo.settings == {"delay_secs": 1.0}


def test_the_schema_is_up_to_date(tmp_path: Path) -> None:
    write_schema(tmp_path / "schema.json")
    assert (tmp_path / "schema.json").read_text(encoding="utf-8") == render_schema()
    assert SCHEMA_FILE.read_text(encoding="utf-8") == render_schema(), "run: .venv/bin/python cli.py agents schema"


def test_the_schema_names_every_field_and_stage_and_every_reference_resolves() -> None:
    schema: dict[str, Any] = yaml.safe_load(render_schema())
    assert set(schema["properties"]) == set(AgentConfig.model_fields) - {"name"}
    assert schema["required"] == ["bot"]
    names = [list(form["properties"])[0] for form in schema["$defs"]["Stage"]["anyOf"] if "properties" in form]
    assert names == list(STAGES)
    references = set(re.findall(r"#/\$defs/([^\"']+)", render_schema()))
    assert references <= set(schema["$defs"])


def test_each_file_points_editors_to_the_schema() -> None:
    for path in AGENTS.glob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=../agent.schema.json\n")
    assert (AGENTS / "../agent.schema.json").resolve() == SCHEMA_FILE
