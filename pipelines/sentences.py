"""The sentences that must be said whatever becomes of the model: kept as sound before a call needs them.

Three ways, in this order: read by the agent's own model and voice, made beforehand and cached under the data folder; a
clip shipped for the agent's language; None, and Twilio's voice has to say it after the stream was left.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from google.genai import Client
from loguru import logger

from config.agent import AgentConfig
from config.on_failure import SayRung, TakeMessageRung
from config.phrases import primary_language
from config.tools import fillers_of
from pipelines.sentence_choice import announces_transfer
from pipelines.sentence_clips import SentenceKind, ShippedClips, Spoken, load_shipped
from pipelines.sentence_files import SentenceFiles
from pipelines.sentence_maker import CannotRead, read_aloud
from pipelines.sentence_pauses import Pauses
from pipelines.sentence_reading import RATE_HZ, Reading, WrongReading
from pipelines.sentence_usage import Meter, Payer, TellUsage
from pipelines.spoken_language import in_all_languages

__all__ = ["SentenceKind", "Sentences", "Spoken", "open_sentences", "wanted_readings", "wording"]

_AT_ONCE = 2
_MOST_BYTES = 128 * 1024 * 1024  # about 45 minutes: 12 sentences of 100 agents, each in its own words and voice
_LOOK_SECS = 5.0
_BATCH = 50  # of files read in one go: about 10 MB
_NO_VARIABLES: Mapping[str, str] = {}


class Sentences:
    """Every sentence of the process that is there as sound. `find` and `find_text` are instant and touch no disk."""

    def __init__(
        self,
        folder: Path,
        shipped: ShippedClips,
        client: Client | None,
        *,
        tell_usage: TellUsage | None = None,
        most_bytes: int = _MOST_BYTES,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the folder of the cache, the shipped clips, and who reads aloud (None: nothing new is made).

        `tell_usage` is told what reading aloud used: of what is prepared as the first agent's that wants it.
        `most_bytes` bounds what is held in memory beside the shipped clips; `now` is a clock in seconds.
        """
        self._files = SentenceFiles(folder)
        self._shipped = shipped
        self._client = client
        self._meter = Meter(tell_usage)
        self._most_bytes = most_bytes
        self._held: dict[Reading, bytes] = {}
        self._held_bytes = 0
        self._pauses = Pauses(now)
        self._agents: tuple[AgentConfig, ...] = ()
        self._wanted: Mapping[Reading, tuple[str, SentenceKind]] = {}
        self._told: set[str] = set()

    def find(
        self, agent: AgentConfig, kind: SentenceKind, variables: Mapping[str, str] = _NO_VARIABLES
    ) -> Spoken | None:
        """Return one of the agent's sentences as sound, `variables` of the call filled in; None when there is none.

        The wording is the agent's own, or that of the shipped clip: `Spoken.text` tells what is said.
        """
        return self.find_text(agent, agent.render(wording(agent, kind), variables), kind)

    def find_text(self, agent: AgentConfig, text: str, kind: SentenceKind | None) -> Spoken | None:
        """As `find`, for a text with nothing to fill in; `kind` says which shipped clip may stand in, None: none."""
        reading = _reading(agent, text)
        pcm = self._held.get(reading) if reading is not None else None
        if pcm is not None:
            return Spoken(text, pcm, RATE_HZ)
        return None if kind is None else self._shipped.get((primary_language(agent.language), kind))

    async def read_now(self, agent: AgentConfig, text: str, client: Client | None, call_id: str) -> Spoken | None:
        """As `find_text` without a clip, and read aloud now when it is not held; None when that fails.

        `client` reads it, and the call pays. It takes seconds. What is read so is not kept: its words may be about
        one person.
        """
        reading = _reading(agent, text)
        if (held := self.find_text(agent, text, None)) is not None or reading is None or client is None:
            return held
        try:
            pcm = await self._read(client, reading, Payer(agent.name, call_id))
        except CannotRead as error:
            self._tell("a sentence cannot be read aloud; Twilio's voice stands in", reading, str(error))
            return None
        return Spoken(text, pcm, RATE_HZ)

    async def load(self, agents: Iterable[AgentConfig]) -> None:
        """Hold what the cache has of these agents' sentences; nothing is made."""
        await self._want(agents)
        await self._fetch([reading for reading in self._wanted if reading not in self._held])

    async def prepare(self, agents: Iterable[AgentConfig]) -> None:
        """Hold every sentence of these agents: from the cache, or read aloud now, two at a time.

        Returns when that is done or has failed; what failed is left alone for a while, by later calls too.
        """
        await self._want(agents)
        missing = [reading for reading in self._wanted if reading not in self._held and self._pauses.is_over(reading)]
        await self._fetch(missing)
        due = iter([reading for reading in missing if reading not in self._held])
        if self._client is None:
            for reading in due:
                self._pauses.failed(reading)
            return
        async with asyncio.TaskGroup() as makers:
            for number in range(_AT_ONCE):
                makers.create_task(self._make_all(self._client, due), name=f"sentence-maker-{number}")

    async def keep_prepared(self, agents: Callable[[], Sequence[AgentConfig]]) -> None:
        """Prepare the agents that there are at each moment, until cancelled."""
        while True:
            await self.prepare(agents())
            await asyncio.sleep(_LOOK_SECS)

    @property
    def is_counting(self) -> bool:
        """Whether a model has yet to tell what a sentence that is there has used."""
        return self._meter.is_counting

    async def close(self) -> None:
        """Leave the conversations that are open only to tell what they used."""
        await self._meter.close()

    async def _want(self, agents: Iterable[AgentConfig]) -> None:
        agents = tuple(agents)
        # By identity: an agent that was not edited is the same object in every catalog.
        if [id(agent) for agent in agents] == [id(agent) for agent in self._agents]:
            return
        self._agents, self._wanted = agents, wanted_readings(agents)
        models = {reading.model for reading in self._wanted}
        self._pauses.forget_all_but({*self._wanted, *models})
        await asyncio.to_thread(self._files.prune, tuple(self._wanted))

    async def _fetch(self, readings: Sequence[Reading]) -> None:
        for start in range(0, len(readings), _BATCH):
            batch = readings[start : start + _BATCH]
            found = await asyncio.to_thread(self._files.load_all, batch)
            for reading, pcm in zip(batch, found, strict=True):
                if pcm is not None:
                    self._hold(reading, pcm)

    async def _make_all(self, client: Client, readings: Iterator[Reading]) -> None:
        for reading in readings:
            await self._meter.wait_for_room()
            # Nobody may want it any more.
            if self._pauses.is_over(reading.model) and (wanted := self._wanted.get(reading)) is not None:
                await self._make(client, reading, agent_name=wanted[0])

    async def _make(self, client: Client, reading: Reading, agent_name: str) -> None:
        claim = self._files.claimed(reading)
        may_make = await asyncio.to_thread(claim.__enter__)
        try:
            if not may_make:
                return  # another process is at it; its file is found at the next look
            await self._fetch([reading])  # or was, a moment ago
            if reading in self._held:
                return
            pcm = await self._read(client, reading, Payer(agent_name))
        except CannotRead as error:
            self._put_off(reading, error)
        else:
            self._pauses.succeeded(reading)
            self._pauses.succeeded(reading.model)
            self._hold(reading, pcm)
            await asyncio.to_thread(self._files.save, reading, pcm)
        finally:
            await asyncio.to_thread(claim.__exit__, None, None, None)

    async def _read(self, client: Client, reading: Reading, payer: Payer) -> bytes:
        model, voice, language, text = reading.model, reading.voice, reading.language, reading.text
        return await read_aloud(client, model, voice, language, text, meter=self._meter, payer=payer)

    def _put_off(self, reading: Reading, error: CannotRead) -> None:
        self._pauses.failed(reading)
        # A sentence that is read wrongly says nothing about the next one; a model that cannot be reached does.
        if not isinstance(error.__cause__, WrongReading):
            self._pauses.failed(reading.model)
        self._tell("a sentence cannot be read aloud; a shipped clip or Twilio's voice stands in", reading, str(error))

    def _hold(self, reading: Reading, pcm: bytes) -> None:
        """Keep a sentence; what no agent wants any more makes room for it, as calls that need it grow fewer."""
        for other in list(self._held):
            if self._held_bytes + len(pcm) <= self._most_bytes:
                break
            if other not in self._wanted:
                self._held_bytes -= len(self._held.pop(other))
        if self._held_bytes + len(pcm) > self._most_bytes:
            self._pauses.failed(reading)
            self._tell("there is no room for more sentences", reading, f"{self._held_bytes} bytes are held")
            return
        self._held_bytes += len(pcm) - len(self._held.get(reading, b""))
        self._held[reading] = pcm

    def _tell(self, message: str, reading: Reading, cause: str) -> None:
        if (known := f"{message} {reading.model} {cause}") not in self._told and len(self._told) < 1000:
            self._told.add(known)
            wanted = " ".join(self._wanted.get(reading, ()))
            logger.bind(agent_and_kind=wanted, model=reading.model, cause=cause).warning(message)


