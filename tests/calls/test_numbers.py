"""`cli.py numbers`, against the stand-in Twilio: what is set, what is left alone, and what is refused."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.agents_folder import AgentCatalog, load_agents
from config.settings import Settings, environment_name
from doctor.numbers import CannotConnect, connect, disconnect, list_numbers
from simulators.twilio import TwilioSimulator
from simulators.twilio_rest import UPDATE_NUMBER

BASE = "https://voice.example.com"
DESK, NIGHT, FREE, OTHER = "+15551230100", "+15551230101", "+15551230102", "+15551240100"
BIN = "https://handler.twilio.com/twiml/EH1"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(environment_name(name), raising=False)


@pytest.fixture
async def twilio() -> AsyncGenerator[TwilioSimulator]:
    async with TwilioSimulator() as simulator:
        for number in (DESK, NIGHT, FREE):
            simulator.account.add_number(number)
        simulator.account.add_number(OTHER, {"VoiceUrl": "https://other.example/voice", "VoiceFallbackUrl": BIN})
        yield simulator


@pytest.fixture
def agents(tmp_path: Path) -> AgentCatalog:
    folder = tmp_path / "agents"
    folder.mkdir()
    for name, numbers in (("front-desk", [DESK, OTHER]), ("night", [NIGHT, "+15559990000"]), ("web", [])):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"bot": "receptionist", "numbers": numbers}))
    rules = {"routes": [{"numbers": [NIGHT], "rules": [{"when": {"withheld": True}, "then": {"agent": "web"}}]}]}
    (folder / "routing.yaml").write_text(yaml.safe_dump(rules))
    return load_agents(folder, known_bots=None)


def settings(twilio: TwilioSimulator, **changes: Any) -> Settings:
    given = {
        "twilio_account_sid": twilio.account_sid,
        "twilio_auth_token": twilio.auth_token,
        "twilio_api_base": twilio.base_url,
        "public_base_url": BASE,
    }
    return Settings.load(env_file=None, **(given | changes))


async def test_connecting_sets_what_leads_to_us_and_disconnecting_clears_no_more(
    twilio: TwilioSimulator, agents: AgentCatalog
) -> None:
    lines = await connect(settings(twilio), agents, DESK, "front-desk", None)
    number = twilio.account.find_number(DESK)
    assert (number["voice_url"], number["voice_method"]) == (f"{BASE}/twilio/voice", "POST")
    assert (number["status_callback"], number["voice_fallback_url"]) == (f"{BASE}/twilio/status", None)
    assert lines[0] == f"{DESK} is connected: Twilio asks {BASE}/twilio/voice"
    assert "answered by front-desk" in lines[1]
    assert "--fallback-url" in lines[2]

    await connect(settings(twilio), agents, "124 0100", None, None)  # its last digits, and what is there stays there
    assert twilio.account.find_number(OTHER)["voice_fallback_url"] == BIN
    await connect(settings(twilio), agents, NIGHT, "web", BIN)  # by the rules
    assert twilio.account.find_number(NIGHT)["voice_fallback_url"] == BIN

    listed = await list_numbers(settings(twilio), agents)
    assert listed == [
        f"{DESK}  answered by front-desk; voice: here; fallback: -; status: here",
        f"{NIGHT}  answered by routing.yaml, else night; voice: here; fallback: {BIN}; status: here",
        f"{FREE}  answered by nobody; voice: -; fallback: -; status: -",
        f"{OTHER}  answered by front-desk; voice: here; fallback: {BIN}; status: here",
        "+15559990000  is not on this account; named by night",
    ]

    lines = await disconnect(settings(twilio), OTHER)
    number = twilio.account.find_number(OTHER)
    assert (number["voice_url"], number["status_callback"], number["voice_fallback_url"]) == ("", "", BIN)
    assert lines == [f"{OTHER} is disconnected: voice_url, status_callback cleared", f"  {BIN} is left as it is"]
    assert "nothing is changed" in (await disconnect(settings(twilio), FREE))[0]
    # Every parameter that was sent is one that the SDK's own `update` knows.
    sent = [request.parameters for request in twilio.account.requests if request.method == "POST"]
    assert sent
    assert all(set(parameters) <= UPDATE_NUMBER for parameters in sent)


async def test_what_cannot_be_connected_is_one_line_and_changes_nothing(
    twilio: TwilioSimulator, agents: AgentCatalog
) -> None:
    trunk = twilio.account.add_number("+15551230199", {"TrunkSid": "TK1"})
    assert trunk["trunk_sid"] == "TK1"
    good = settings(twilio)
    for loaded, number, agent, fallback, message in (
        (good, "+15550000000", None, None, "is not a number of this account, which has:"),
        (good, "0100", None, None, f"may be any of {DESK}, {OTHER}; write the whole number"),
        (good, FREE, None, None, f'no agent answers {FREE}: add "{FREE}" to numbers: of one'),
        (good, FREE, "web", None, f'web does not list the number: add numbers: ["{FREE}"] to its file'),
        (good, DESK, "web", None, f"{DESK} belongs to front-desk"),
        (good, DESK, "dsek", None, "there is no agent 'dsek'; agents are: front-desk, night, web"),
        (good, DESK, None, "http://bin.example", "must be a whole https URL"),
        (good, DESK, None, f"{BASE}/twilio/voice", "leads to this server"),
        (settings(twilio, public_base_url=None), DESK, None, None, "TRUNKLINE_PUBLIC_BASE_URL must be the https"),
        (settings(twilio, twilio_account_sid=None), DESK, None, None, "set TWILIO_ACCOUNT_SID"),
        (settings(twilio, twilio_auth_token="wrong"), DESK, None, None, "HTTP 401, error 20003; check TWILIO"),
    ):
        with pytest.raises(CannotConnect) as caught:
            await connect(loaded, agents, number, agent, fallback)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
    catalog = await asyncio.to_thread(lambda: agents)
    with pytest.raises(CannotConnect, match="SIP trunk|no agent answers"):
        await connect(good, catalog, "+15551230199", None, None)
    assert not [request for request in twilio.account.requests if request.method == "POST"]


async def test_a_number_of_a_twiml_application_is_taken_out_of_it(
    twilio: TwilioSimulator, agents: AgentCatalog
) -> None:
    number = twilio.account.find_number(DESK)
    number["voice_application_sid"] = "AP1"
    await connect(settings(twilio), agents, DESK, None, None)
    assert number["voice_application_sid"] == ""
    twilio.arm("rest-500")
    with pytest.raises(CannotConnect, match="HTTP 500"):
        await connect(settings(twilio), agents, DESK, None, None)
