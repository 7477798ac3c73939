"""A slot for a call that begins here without one, as far as this process and the whole server go."""

from pipelines.live import LiveCall, LiveCalls
from switchboard.colleagues import Colleagues
from switchboard.refusal import Refusal


async def admit(colleagues: Colleagues, live: LiveCalls, call_id: str, call_sid: str = "") -> LiveCall | Refusal:
    """Admit a call here, or return why not: for a browser's call, and for a stream whose slot is somewhere else.

    While nobody can be asked about the whole server, this process keeps to its share.
    """
    if live.holds(call_id):
        return Refusal.PROCESS_FULL  # a call that is here already has no second slot
    answer = await colleagues.admit(call_id, call_sid)
    if answer is not None and answer.refusal:
        return Refusal(answer.refusal)
    refusal = Refusal.MAX_CALLS if answer is None and is_over_share(colleagues, live) else None
    taken = None if refusal else live.admit(call_id)
    if taken is not None:
        return taken
    if not live.holds(call_id):
        colleagues.freed(call_id)
    return refusal or live.refusal() or Refusal.PROCESS_FULL


def is_over_share(colleagues: Colleagues, live: LiveCalls) -> bool:
    """Whether a further call is more than this process may take while nobody can be asked."""
    return colleagues.share is not None and live.count >= colleagues.share
