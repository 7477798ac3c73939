"""Whether an agent's calls may cost any more today: asked before a call is placed or taken, and never of a live one."""

from collections.abc import Callable
from datetime import UTC, datetime

from aftercall.ledger import Ledger
from config.agent import AgentConfig
from config.pricing import MICRO


class Budgets:
    """Every method may raise `storage.errors.DatabaseAway`."""

    def __init__(self, ledger: Ledger, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Take what knows the costs, of all processes."""
        self._ledger, self._now = ledger, now

    async def problem_of(self, agent: AgentConfig, but: str = "") -> str | None:
        """Return in one sentence why no call of this agent may be placed; None: one may. The call `but` counts not."""
        most_usd = agent.budget.max_usd_per_day
        if most_usd is None or not await self._is_spent(agent, but):
            return None
        return (
            f"The calls of {agent.name} have cost today (UTC) what they may ({most_usd:g} US dollars). "
            "Try again tomorrow, or raise budget.max_usd_per_day of the agent."
        )

    async def refuses(self, agent: AgentConfig, but: str = "") -> bool:
        """Whether a call to this agent is to be refused. The call `but` counts not."""
        budget = agent.budget
        if budget.max_usd_per_day is None or budget.on_exceeded == "answer":
            return False
        return await self._is_spent(agent, but)

    async def _is_spent(self, agent: AgentConfig, but: str) -> bool:
        most_usd = agent.budget.max_usd_per_day
        spent = await self._ledger.spent_micro_usd(self._now(), agent.name, but=but)
        return most_usd is not None and spent >= round(most_usd * MICRO)
