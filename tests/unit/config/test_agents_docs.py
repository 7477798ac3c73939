"""docs/agents.md describes every field with its default and every stage, and its examples load."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from config.agent import AgentConfig, Limits, Phrases
from config.agent_file import Checks, parse_agent
from config.analysis import Analysis, AnalysisField
from config.budget import Budget
from config.digits import DigitField, Digits
from config.handoff import Handoff
from config.listening import Ambient, Idle, Listening
from config.on_failure import DEFAULT_LADDER, RUNGS, MessageLimits
from config.outbound import Outbound
from config.pipeline import STAGES, GeminiCompression, GeminiConnection, GeminiVad
from config.privacy import Privacy, Retention
from config.recording import Recording, WithoutConsent
from config.transfers import Target, Transfer
from config.webhooks import Webhook

TEXT = (Path(__file__).parents[3] / "docs" / "agents.md").read_text(encoding="utf-8")
HEADINGS = {
    AgentConfig: "Fields",
    Limits: "`limits`",
    Phrases: "`phrases`",
    Listening: "`listening`",
    Idle: "`idle`",
    Ambient: "`ambient`",
    Outbound: "`outbound`",
    Recording: "`recording`",
    Privacy: "`privacy`",
    Retention: "`retention`",
    Handoff: "`handoff`",
    WithoutConsent: "`without_consent`",
    Analysis: "`analysis`",
    AnalysisField: "`analysis`",
    Budget: "`budget`",
    Webhook: "`webhooks`",
    GeminiVad: "`gemini_live`",
    GeminiCompression: "`gemini_live`",
    GeminiConnection: "`gemini_live`",
    MessageLimits: "`take_message`",
    Transfer: "`transfers`",
    Target: "One of several in `to`",
    Digits: "`digits`",
    DigitField: "`digits.fields`",
    **{model: f"`{name}`" for name, model in STAGES.items()},
}


def section(heading: str) -> str:
    """The text below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"docs/agents.md has no heading {heading}"
    return found[1]


def rows(heading: str) -> dict[str, list[str]]:
    """The table rows of a section: first cell without its backticks -> the other cells."""
    lines = [line.strip("| ").split(" | ") for line in section(heading).splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in lines}


def names_of(model: type[BaseModel]) -> set[str]:
    """The fields as a file names them."""
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize("model", HEADINGS, ids=lambda model: model.__name__)
def test_every_field_has_a_row_with_its_default(model: type[BaseModel]) -> None:
    found = rows(HEADINGS[model])
    for own_name, field in model.model_fields.items():
        name = field.alias or own_name
        if (model, name) == (AgentConfig, "name"):
            continue
        assert name in found, f"{HEADINGS[model]} has no row for {name}"
        default = field.default
        if default is PydanticUndefined:
            assert field.default_factory is not None or found[name][0] == "needed", name
            continue
        if default == DEFAULT_LADDER:
            assert found[name][0] == "`[say, hang_up]`"
            continue
        shown = {None: "`null`", "": "empty", (): "`[]`"}.get(default if default != {} else None, f"`{default}`")
        if isinstance(default, tuple) and default:
            shown = f"`[{', '.join(map(str, default))}]`"
        shown = "`{}`" if default == {} else f"`{str(default).lower()}`" if isinstance(default, bool) else shown
        assert found[name][0] == shown, name


def test_no_row_describes_a_field_that_does_not_exist() -> None:
    for heading in set(HEADINGS.values()):
        known = {name for model, place in HEADINGS.items() if place == heading for name in names_of(model)}
        assert set(rows(heading)) <= known, heading


def test_every_step_of_the_ladder_has_a_row() -> None:
    assert [row.split(":")[0].removeprefix("- ") for row in rows("When the model fails")] == list(RUNGS)


def test_every_stage_has_a_heading() -> None:
    for name in STAGES:
        assert section(f"`{name}`").strip()


@pytest.mark.parametrize("example", re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))
def test_every_example_is_an_agent(example: str) -> None:
    _, problems = parse_agent(Path("example.yaml"), example.encode(), Checks({"receptionist": None}))
    assert problems == []


def test_the_example_of_a_problem_is_what_is_said() -> None:
    _, [problem] = parse_agent(
        Path("config/agents/x.yaml"), b"bot: receptionist\nlimits: {max_call_secs: 3}", Checks({"receptionist": None})
    )
    assert f"`{problem}`" in TEXT


@pytest.mark.parametrize("anchor", re.findall(r"\]\(#([a-z-]+)\)", TEXT))
def test_every_link_leads_somewhere(anchor: str) -> None:
    headings = [re.sub(r"[^a-z -]", "", line.lower()).strip() for line in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)]
    assert anchor in [heading.replace(" ", "-") for heading in headings]
