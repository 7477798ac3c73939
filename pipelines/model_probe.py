"""One connection to each of some models, to see whether it would take a call."""

import asyncio
import time
from collections.abc import Sequence

from google.genai import Client

from config.pipeline import GeminiLive as GeminiLiveSettings
from config.settings import Settings
from pipelines.gemini_client import client_for
from pipelines.gemini_setup import LiveSetup, model_path
from pipelines.model_failures import ModelFailure, NotReady, sort_failure


async def probe_models(
    settings: Settings, stages: Sequence[tuple[GeminiLiveSettings, str]]
) -> list[ModelFailure | float] | None:
    """Connect to each stage's model as a call does and close again; nothing is said, so nothing is paid for.

    `stages` come with their agent's language, BCP 47. Returns, for each in this order, the seconds until it was ready,
    or why it was not within its `connection.ready_secs`; None for all when there is neither a key nor an endpoint.
    """
    client = await asyncio.to_thread(client_for, settings)
    if client is None:
        return None
    try:
        return await asyncio.gather(*(_probe(client, stage, language) for stage, language in stages))
    finally:
        await client.aio.aclose()


async def _probe(client: Client, stage: GeminiLiveSettings, language: str) -> ModelFailure | float:
    config = LiveSetup(stage, language, instructions="").config(handle=None, has_history=False)
    began_secs = time.monotonic()
    try:
        async with asyncio.timeout(stage.connection.ready_secs):
            connection = client.aio.live.connect(model=model_path(stage.model), config=config)
            session = await connection.__aenter__()
        took_secs = time.monotonic() - began_secs
        await connection.__aexit__(None, None, None)
    except Exception as error:  # whatever it is, it is the answer to the question
        return sort_failure(error)
    return took_secs if session.setup_complete is not None else sort_failure(NotReady())
