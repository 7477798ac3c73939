"""Has the configured model read one sentence aloud, in a short conversation of its own, away from every call."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, cast

from google.genai import Client
from google.genai.errors import APIError
from google.genai.live import AsyncSession
from google.genai.types import (
    AudioTranscriptionConfig,
    Blob,
    Content,
    LiveConnectConfig,
    LiveServerContent,
    LiveServerMessage,
    Modality,
    Part,
    PrebuiltVoiceConfig,
    SpeechConfig,
    VoiceConfig,
)
from loguru import logger
from websockets.exceptions import WebSocketException

from pipelines.sentence_reading import RATE_HZ, Reading, WrongReading, check_words, trim_reading
from pipelines.sentence_usage import Meter, Payer, end

_LONGEST_SECS = 60
_LATE_SECS = 5.0
"""How long after its turn a model may yet tell what the turn has used."""
_INSTRUCTION = (
    "You read aloud, word for word, the one text in quotation marks that you are given, in the language {language}, "
    "calmly and kindly, as one speaks on the telephone. You add nothing, answer nothing and leave nothing out."
)
_SOUNDS = {"audio/pcm", f"audio/pcm;rate={RATE_HZ}"}  # Gemini's audio without a rate is 24 kHz as well
_TRIES = 2
_NOBODY = Payer("")


class CannotRead(Exception):
    """The model did not read the sentence aloud: it could not be reached, or it read something else twice."""


async def read_aloud(
    client: Client,
    model: str,
    voice: str,
    language: str,
    text: str,
    deadline_secs: float = 15,
    *,
    meter: Meter | None = None,
    payer: Payer = _NOBODY,
) -> bytes:
    """Return `text` as the model reads it: PCM16 little-endian, mono, 24 kHz, without silence around it.

    `model` may lack its "models/" prefix, `voice` is a prebuilt one, `language` a BCP 47 code. A reading that says
    something else is asked for once more; `deadline_secs` counts for each of the two, connecting included. `meter` is
    told what each of them used, as `payer`'s, which may be later than this returns.

    Raises:
        CannotRead: with the reason, in which no word of the text occurs.
    """
    reading, meter = Reading(model, voice, language, text), meter or Meter(None)
    for is_last in (*[False] * (_TRIES - 1), True):
        try:
            async with asyncio.timeout(deadline_secs):
                return await _read_once(client, reading, meter, payer)
        except TimeoutError as error:
            raise CannotRead(f"the model was not done within {deadline_secs:g} s") from error
        except WrongReading as error:
            if is_last:
                raise CannotRead(str(error)) from error
        except APIError as error:
            raise CannotRead(f"the model refused: {error.code} {error.message or ''}".strip()) from error
        except (OSError, WebSocketException) as error:
            raise CannotRead(f"the connection failed: {type(error).__name__}: {error}") from error
        except Exception as error:
            # The SDK raises whatever its reading of a strange message stumbles over; the text may hold that message.
            raise CannotRead(f"the model's answer cannot be read: {type(error).__name__}") from error
    raise AssertionError("the last try returns or raises")


async def _read_once(client: Client, reading: Reading, meter: Meter, payer: Payer) -> bytes:
    heard: asyncio.Future[tuple[bytes, str]] = asyncio.get_running_loop().create_future()
    name = "sentence read aloud"
    count = partial(meter.count, payer, reading.model) if meter.counts else None
    talk = asyncio.create_task(_converse(client, reading, heard, count), name=name)
    try:
        if count is not None:
            await asyncio.wait({talk, heard}, return_when=asyncio.FIRST_COMPLETED)
        if not heard.done():
            await talk  # raises what went wrong
        sound, said = await heard
    except BaseException:
        await end(talk)
        raise
    meter.see_off(talk)
    check_words(said, reading.text)
    return await asyncio.to_thread(trim_reading, sound, reading.text)


async def _converse(
    client: Client,
    reading: Reading,
    heard: "asyncio.Future[tuple[bytes, str]]",
    count: Callable[[dict[str, Any]], None] | None,
) -> None:
    """Have it read; `heard` is done once sound and words are whole, this once `count`, if any, was told the use."""
    config = LiveConnectConfig(
        response_modalities=[Modality.AUDIO],
        system_instruction=Content(parts=[Part(text=_INSTRUCTION.format(language=reading.language))]),
        speech_config=SpeechConfig(
            voice_config=VoiceConfig(prebuilt_voice_config=PrebuiltVoiceConfig(voice_name=reading.voice)),
            language_code=reading.language,
        ),
        output_audio_transcription=AudioTranscriptionConfig(),
    )
    quoted = reading.text.replace('"', "").replace("“", "").replace("”", "").replace("„", "")
    request = f'Say exactly this to the caller, and nothing else: "{quoted}"'
    model = reading.model
    full_name = model if model.startswith("models/") else f"models/{model}"
    is_counted = count is None
    async with asyncio.timeout(None) as limit, client.aio.live.connect(model=full_name, config=config) as session:
        await session.send_client_content(turns=Content(role="user", parts=[Part(text=request)]), turn_complete=True)
        sound, said = bytearray(), ""
        async with aclosing(_messages_of_a_turn(session)) as messages:
            async for message in messages:
                is_counted |= _count(message, count)
                content = message.server_content
                if content is None or heard.done():
                    continue
                if content.interrupted:
                    raise WrongReading("the model broke off")
                sound += b"".join(_sounds(content))
                if len(sound) > _LONGEST_SECS * RATE_HZ * 2:
                    raise WrongReading(f"the model went on for more than {_LONGEST_SECS} s")
                if content.output_transcription:
                    said += content.output_transcription.text or ""
                # The end of the turn comes as late as if all had been played; the end of the sound need not be awaited
                # any longer once the transcript, which may lag behind, is whole as well.
                if content.generation_complete and _is_whole(said, reading.text):
                    heard.set_result((bytes(sound), said))
                    if count is None:
                        return
                    limit.reschedule(asyncio.get_running_loop().time() + len(sound) / 2 / RATE_HZ + _LATE_SECS)
        if not heard.done():
            heard.set_result((bytes(sound), said))
        if not is_counted:
            limit.reschedule(asyncio.get_running_loop().time() + _LATE_SECS)
            async with aclosing(_messages_of_a_turn(session)) as messages:
                async for message in messages:
                    if _count(message, count):
                        break


def _count(message: LiveServerMessage, count: Callable[[dict[str, Any]], None] | None) -> bool:
    usage = message.usage_metadata
    told: dict[str, Any] = {} if usage is None else usage.model_dump(mode="json", exclude_none=True)
    if told and count is not None:
        count(told)
    return bool(told)


async def _messages_of_a_turn(session: AsyncSession) -> AsyncGenerator[LiveServerMessage]:
    while True:
        # The SDK says AsyncIterator; a generator it is, and has to be closed when it is left early.
        async with aclosing(cast(AsyncGenerator[LiveServerMessage], session.receive())) as messages:
            try:
                async for message in messages:
                    yield message
                return
            except TypeError:
                # google-genai 2.x takes a message of a kind that it does not know for an error without a code, and
                # fails to compare that; the message is read by then, and the next one may be for us.
                logger.bind(cause="a message of an unknown kind").debug("passed over while reading aloud")


def _sounds(content: LiveServerContent) -> list[bytes]:
    turn = content.model_turn
    blobs = [part.inline_data or Blob() for part in (turn.parts if turn else None) or []]
    for blob in blobs:
        if blob.data and (blob.mime_type or "").replace(" ", "") not in _SOUNDS:
            raise WrongReading(f"the model speaks {blob.mime_type}, not PCM at {RATE_HZ} Hz")
    return [blob.data for blob in blobs if blob.data]


def _is_whole(said: str, text: str) -> bool:
    try:
        check_words(said, text)
    except WrongReading:
        return False
    return True
