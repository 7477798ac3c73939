"""How a call goes on through another pipeline on the same line: other stages for the same agent, or another agent."""

from collections.abc import Callable
from dataclasses import replace

from config.agent import AgentConfig
from config.pipeline import PipelineDefinition
from pipelines.course import Course
from pipelines.handoff import CannotSwitch, Handoffs, Stage
from pipelines.script import TakenOver
from pipelines.stages import CannotBuildPipeline, assemble
from pipelines.tools import Bot


def handoffs_of(course: Course) -> Handoffs:
    """Return the handoffs of a call that its agent has had from the beginning."""
    services = course.services
    handoffs = Handoffs(
        course.call,
        course.scribe,
        services.ringing,
        lambda name: None if services.agents is None else services.agents.catalog.by_name(name),
        stage=lambda: _stage(course),
        switch=lambda agent, bot, taken_over: _hand_over(course, agent, bot, taken_over),
        is_possible=course.voice.renew is not None,
    )
    handoffs.began_with(course.agent.name)
    return handoffs


async def switch_stages(course: Course, definition: PipelineDefinition) -> bool:
    """Go on with other stages on the same line; False when that cannot be."""
    if course.voice.renew is None or course.pipeline is None:
        return False
    if course.scribe.caller.is_speaking:
        course.scribe.caller_stopped(course.scribe.now_ms)  # the next pipeline's ears begin in silence
    agent = course.agent.model_copy(update={"pipeline": definition})
    voice = replace(course.voice, transport=course.voice.renew())
    course.pipeline.go_on_with(course.plan(agent, course.bot, voice, goes_on=True))
    return True


def _stage(course: Course) -> Stage:
    model = course.assembly.model
    return Stage(
        course.agent,
        course.assembly.announcer,
        hush=lambda: None if model is None else model.hush(),
        is_answering=lambda: model is not None and model.is_answering,
        is_over=lambda: course.is_ending,
    )


def _hand_over(course: Course, agent: AgentConfig, bot: Bot, taken_over: TakenOver) -> Callable[[], None]:
    """Build another agent's pipeline on the same line; returns what goes on with it."""
    if course.voice.renew is None or course.pipeline is None:
        raise CannotSwitch("this line cannot be handed on")
    voice = replace(course.voice, transport=course.voice.renew())
    try:
        assembly = assemble(course.plan(agent, bot, voice, goes_on=True, taken_over=taken_over))
    except CannotBuildPipeline as error:
        raise CannotSwitch(str(error)) from error

    def go_on() -> None:
        scribe = course.scribe
        if scribe.caller.is_speaking:
            scribe.caller_stopped(scribe.now_ms)  # the next pipeline's ears begin in silence
        scribe.agent_finished()  # a model that calls a tool in mid-turn never tells that its words were whole
        course.agent, course.bot = agent, bot
        course.live.agent = agent
        scribe.agent_name = agent.name
        scribe.log.belong_to(agent.name, is_searched=agent.search)
        scribe.event(
            "agent.handed_over", from_agent=taken_over.from_agent, to_agent=agent.name, summary=taken_over.summary
        )
        if course.ladder is not None and course.ladder.is_climbing:
            course.ladder.stop()  # another agent's model is there instead
        course.ladder = None
        course.attention = course.attend_as(agent)
        course.conductor.go_on_with(agent.limits, assembly.phrases, assembly.idle)
        if course.pipeline is not None:  # as it is now: the ladder may have changed it meanwhile
            course.pipeline.go_on_with(assembly)

    return go_on
