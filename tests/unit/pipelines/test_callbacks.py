"""The tool `schedule_callback`: when a model says that it shall be, and who has the tool."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bots.receptionist import bot as receptionist
from config.agent import AgentConfig
from config.settings import Settings
from pipelines import schedule_callback
from pipelines.callbacks import CannotCallBack, read_when, schedule_callback_for
from pipelines.gemini_setup import declare_tools
from pipelines.toolbox import Toolbox

MODEL = "models/gemini-3.1-flash-live-preview"
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 2, 15, 20, 30, tzinfo=UTC)  # 16:20:30 in Berlin


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ("2026-03-02T18:00", "2026-03-02T17:00"),
        ("2026-03-02 18:00:59", "2026-03-02T17:00"),
        ("2026-07-01T18:00", "2026-07-01T16:00"),
        ("2026-03-02T18:00:00Z", "2026-03-02T18:00"),
        ("2026-03-02T18:00-05:00", "2026-03-02T23:00"),
        ("in 20 minutes", "2026-03-02T15:40"),
        ("in 1 minute", "2026-03-02T15:21"),
        ("20", "2026-03-02T15:40"),
        ("In 2 hours", "2026-03-02T17:20"),
    ],
)
def test_times_are_read_as_models_say_them(said: str, at: str) -> None:
    assert read_when(said, BERLIN, NOW) == datetime.fromisoformat(at).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("tomorrow", "'tomorrow' is no time; give date and time like"),
        ("", "'' is no time"),
        ("2026-03-05", "The time of day is missing"),
        ("2026-03-02T16:20", "That is over: it is 2026-03-02 16:20 now; give a later time."),
        ("in 0 minutes", "That is over"),
    ],
)
def test_what_is_no_time_to_come_is_told_the_model_with_the_cure(said: str, why: str) -> None:
    with pytest.raises(CannotCallBack) as raised:
        read_when(said, BERLIN, NOW)
    assert str(raised.value).startswith(why)


def agent(**outbound: Any) -> AgentConfig:
    fields = {"name": "desk", "bot": "receptionist", "tools": ["schedule_callback"], "outbound": outbound}
    return AgentConfig.model_validate(fields)


def test_only_an_agent_that_may_place_calls_has_it() -> None:
    toolbox = Toolbox({"receptionist": receptionist}, Settings.load(env_file=None))
    assert list(toolbox.faults_of(agent(enabled=True))) == []
    [fault] = toolbox.faults_of(agent())
    assert (fault.path, fault.message) == (("tools", 0, "schedule_callback"), "the agent may not place calls")


def test_a_model_sees_its_arguments_the_day_and_the_zone() -> None:
    told = schedule_callback_for(agent(enabled=True, zone="Europe/Berlin"))
    [declared] = declare_tools([told], MODEL)[0]["function_declarations"]
    assert declared["name"] == "schedule_callback"
    assert "(Europe/Berlin)" in declared["description"]
    [plain] = declare_tools([schedule_callback], MODEL)[0]["function_declarations"]
    assert plain["name"] == "schedule_callback"
    assert plain["parameters"] == declared["parameters"]
    assert set(plain["parameters"]["properties"]) == {"when", "reason"}
