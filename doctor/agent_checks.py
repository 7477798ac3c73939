"""The agents' ladders, models and sentences."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from config.agent import AgentConfig
from config.on_failure import ModelRung, PipelineRung, TransferRung
from config.phrases import primary_language
from config.pipeline import GeminiLive as GeminiLiveSettings
from config.pipeline import PipelineDefinition
from config.settings import Settings
from doctor.findings import Finding, off, ok, problem
from pipelines.model_failures import ModelFailure
from pipelines.model_probe import probe_models
from pipelines.sentence_clips import SentenceKind, load_shipped
from pipelines.sentence_files import SentenceFiles
from pipelines.sentences import wanted_readings


def check_ladders(agents: Sequence[AgentConfig]) -> Iterator[Finding]:
    """Find transfers that lead back to one of our own numbers; a failing server would be asked for help by itself."""
    ours = {number: agent.name for agent in agents for number in agent.numbers}
    for agent in agents:
        what = f"on_failure of {agent.name}"
        numbers = [rung.transfer for rung in agent.on_failure if isinstance(rung, TransferRung)]
        leads_back = [ours[number] for number in numbers if number in ours]
        if leads_back:
            yield problem(
                what, f"the transfer leads to the number of {leads_back[0]}, of this server; name a person's number"
            )
        else:
            steps = ", ".join(next(iter(type(rung).model_fields)) for rung in agent.on_failure)
            yield ok(what, steps or "nothing; the caller hears the apology")


async def check_models(settings: Settings, agents: Sequence[AgentConfig]) -> list[Finding]:
    """Connect once to each model that an agent names, for its calls or on its ladder."""
    stages: dict[str, tuple[GeminiLiveSettings, str]] = {}
    names: dict[str, list[str]] = {}
    for agent in agents:
        for stage in _models_of(agent):
            stages.setdefault(stage.model, (stage, agent.language))
            if agent.name not in names.setdefault(stage.model, []):
                names[stage.model].append(agent.name)
    answers = await probe_models(settings, list(stages.values()))
    if answers is None:
        return [off("models", "GOOGLE_API_KEY is not set; fine for local use: `cli.py run` lets a stand-in speak")]
    findings: list[Finding] = []
    for model, answer in zip(stages, answers, strict=True):
        what = f"model {model} of {', '.join(names[model])}"
        if isinstance(answer, ModelFailure):
            findings.append(problem(what, answer.sentence))
        else:
            findings.append(ok(what, f"ready in {answer:.1f} s"))
    return findings


async def check_sentences(folder: Path, agents: Sequence[AgentConfig]) -> list[Finding]:
    """Count, for each agent, which of its sentences are there as sound, and whose voice says them."""
    return await asyncio.to_thread(lambda: list(_check_sentences(folder, agents)))


def _check_sentences(folder: Path, agents: Iterable[AgentConfig]) -> Iterator[Finding]:
    shipped, files = load_shipped(), SentenceFiles(folder)
    for agent in agents:
        language = primary_language(agent.language)
        readings = wanted_readings([agent])
        kinds = [kind for _agent_name, kind in readings.values()] or list(SentenceKind)
        cached = [pcm is not None for pcm in files.load_all(readings)] or [False] * len(kinds)
        clips = sum((language, kind) in shipped for kind, is_own in zip(kinds, cached, strict=True) if not is_own)
        silent = len(kinds) - sum(cached) - clips
        parts = {"read by its own voice": sum(cached), "by a shipped clip": clips, "by Twilio's voice only": silent}
        told = ", ".join(f"{count} {how}" for how, count in parts.items() if count)
        what = f"sentences of {agent.name}"
        if silent:
            yield off(what, f"{told}; they are made as soon as its model can be reached" if readings else told)
        else:
            yield ok(what, told)


def _models_of(agent: AgentConfig) -> Iterator[GeminiLiveSettings]:
    own = _live_stage(agent.pipeline)
    if own is not None:
        yield own
    for rung in agent.on_failure:
        if isinstance(rung, ModelRung):
            yield (own or GeminiLiveSettings()).model_copy(update={"model": rung.model})
        elif isinstance(rung, PipelineRung) and (other := _live_stage(rung.pipeline)) is not None:
            yield other


def _live_stage(pipeline: PipelineDefinition) -> GeminiLiveSettings | None:
    stage = pipeline.find("gemini_live")
    return None if stage is None else GeminiLiveSettings.model_validate(stage.settings)
