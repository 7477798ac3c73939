"""Transfers that would come back: to the caller himself, or to an agent of ours that transfers to this one. Pure."""

from collections.abc import Callable

from config.agent import AgentConfig
from config.on_failure import TransferRung
from config.transfers import Transfer, addresses_in

AgentByNumber = Callable[[str], AgentConfig | None]
"""Which of our agents answers a number."""


def loop_in(
    transfer: Transfer, agent: AgentConfig, party: str | None, line: str | None, by_number: AgentByNumber
) -> str | None:
    """Return why a transfer would go round in a circle; None: it does not.

    Args:
        transfer: Where the caller would go.
        agent: Who would send him there.
        party: The number of the person on the line.
        line: Our own number of this call.
        by_number: Finds our agents.
    """
    ours = {*agent.numbers, *filter(None, [line])}
    for target in transfer.to:
        if target.address == party:
            return "it is the number of the person on the line"
        if target.address in ours:
            return "it is the number of this call itself"
        if _comes_back(target.address, agent, ours, by_number):
            return "an agent of ours answers there and transfers back to this one"
    return None


def _comes_back(address: str, agent: AgentConfig, ours: set[str], by_number: AgentByNumber) -> bool:
    seen, waiting = set[str](), [address]
    while waiting:
        number = waiting.pop()
        other = None if number in seen else by_number(number)
        seen.add(number)
        if other is None:
            continue
        beyond = _addresses_of(other)
        if other.name == agent.name or not beyond.isdisjoint(ours):
            return True
        waiting += beyond
    return False


def _addresses_of(agent: AgentConfig) -> set[str]:
    """Where an agent may send callers, also when its model fails."""
    return addresses_in(agent.transfers) | {
        rung.transfer for rung in agent.on_failure if isinstance(rung, TransferRung)
    }
