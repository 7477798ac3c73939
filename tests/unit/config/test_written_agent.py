"""An agent written over the API: what only files may hold, sizes, types, all problems at once, each with its cure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import BaseModel, FilePath

from config.agent import AgentConfig
from config.agent_file import Checks
from config.agent_schema import agent_schema
from config.agents_folder import AgentCatalog
from config.origin import Origin
from config.written_agent import clashes, read_written
from config.written_bounds import MAX_PROMPT_CHARACTERS, MAX_TOOLS


class Shop(BaseModel):
    price_list: FilePath | None = None
    tables: int = 1


CHECKS = Checks(known_bots={"assistant": None, "shop": Shop})
FILE_ONLY = "or have the operator put the agent into a YAML file"


def told(content: dict[str, Any], name: str = "desk") -> list[str]:
    from config.agent_file import dotted

    _, faults = read_written(name, {"bot": "assistant", **content}, Origin(1, {}, content), CHECKS)
    return [f"{dotted(fault.path)}: {fault.message}; {fault.cure}" for fault in faults]


def test_a_sound_agent_is_an_agent_of_files_with_its_version() -> None:
    content = {"bot": "assistant", "greeting": "Hello.", "numbers": ["+15551230100"], "limits": {"max_call_secs": 60}}
    agent, faults = read_written("desk", content, Origin(7, {}, content), CHECKS)
    assert faults == []
    assert agent is not None
    assert (agent.origin.version, agent.origin.content, agent.greeting) == (7, content, "Hello.")
    assert agent.model_copy(update={"greeting": "x"}).origin.version == 7, "what a call changes of it keeps its origin"


PREMIUM = "+19005550123"
DOTTED = "pipecat.processors.filters.identity_filter.IdentityFilter"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(
            {"pipeline": ["transport.input", DOTTED, "transport.output"]},
            "pipeline[1]: a class of Python's is not accepted over the API; name one of transport.input, ",
            id="dotted stage",
        ),
        pytest.param(
            {"pipeline": ["transport.input", {"os.system": {"command": "x"}}, "transport.output"]},
            "pipeline[1]: a class of Python's is not accepted over the API; name one of ",
            id="dotted stage with settings",
        ),
        pytest.param(
            {"pipeline": ["transport.input", {"name": DOTTED, "settings": {"a": 1}}, "transport.output"]},
            "pipeline[1]: a class of Python's is not accepted over the API; name one of ",
            id="dotted stage by its name",
        ),
        pytest.param(
            {"on_failure": [{"pipeline": ["transport.input", DOTTED, "transport.output"]}]},
            "on_failure[0].pipeline[1]: a class of Python's is not accepted over the API; name one of ",
            id="dotted stage of the ladder",
        ),
        pytest.param(
            {"tools": [{"crm": {"mcp": {"command": "/bin/sh"}}}]},
            "tools[0].crm.mcp.command: a program to start is not accepted over the API; "
            "give the url of a server that speaks MCP over HTTP, ",
            id="stdio command",
        ),
        pytest.param(
            {"tools": [{"crm": {"mcp": {"command": "x", "args": ["-c"]}}}]},
            "tools[0].crm.mcp.args: a program to start is not accepted over the API; give the url ",
            id="stdio arguments",
        ),
        pytest.param(
            {"tools": [{"crm": {"mcp": {"command": "x", "env": {"LD_PRELOAD": "x"}}}}]},
            "tools[0].crm.mcp.env: a program to start is not accepted over the API; give the url ",
            id="stdio environment",
        ),
        pytest.param(
            {"tools": [{"crm": {"mcp": {"command": "x", "folder": "/"}}}]},
            "tools[0].crm.mcp.folder: a program to start is not accepted over the API; give the url ",
            id="stdio folder",
        ),
        pytest.param(
            {"listening": {"ambient": {"sound": "/etc/passwd.wav"}}},
            "listening.ambient.sound: a file of the server's is not accepted over the API; name one of office, ",
            id="ambient sound",
        ),
        pytest.param(
            {"transfers": {"boss": {"to": "+15551230188", "describe": "The boss.", "hold": "../secret.WAV"}}},
            "transfers.boss.hold: a file of the server's is not accepted over the API; write music, silence, ",
            id="hold music",
        ),
        pytest.param(
            {"outbound": {"machine": {"do": "leave_message", "message_file": "/etc/passwd"}}},
            "outbound.machine.message_file: a file of the server's is not accepted over the API; write the sentence ",
            id="recorded message",
        ),
        pytest.param(
            {"bot": "shop", "settings": {"price_list": "/etc/passwd"}},
            "settings.price_list: a file of the server's is not accepted over the API; remove it, ",
            id="a bot's file",
        ),
        pytest.param(
            {"outbound": {"enabled": True, "allow_premium": True}},
            "outbound.allow_premium: costly numbers cannot be allowed over the API; remove it, ",
            id="premium numbers",
        ),
        pytest.param(
            {"on_failure": ["say", {"pipeline": ["transport.input", {DOTTED: {"a": 1}}, "transport.output"]}]},
            "on_failure[1].pipeline[1]: a class of Python's is not accepted over the API; name one of ",
            id="dotted stage with settings of the ladder",
        ),
        pytest.param(
            {"tools": ["end_call", {"crm": {"rules": {"a": {"confirm": "x"}}, "mcp": {"command": ["sh", "-c", "x"]}}}]},
            "tools[1].crm.mcp.command: a program to start is not accepted over the API; give the url ",
            id="stdio command as a list",
        ),
        pytest.param(
            {"tools": [{"crm": {"mcp": {"url": "https://a.example.com/mcp", "env": {"PATH": "x"}}}}]},
            "tools[0].crm.mcp.env: a program to start is not accepted over the API; give the url ",
            id="stdio environment beside a url",
        ),
        pytest.param(
            {
                "transfers": {
                    "a": {"to": "sip:a@b.c", "describe": "x", "mode": "warm", "hold": "/proc/self/environ.wav"}
                }
            },
            "transfers.a.hold: a file of the server's is not accepted over the API; write music, ",
            id="hold music of a warm transfer",
        ),
    ],
)
def test_what_only_a_file_may_hold_is_refused_with_place_and_cure(content: dict[str, Any], expected: str) -> None:
    [found] = [line for line in told(content) if line.startswith(expected.split(":")[0])]
    assert found.startswith(expected)
    assert found.endswith(FILE_ONLY)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ({"transfers": {"a": {"to": ["sip:a@b.c", {"address": PREMIUM}], "describe": "x"}}}, "transfers.a.to[1]"),
        ({"on_failure": ["say", {"transfer": PREMIUM}]}, "on_failure[1].transfer"),
    ],
)
def test_no_costly_number_is_rung_wherever_it_stands(content: dict[str, Any], place: str) -> None:
    [found] = told(content)
    assert found.startswith(f"{place}: {PREMIUM} is a premium-rate, shared-cost or satellite number; ")
    assert len(told(content | {"outbound": {"allow_premium": True}})) == 1, "and the switch for it is refused"


def test_no_file_is_looked_at_to_refuse_it(tmp_path: Path) -> None:
    # "There is no such file" and "it cannot be played" would tell a key what lies on the disk.
    there, absent = tmp_path / "there.wav", tmp_path / "absent.wav"
    there.write_bytes(b"no sound")

    def told_of(path: Path) -> list[str]:
        return told(
            {
                "listening": {"ambient": {"sound": str(path)}},
                "transfers": {"boss": {"to": "+15551230188", "describe": "The boss.", "hold": str(path)}},
                "outbound": {"machine": {"do": "leave_message", "message_file": str(path)}},
                "bot": "shop",
                "settings": {"price_list": str(path)},
            }
        )

    assert len(told_of(there)) == 4
    assert told_of(there) == told_of(absent)


def test_no_field_that_reads_a_file_or_names_a_program_is_overlooked() -> None:
    """A new field of this kind has to be refused in `config/written_refusals.py`, and named here."""
    found: set[str] = set()

    def walk(schema: Any, name: str) -> None:
        if isinstance(schema, Mapping):
            schema = cast(Mapping[str, Any], schema)
            if schema.get("format") in ("path", "file-path", "directory-path"):
                found.add(name)
            for key, inner in schema.items():
                if key == "properties":
                    for field, below in inner.items():
                        if field in {"command", "args", "env", "folder", "file", "path", "module", "script"}:
                            found.add(field)
                        walk(below, field)
                else:
                    walk(inner, name)
        elif isinstance(schema, list):
            for inner in cast(list[Any], schema):
                walk(inner, name)

    walk(agent_schema(), "")
    assert found == {"message_file", "command", "args", "env", "folder"}


def test_a_bot_that_there_is_not_is_refused() -> None:
    assert told({"bot": "asistant"}) == ["bot: there is no bot 'asistant'; did you mean 'assistant'?"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"limits": {"silence_ask_secs": True}}, "limits.silence_ask_secs: must be a number (got true); "),
        ({"limits": {"max_call_secs": "60"}}, "limits.max_call_secs: must be a number (got '60'); write it without"),
        ({"outbound": {"ring_secs": True}}, "outbound.ring_secs: must be a number (got true)"),
        ({"outbound": {"enabled": 1}}, "outbound.enabled: must be true or false (got 1); "),
        ({"outbound": {"enabled": "yes"}}, "outbound.enabled: must be true or false (got 'yes'); "),
        ({"retention": {"audio_days": True}}, "retention.audio_days: must be a whole number or null (got true); "),
        ({"pipeline": ["transport.input", {"silero_vad": {"stop_secs": "0.3"}}, "transport.output"]},
         "pipeline[1].silero_vad.stop_secs: must be a number (got '0.3'); "),
        ({"on_failure": [{"take_message": {"max_secs": "30"}}]},
         "on_failure[0].take_message.max_secs: must be a number (got '30'); "),
        ({"tools": [{"find": {"describe": "x", "http": {"url": "https://a.example.com", "retries": True}}}]},
         "tools[0].find.http.retries: must be a whole number (got true); "),
        ({"tools": [{"end_call": {"timeout_secs": "5"}}]}, "tools[0].end_call.timeout_secs: must be a number or null"),
        ({"transfers": {"b": {"to": [{"address": "+15551230188", "ring_secs": "9"}], "describe": "x"}}},
         "transfers.b.to[0].ring_secs: must be a whole number or null (got '9'); "),
        ({"bot": "shop", "settings": {"tables": True}}, "settings.tables: must be a whole number (got true); "),
        ({"greeting": 5}, "greeting: must be text (got 5); "),
        ({"colour": "blue"}, "colour: unknown field; "),
        ({"limits": {"max_cal_secs": 60}}, "limits.max_cal_secs: unknown field; did you mean 'max_call_secs'?"),
    ],
)  # fmt: skip
def test_no_value_is_taken_for_one_of_another_type(content: dict[str, Any], expected: str) -> None:
    [found] = told(content)
    assert found.startswith(expected)


def test_the_shipped_agents_and_forms_that_yaml_allows_have_no_fault_of_type() -> None:
    content: dict[str, Any] = {
        "pipeline": [
            {"transport.input": None}, {"silero_vad": {"stop_secs": 1}}, "user_turns", {"gemini_live": {}},
            "transport.output", "recorder", {"transcript": {}},
        ],
        "on_failure": ["say", {"model": "gemini-x"}, {"say": None}, {"transfer": "+15551230188"}],
        "listening": {"patience": 900, "idle": None},
        "disclosure": False,
        "tools": ["end_call", {"send_sms": None}, {"find": {"describe": "x", "http": {"url": "https://a.example.com"}}}],
        "transfers": {"one": {"to": "+15551230188", "describe": "x"}, "two": {"to": ["sip:a@b.c"], "describe": "y"}},
    }  # fmt: skip
    assert told(content) == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"instructions": "x" * (MAX_PROMPT_CHARACTERS + 1)}, "instructions: has 32001 characters, more than 32000; "),
        ({"greeting": "x" * 4001}, "greeting: has 4001 characters, more than 4000; shorten it"),
        ({"variables": {f"v{number}": "" for number in range(257)}}, "variables: has more than 256 names; remove some"),
        ({"numbers": ["+15551230100"] * 257}, "numbers: has more than 256 entries; remove some"),
        ({"tools": ["end_call"] * (MAX_TOOLS + 1)}, "tools: has more than 64 tools; "),
        ({"greeting": "a\x00b"}, "greeting: holds a control character; "),
        ({"greeting": "a\ud800b"}, "greeting: holds half of a surrogate pair; "),
        ({"variables": {"a\x00": "b"}}, "variables: has a name that holds a control character; "),
        ({"variables": {"a" * 201: "b"}}, "variables: has a name that has 201 characters, more than 200; "),
        ({"settings": {"n": 2**60}}, "settings.n: is too large a number; "),
        ({"settings": {"n": float("inf")}}, "settings.n: is no number that JSON knows; "),
    ],
)
def test_sizes_and_texts_are_bounded(content: dict[str, Any], expected: str) -> None:
    [found] = told(content)
    assert found.startswith(expected)


def test_nesting_is_bounded() -> None:
    nested: Any = "x"
    for _ in range(200):
        nested = [nested]
    [found] = told({"settings": {"deep": nested}})
    assert "is nested more than 24 levels deep; flatten it" in found


def test_a_name_is_not_written_into_the_content_and_has_a_form() -> None:
    assert told({"name": "x"}) == ["name: is not a part of the content; give it beside the content"]
    for name in ("", "Desk", "../x", "a" * 64, "-a"):
        assert told({}, name)[0].startswith("name: is not a usable agent name; use lower-case letters")


def test_all_problems_are_told_at_once() -> None:
    found = told(
        {
            "numbers": ["5551230100"],
            "greetin": "Hello",
            "limits": {"max_call_secs": 5},
            "pipeline": ["transport.input", DOTTED, "transport.output"],
            "listening": {"ambient": {"sound": "x.wav"}},
            "tools": [{"crm": {"mcp": {"command": "x"}}}],
        }
    )
    places = {line.split(":")[0] for line in found}
    assert places == {
        "numbers[0]", "greetin", "limits.max_call_secs", "pipeline[1]", "listening.ambient.sound",
        "tools[0].crm.mcp.command",
    }  # fmt: skip


def test_numbers_and_handoffs_are_held_against_the_other_agents() -> None:
    other = AgentConfig(name="front", bot="assistant", numbers=("+15551230100",))
    catalog = AgentCatalog([other])
    content = {"bot": "assistant", "numbers": ["+15551230100", "+15551230101"], "handoff": {"to": {"frnt": "x"}}}
    agent, _ = read_written("desk", content, Origin(1, {}, content), CHECKS)
    assert agent is not None
    number, handoff = clashes(agent, catalog)
    assert (number.path, number.message) == (("numbers", 0), "+15551230100 is answered by front already")
    assert (handoff.path, handoff.cure) == (("handoff", "to", "frnt"), "did you mean 'front'?")
