"""A call that needs a place, as another process can read it."""

from dataclasses import replace
from datetime import datetime

from switchboard.messages import Order
from transcripts.call import Call, Direction


def order_for(call: Call, *, keep_secs: float | None = None) -> Order:
    """Write a call that needs a place as another process can read it.

    `keep_secs`: how long the place is kept, when not as long as for any call that rings.
    """
    return Order(
        call_id=call.call_id,
        call_sid=call.call_sid or "",
        agent_name=call.agent_name,
        agent_version=call.agent_version,
        direction=call.direction.value,
        from_number=call.from_number,
        to_number=call.to_number,
        variables=dict(call.variables),
        started_at=call.started_at.isoformat(),
        is_announced=call.is_announced,
        is_disclosed=call.is_disclosed,
        overrides=dict(call.overrides),
        keep_secs=keep_secs,
    )


def call_in(order: Order) -> Call:
    """Read what `order_for` wrote."""
    call = Call(
        call_id=order.call_id,
        call_sid=order.call_sid or None,
        agent_name=order.agent_name,
        agent_version=order.agent_version,
        direction=Direction(order.direction),
        from_number=order.from_number,
        to_number=order.to_number,
        variables=dict(order.variables),
        started_at=datetime.fromisoformat(order.started_at),
        overrides=dict(order.overrides),
    )
    return replace(call, is_announced=order.is_announced, is_disclosed=order.is_disclosed)
