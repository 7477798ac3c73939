"""Voicemail on the call itself: a sentence, a tone, the caller's message in the recording, thanks."""

import asyncio
import math
from array import array

from config.on_failure import MessageLimits
from pipelines.announcer import Announcer
from pipelines.scribe import Scribe
from pipelines.sentences import SentenceKind, Spoken

_TONE_HZ, _TONE_SECS, _TONE_RATE_HZ, _TONE_LEVEL = 1000, 0.4, 24_000, 8000
_FADE_SECS = 0.01
_POLL_SECS = 0.1


def tone() -> Spoken:
    """Return the tone after which one speaks: 1 kHz for 0.4 s, PCM16 at 24 kHz, its edges softened."""
    count = int(_TONE_SECS * _TONE_RATE_HZ)
    fade = int(_FADE_SECS * _TONE_RATE_HZ)
    samples = array("h")
    for index in range(count):
        edge = min(1.0, index / fade, (count - 1 - index) / fade)
        samples.append(round(_TONE_LEVEL * edge * math.sin(2 * math.pi * _TONE_HZ * index / _TONE_RATE_HZ)))
    return Spoken("", samples.tobytes(), _TONE_RATE_HZ)


async def take_message(announcer: Announcer, scribe: Scribe, limits: MessageLimits) -> bool:
    """Ask for a message and wait until it is over: by silence, a pressed key, or `limits.max_secs`.

    The message is in the call's recording between `start_ms` and `end_ms` of the event `message.taken`. Returns False,
    with nothing said, when there is no sound to ask with, or nothing records.
    """
    if not scribe.is_recorded or announcer.find(SentenceKind.TAKE_MESSAGE) is None:
        return False
    await announcer.say_out(SentenceKind.TAKE_MESSAGE)
    await announcer.play_out(tone())
    start_ms = scribe.now_ms
    scribe.event("message.began")
    is_spoken = False
    while scribe.now_ms - start_ms < limits.max_secs * 1000:
        await asyncio.sleep(_POLL_SECS)
        # One who began over the tone speaks as well, and one who only presses a key does not.
        is_spoken = is_spoken or scribe.caller.is_speaking or (scribe.caller_began_ms or 0.0) > start_ms
        if scribe.digit_ms is not None and scribe.digit_ms > start_ms:
            break
        quiet_ms = scribe.now_ms - max(start_ms, scribe.last_caller_ms)
        if not scribe.caller.is_speaking and quiet_ms > limits.silence_secs * 1000:
            break
    scribe.event(
        "message.taken" if is_spoken else "message.empty", start_ms=round(start_ms), end_ms=round(scribe.now_ms)
    )
    await announcer.say_out(SentenceKind.MESSAGE_THANKS if is_spoken else SentenceKind.GOODBYE)
    return True
