"""The levers on the way to the model and back: its client, its socket, its voice in pieces."""

from typing import Any

from api import opening
from bench.levers.patching import nothing, replace
from config.settings import Settings
from pipelines import gemini_live
from pipelines.gemini_live import GeminiLive
from pipelines.model_connection import ModelConnection
from pipelines.model_link import ModelLink
from pipelines.outbox import Audio, Item
from pipelines.voice_pieces import VoicePieces


def make_a_client_for_each_call() -> None:
    """Each link gets a client, and with it a trust store, of its own; on the event loop, where Pipecat makes one."""
    made_by: list[Settings] = []

    def remember(settings: Settings) -> object:
        made_by.append(settings)
        return make_client(settings)

    def open_with_own_client(link: Any) -> None:
        if link._task is None:
            link._client = make_client(made_by[-1])
        open_link(link)

    make_client = replace(opening, "client_for", remember)
    open_link = replace(ModelLink, "open", open_with_own_client)


def push_each_piece() -> None:
    """Words and voice go on as they come, a frame for each message."""

    async def push_words(model: Any, words: str) -> None:
        if not model._is_hushed:
            await model._push_words(words)

    replace(gemini_live, "VoicePieces", _PiecesAtOnce)
    replace(GeminiLive, "link_words", push_words)


class _PiecesAtOnce(VoicePieces):
    async def add(self, pcm: bytes, ahead_ms: float) -> None:
        await self._push_voice(pcm)


def talk_by_google_genai() -> None:
    """websockets' own connection, a queue and a task before it; google-genai reads and writes each message.

    Voice and words are then joined as otherwise: only their way here is another.
    """

    async def send(connection: ModelConnection, item: Item) -> None:
        if isinstance(item, Audio):
            await connection.session.send_realtime_input(
                audio={"data": item.pcm, "mime_type": f"audio/pcm;rate={item.hz}"}
            )
        else:
            await send_other(connection, item)

    async def link_message(model: GeminiLive, message: Any) -> None:
        speech = speech_of(message)
        if speech is None:
            await link_other(model, message)
        elif isinstance(speech, str):
            await model.link_words(speech)
        else:
            for pcm in speech:
                await model.link_voice(pcm)

    replace(ModelConnection, "hear_by", nothing)
    send_other = replace(ModelConnection, "send", send)
    link_other = replace(GeminiLive, "link_message", link_message)


def speech_of(message: Any) -> list[bytes] | str | None:
    """What `pipelines.model_voice.read_speech` finds in a message, of google-genai's model of it."""
    content = message.server_content
    if content is None or message.model_fields_set != {"server_content"}:
        return None
    if content.model_fields_set == {"output_transcription"}:
        return content.output_transcription.text or None
    if content.model_fields_set != {"model_turn"}:
        return None
    parts: list[Any] = content.model_turn.parts or []
    blobs: list[Any] = [part.inline_data for part in parts]
    return [blob.data for blob in blobs] if blobs and all(blob and blob.data for blob in blobs) else None