@asynccontextmanager
async def open_sentences(
    folder: Path,
    client: Client | None,
    agents: Callable[[], Sequence[AgentConfig]],
    tell_usage: TellUsage | None = None,
) -> AsyncGenerator[Sentences]:
    """Load what is there and yield it, then make what is missing in the background until the end of the block.

    `folder` is the cache's; `client` reads aloud, None makes nothing; `agents` returns those in use at each moment;
    `tell_usage` is told what was used.
    """
    sentences = Sentences(folder, await asyncio.to_thread(load_shipped), client, tell_usage=tell_usage)
    await sentences.load(agents())
    keeping = asyncio.create_task(sentences.keep_prepared(agents), name="sentences")
    keeping.add_done_callback(_tell_of_the_end)
    try:
        yield sentences
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})
        await sentences.close()


def _tell_of_the_end(keeping: asyncio.Task[None]) -> None:
    if not keeping.cancelled() and (error := keeping.exception()) is not None:
        logger.opt(exception=error).error("no more sentences are prepared")


def wording(agent: AgentConfig, kind: SentenceKind) -> str:
    """Return the agent's own text of that kind, with its {variables} still in it."""
    if kind is SentenceKind.CONSENT:
        return agent.recording.announcement
    if kind is SentenceKind.DISCLOSURE:
        return agent.disclosure or ""
    if kind is SentenceKind.CONSENT_QUESTION:
        return agent.recording.question
    return str(getattr(agent.phrases, kind))


