"""What the other processes of this server may ask of this one."""

import asyncio
import contextlib
from collections.abc import Mapping

from loguru import logger

from api.action_url import ActionUrl
from api.away import note_answered
from api.deps import Services
from api.lines import give_up, keep_slot
from api.next_twiml import decide_held
from api.orders import call_in
from api.transfer_answers import answer_here
from config.overrides import with_overrides
from storage.errors import DatabaseAway
from switchboard.messages import Order
from telephony.away_step import DialReport
from telephony.machine_detection import AnsweredBy
from telephony.webhooks import StreamOver
from transcripts.call import EndReason

_LOOK_SECS = 0.2
_FLUSH_SECS = 3.0
_END_GRACE_SECS = 3.0


class Errands:
    """This process's office, see `switchboard.colleagues.Office`."""

    def __init__(self, services: Services) -> None:
        """Take what the routes have; from now on the others are told what they are to know of this process's calls."""
        self._services = services
        services.live.on_freed = services.colleagues.freed

    @property
    def instance(self) -> str:
        """This process's name."""
        return self._services.instance

    def refusal(self) -> str:
        """Return why a further call would not be taken."""
        return self._services.live.refusal() or ""

    async def reserve(self, order: Order) -> str:
        """Keep a slot for a call that rings, at once, and connect its model; returns why not."""
        services = self._services
        is_first = not services.live.is_reserved(order.call_id) and not services.live.holds(order.call_id)
        if (refusal := keep_slot(services, order.call_id, order.keep_secs)) is not None:
            return refusal
        # The agent may have changed since this process last looked; it is read as it is now. A slow database
        # must not send the call elsewhere, or nowhere: whoever asked waits for half a second only.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECS):
                await services.current_agents()
        agent = services.agents.held(order.agent_name, order.agent_version)
        if is_first and agent is not None and services.live.is_reserved(order.call_id):
            call = call_in(order)
            services.answering.expect(call, with_overrides(agent, call.overrides))
        return ""

    async def run_errand(
        self, name: str, call_id: str, call_sid: str, details: Mapping[str, str]
    ) -> dict[str, str] | None:
        """Do something about a call that is here."""
        services = self._services
        match name:
            case "next":
                held = services.phone_calls.find(call_sid)
                if held is None:
                    return None
                over = StreamOver(call_sid, DialReport.from_details(details), details.get("stream_sid") or None)
                attempt = ActionUrl(attempt=details.get("attempt", "")).attempt_number
                return {"twiml": await decide_held(services, held, over, attempt)}
            case "answered":
                held = services.phone_calls.find(call_sid)
                if held is None:
                    return None
                note_answered(services, held)
                return {}
            case "caller_left":
                if (live := services.live.get(call_id)) is None:
                    held = services.phone_calls.find(call_sid)
                    # One that has ended here is written down by its log, as soon as the database takes it.
                    return None if held is None or held.reason is None else {}
                live.end(EndReason.CALLER_HUNG_UP)
                return {}
            case "end_call":
                if (live := services.live.get(call_id)) is None:
                    return None
                live.end(EndReason.ENDED_BY_API)
                return {}
            case "answered_by":
                if (live := services.live.get(call_id)) is None:
                    return None
                live.tell(AnsweredBy(details["answered_by"]))
                return {}
            case "hang_up":
                if (talk := services.talks.get(call_id)) is None:
                    return None
                talk.hang_up()
                return {}
            case "transfer":
                twiml = await answer_here(services.transfers, details["transfer_id"], details["what"], details)
                return None if twiml is None else {"twiml": twiml}
            case "write_down":
                await write_down(services, call_id)
                return {}
            case _:
                logger.bind(errand=name).warning("another process asks for something that this one does not know")
                return None

    def give_up(self, call_id: str) -> None:
        """Give back the slot of a call whose stream will not come here."""
        give_up(self._services, call_id)

    def heard_from(self, call_sid: str) -> None:
        """Twilio asked about this call."""
        self._services.rescue.heard_from(call_sid)

    def follow(self, call_id: str, *, is_on: bool) -> None:
        """Have rows of this call written at once, and told of; or not."""
        self._services.news.follow(call_id, is_on=is_on)

    async def close_calls_of(self, instance: str) -> None:
        """Close the calls of a process that is gone."""
        try:
            await self._services.sweeper.close_calls_if_dead(instance)
        except (DatabaseAway, OSError) as error:
            logger.bind(owner=instance, problem=str(error)).warning("the next sweep will close a dead process's calls")


async def write_down(services: Services, call_id: str) -> None:
    """Have what is known of a call in the database; of one of the playground that is just ending, its end too."""
    talk = services.talks.get(call_id)
    if talk is not None and talk.log.is_finished and talk.task is not None:
        await asyncio.wait({talk.task}, timeout=_END_GRACE_SECS)
    await services.log_writer.flush(_FLUSH_SECS)
