"""`make demo`: the whole house in one process, one call, told as it goes, and proof that its traces agree."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import numpy as np
from pydantic import SecretStr

from config.settings import Settings
from demo.phone import NoAnswer, delays_line, phone
from demo.telling import Print
from server import RunningServer
from simulators.gemini_live import GeminiEmulator
from simulators.simulated_call import SimulatedCall
from simulators.twilio import TwilioSimulator
from transcripts.models import CallRow, TurnRow
from transcripts.recording_reader import RecordingReader, WavFile
from transcripts.recording_store import RecordingStore

_AGENT = "front-desk"
_LOUD = 500
_APART_MS = 300


async def run_demo(settings: Settings, *, write: Print, now: datetime) -> int:
    """Play the demo; returns the exit code: 0 when the call went well and transcript, recording and rows agree."""
    folder = settings.data_dir / "demo" / now.strftime("%Y-%m-%d-%H%M%S")
    async with AsyncExitStack() as closing:
        gemini = await closing.enter_async_context(GeminiEmulator(ca_dir=folder / "emulator"))
        twilio = await closing.enter_async_context(TwilioSimulator())
        demo = settings.model_copy(
            update={
                "host": "127.0.0.1",
                "port": 0,
                "public_base_url": None,
                "google_api_key": None,
                "gemini_base_url": gemini.base_url,
                "gemini_ca_file": gemini.ca_file,
                "twilio_account_sid": twilio.account_sid,
                "twilio_auth_token": SecretStr(twilio.auth_token),
                "twilio_api_base": twilio.base_url,
                "data_dir": folder,
                "prepare_sentences": False,
                "database_url": f"sqlite+aiosqlite:///{folder / 'trunkline.db'}",
            }
        )
        server = await closing.enter_async_context(RunningServer(demo))
        agent = (await server.services.current_agents()).by_name(_AGENT)
        if agent is None:
            write(f"the demo needs the shipped agent {_AGENT}")
            return 1
        write(f"A caller phones {agent.numbers[0]} ({agent.name}). Gemini and Twilio are stand-ins on this machine.\n")
        store, url = server.services.store, server.base_url
        try:
            call, row = await phone(twilio, agent, store, base_url=url, public_url=url, write=write)
        except NoAnswer as error:
            write(str(error))
            return 1
        turns = list(await store.list_turns(row.call_id))
        return await asyncio.to_thread(_report, server.services.recordings, folder, call, row, turns, write)


def _report(
    recordings: RecordingStore,
    folder: Path,
    call: SimulatedCall,
    row: CallRow,
    turns: Sequence[TurnRow],
    write: Print,
) -> int:
    reader = recordings.open(row.call_id)
    wav = folder / "call.wav"
    WavFile(reader).write_to(wav)
    write(f"\nThe call ended: {row.end_reason}. As the caller heard it, {delays_line(call)}.")
    write(f"  recording  {wav} ({reader.duration_ms / 1000:.1f} s, caller left, agent right)")
    write(f"  database   {folder / 'trunkline.db'}, table calls, call_id {row.call_id}, {len(turns)} turns")
    problems = list(_disagreements(reader, row, turns))
    for problem in problems:
        write(f"  PROBLEM    {problem}")
    if not problems:
        write("  checked    transcript, recording and rows agree")
    return 1 if problems else 0


def _disagreements(reader: RecordingReader, row: CallRow, turns: Sequence[TurnRow]) -> Iterator[str]:
    if row.end_reason != "bot_ended":
        yield f"the call should have ended by the bot's goodbye, not {row.end_reason}"
    if row.recording_status != "complete":
        yield f"the recording is {row.recording_status}: {row.recording_error}"
    if not any(turn.interrupted for turn in turns):
        yield "the caller's interruption is not in the transcript"
    audio, rate = np.abs(reader.read_pcm()), reader.sample_rate_hz
    for turn in turns:
        channel = 0 if turn.speaker == "caller" else 1
        inside = audio[turn.start_ms * rate // 1000 : turn.end_ms * rate // 1000, channel]
        if not len(inside) or (inside > _LOUD).mean() < 0.05:
            yield f"no voice in the recording where the {turn.speaker} said: {turn.text}"
    for channel, speaker in enumerate(("caller", "agent")):
        spoken = np.zeros(len(audio), dtype=bool)
        for turn in turns:
            if turn.speaker == speaker:
                first = max(0, turn.start_ms - _APART_MS) * rate // 1000
                spoken[first : (turn.end_ms + _APART_MS) * rate // 1000] = True
        outside = np.flatnonzero((audio[:, channel] > 4 * _LOUD) & ~spoken)
        if len(outside):
            yield f"the {speaker} is heard {outside[0] / rate:.1f} s into the recording, but the transcript has no turn"
