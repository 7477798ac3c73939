"""What is not the default pipeline: a cascade of three services, and bots written for Pipecat's own runner."""

import json
import subprocess
import sys
from pathlib import Path

CASCADE = [
    "transport.input",
    "silero_vad",
    {"tests.calls.tiny_services.LengthRecognizer": {}},
    "user_turns",
    {"tests.calls.tiny_services.ParrotModel": {"opening": "{business} hears"}},
    {"tests.calls.tiny_services.ToneVoice": {"hz": 700}},
    "transport.output",
    "recorder",
    "transcript",
]


async def test_a_cascade_is_a_different_list_and_not_different_code(make_house):
    house = await make_house(agents={"front-desk": {"pipeline": CASCADE}})
    call = await house.dial()
    await house.hear_out(call)
    await house.say(call, "ask-opening-hours")
    await house.hear_out(call)
    await call.hang_up()
    await call.ended()
    assert (await house.ended_row(call)).end_reason == "caller_hung_up"
    turns = [(turn.speaker, turn.text) for turn in await house.turns(call)]
    assert turns[0] == ("agent", "Good morning, Blue Door Dental. How can I help?")
    assert turns[1][0] == "caller"
    assert turns[1][1].startswith("[speech ")
    known = json.dumps({"open": "09:00", "close": "17:00"})
    assert turns[2] == ("agent", f"Blue Door Dental hears you said {turns[1][1]} and I know {known}.")
    [used] = await house.events(call, "tool.called")
    assert used.data["name"] == "opening_hours"
    usage = [event.data for event in await house.events(call, "model.usage")]
    [heard_ms] = [told["heard_ms"] for told in usage if told["model"] == "length"]
    assert abs(heard_ms / 1000 - float(turns[1][1].removeprefix("[speech ").removesuffix(" s]"))) <= 0.5
    said = [told["characters"] for told in usage if told["model"] == "tone"]
    assert (said[0], sum(said)) == (len(turns[0][1]), len(turns[0][1]) + len(turns[2][1]))
    assert {told["source"] for told in usage} == {"cascade"}


async def test_a_caller_interrupts_a_cascade(make_house):
    house = await make_house(agents={"front-desk": {"pipeline": CASCADE}})
    call = await house.dial()
    await house.hear_out(call)
    await house.say(call, "ask-opening-hours")
    await call.wait_heard()
    await call.silence(0.3)
    await house.say(call, "stop")
    await house.hear_out(call)
    assert len(call.clears) >= 1
    assert any(turn.interrupted for turn in await house.turns(call))


def generate_bot(folder: Path) -> str:
    """Have Pipecat's own command write a Twilio + Gemini Live bot; returns its source, unchanged."""
    command = Path(sys.executable).with_name("pipecat")
    arguments = ["init", str(folder / "made"), "-t", "twilio", "-m", "realtime", "--realtime", "gemini_live_realtime"]
    subprocess.run([command, *arguments, "--no-context-hub"], check=True, cwd=folder, capture_output=True, timeout=60)
    return (folder / "made" / "server" / "bot.py").read_text()


async def test_a_bot_that_pipecat_init_generated_answers_unchanged(make_house, bots_with, tmp_path, own_environment):
    source = generate_bot(tmp_path)
    agents = {"generated": {"bot": "generated", "numbers": ["+15551230199"]}}
    house = await make_house(agents=agents, bots_dir=bots_with("generated", source))
    call = await house.dial(to="+15551230199")
    await call.wait_heard(timeout_secs=30)
    await call.wait_quiet(quiet_ms=1000)
    await house.say(call, "hello")
    await house.hear_out(call)
    await call.hang_up()
    await call.ended()
    assert (await house.ended_row(call)).end_reason == "caller_hung_up"
    [conversation] = house.gemini.conversations
    assert [heard.clip for heard in conversation.heard] == ["hello"]
    assert len(conversation.said) == 2


async def test_a_generated_bot_is_held_to_the_longest_call(make_house, bots_with, tmp_path, own_environment):
    source = generate_bot(tmp_path)
    agents = {"generated": {"bot": "generated", "numbers": ["+15551230199"], "limits": {"max_call_secs": 10}}}
    house = await make_house(agents=agents, bots_dir=bots_with("generated", source))
    call = await house.dial(to="+15551230199")
    outcome = await call.ended(timeout_secs=40)
    assert outcome.ended_by == "server"
    assert (await house.ended_row(call)).end_reason == "time_limit"
