"""All that comes after calls, opened together for one server process."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from loguru import logger

from aftercall import analysing, delivering
from aftercall.analysing import Analysing, Quota
from aftercall.analysis_store import AnalysisStore
from aftercall.budgets import Budgets
from aftercall.delivering import Delivering
from aftercall.delivery_store import DeliveryStore
from aftercall.ledger import Ledger
from aftercall.receivers import receivers_of
from aftercall.settling import AgentOf, Settling
from aftercall.text_model import TextModel
from aftercall.told_usage import ToldUsage
from config.prices import load_prices
from config.settings import Settings
from net.pinned import AddressGuard
from net.webhook_post import WebhookPost
from storage.engine import Database
from storage.errors import DatabaseAway
from storage.workflows import Workflows, WorkflowsElsewhere

_LOOK_SECS = 1.0
_SWEEP_EVERY = 15


@dataclass(frozen=True, slots=True)
class AfterCall:
    """What was opened. `ledger` knows what calls cost, `budgets` what they may; then rows, and who makes them.

    `told_usage` is told what models used outside of conversations.
    """

    ledger: Ledger
    told_usage: ToldUsage
    budgets: Budgets
    analysing: Analysing
    analyses: AnalysisStore
    delivering: Delivering
    deliveries: DeliveryStore
    settling: Settling

    async def sweep(self) -> None:
        """Do what follows from calls, and what is overdue. Raises `DatabaseAway`."""
        await self.settling.sweep()
        await self.delivering.sweep()
        await self.analysing.sweep()


@asynccontextmanager
async def open_after_call(
    settings: Settings, db: Database, workflows: Workflows, agent_of: AgentOf
) -> AsyncGenerator[AfterCall]:
    """Yield what comes after calls, at work until the end of the block.

    `workflows`, not yet started, say when; `agent_of` returns the agent of a call as it is now.
    """
    prices = (await asyncio.to_thread(load_prices)).prices
    post, model = WebhookPost(AddressGuard(frozenset(settings.tool_private_hosts))), TextModel(settings)
    analyses, deliveries = AnalysisStore(db, prices), DeliveryStore(db)
    schedule = partial(_schedule, workflows)
    sending = Delivering(deliveries, post, settings.tool_secrets, settings.webhook_secret, schedule)
    tell = partial(receivers_of, settings=settings)
    quota = Quota(settings.max_model_sessions, settings.text_requests_per_minute)
    making = Analysing(analyses, model, agent_of, tell, schedule, sending.begin, quota)
    workflows.add(delivering.WORK, (sending.attempt,), is_aside=True)
    workflows.add(analysing.WORK, (making.attempt,), is_aside=True)
    settling = Settling(db, prices, agent_of, tell, sending.begin, making.begin)
    ledger = Ledger(db, prices)
    after_call = AfterCall(ledger, ToldUsage(ledger), Budgets(ledger), making, analyses, sending, deliveries, settling)
    looking = asyncio.create_task(_keep_looking(after_call), name="after calls")
    try:
        yield after_call
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await after_call.told_usage.close()
        await post.close()
        await model.close()


async def _schedule(workflows: Workflows, work: str, key: str, delay_secs: float) -> None:
    try:
        await workflows.schedule(work, key, delay_secs=delay_secs)
    except (DatabaseAway, WorkflowsElsewhere) as error:
        # The row says that it is due: a sweep has it done a little later.
        logger.bind(work=work, problem=str(error)).warning("work after a call cannot be written down now")


async def _keep_looking(after_call: AfterCall) -> None:
    rounds, is_away = 0, False
    tasks: tuple[Callable[[], Awaitable[object]], ...] = (after_call.settling.sweep, after_call.sweep)
    while True:
        try:
            await after_call.told_usage.write()
            await tasks[rounds % _SWEEP_EVERY == 0]()
            is_away = False
        except DatabaseAway as error:
            if not is_away:
                logger.bind(problem=str(error)).warning("calls that are over cannot be looked for now")
            is_away = True
        except Exception as error:
            # What it says may be of the call; it is tried again in a second.
            logger.bind(problem=type(error).__name__).error("what comes after a call failed by a fault of the server")
        rounds += 1
        await asyncio.sleep(_LOOK_SECS)