def wanted_readings(agents: Iterable[AgentConfig]) -> Mapping[Reading, tuple[str, SentenceKind]]:
    """Return what is to be made for these agents, the most needed first, each with the agent and kind it is for."""
    found: dict[Reading, tuple[str, SentenceKind]] = {}
    agents = tuple(agents)
    for kind in SentenceKind:
        for spoken in (spoken for agent in agents for spoken in in_all_languages(agent)):
            for text in _texts(spoken, kind):
                reading = _reading(spoken, spoken.render(text))
                if reading is not None:
                    found.setdefault(reading, (spoken.name, kind))
    return found


def _texts(agent: AgentConfig, kind: SentenceKind) -> Iterator[str]:
    """The texts of one kind that a call of this agent may ever need."""
    recording = agent.recording
    may_occur = {
        SentenceKind.DISCLOSURE: agent.outbound.enabled and bool(agent.disclosure),
        SentenceKind.CONSENT: recording.announces,
        SentenceKind.CONSENT_QUESTION: recording.asks,
        SentenceKind.TIME_WARNING: agent.limits.warn_at_secs is not None,
        SentenceKind.CONNECTING: announces_transfer(agent.on_failure),
        SentenceKind.TAKE_MESSAGE: any(isinstance(rung, TakeMessageRung) for rung in agent.on_failure),
    }
    may_occur[SentenceKind.MESSAGE_THANKS] = may_occur[SentenceKind.TAKE_MESSAGE]
    if may_occur.get(kind, True):
        yield wording(agent, kind)
    machine = agent.outbound.machine
    if kind is SentenceKind.APOLOGY and machine is not None and machine.message:
        yield machine.message
    if kind is SentenceKind.TOOL_FILLER:
        for transfer in agent.transfers.values():
            if transfer.mode == "warm":
                yield from filter(None, (transfer.say, transfer.hold_sentence))
    if kind is SentenceKind.APOLOGY:
        yield from (rung.say for rung in agent.on_failure if isinstance(rung, SayRung) and rung.say)
    if kind is SentenceKind.TOOL_FILLER:
        yield from fillers_of(agent.tools)


def _reading(agent: AgentConfig, text: str) -> Reading | None:
    """Return how the agent's own voice would read the text; None when no Gemini Live speaks for this agent."""
    stage = agent.pipeline.find("gemini_live")
    if stage is None or not text.strip():
        return None
    return Reading(str(stage.settings["model"]), str(stage.settings["voice"]), agent.language, text)
