"""Putting the caller of a call in progress through: what transfers may do with it, and whether anybody can be rung."""

from collections.abc import Callable

from pipelines.away import Away
from pipelines.course import Course
from pipelines.transfers import TransferMeans, Transfers
from pipelines.warm_transfer import WarmMeans, WarmTransfer


def transfers_of(
    course: Course, away: Away | None, warm: WarmTransfer | None, on_answered: Callable[[], None]
) -> Transfers:
    """Return the transfers of a call.

    Args:
        course: The call.
        away: How it leaves its stream; None where it cannot.
        warm: Puts through warm; None where nobody can be rung.
        on_answered: Called when somebody has answered: the model is needed no more.
    """
    agents = course.services.agents
    return Transfers(
        TransferMeans(
            call=course.call,
            agent=lambda: course.agent,
            scribe=course.scribe,
            away=away,
            warm=warm,
            by_number=lambda number: None if agents is None else agents.catalog.by_number(number),
            announcer=lambda: course.assembly.announcer,
            tell_model=course.tell_model,
            hush=course.hush,
            is_ending=lambda: course.is_ending,
            leave=course.leave,
            on_answered=on_answered,
        )
    )


def warm_transfer_of(course: Course) -> WarmTransfer | None:
    """Return the warm transfer of a call; None where nobody can be rung for it."""
    ringer, conductor = course.services.ringer, course.conductor
    if ringer is None or not ringer.can_ring or not course.voice.is_phone:
        return None
    means = WarmMeans(
        call=course.call,
        agent=lambda: course.agent,
        scribe=course.scribe,
        ringer=ringer,
        announcer=lambda: course.assembly.announcer,
        tell_model=course.tell_model,
        is_ending=lambda: conductor.is_saying_goodbye,
        is_over=lambda: conductor.reason is not None,
        end=conductor.end,
    )
    return WarmTransfer(means)
