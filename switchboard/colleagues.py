"""What a process may ask of the others, and what they may ask of it; and a process that has no others."""

import asyncio
from collections.abc import Collection, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from switchboard.messages import Order, Placed


class Colleagues(Protocol):
    """The other processes, as one of them sees them. None for an answer: nobody could be asked, decide alone."""

    @property
    def share(self) -> int | None:
        """How many calls this process may have while nobody can be asked; None: as many as its own limits allow."""
        ...

    async def place(self, order: Order) -> Placed | None:
        """Have a call that rings placed at the process that has the most room, and its model connected there."""
        ...

    async def admit(self, call_id: str, call_sid: str = "") -> Placed | None:
        """Count a call that begins here without having been placed here, as far as the whole server has room."""
        ...

    def freed(self, call_id: str) -> None:
        """Tell that this process has the call no more."""
        ...

    def give_up(self, call_id: str) -> None:
        """Have the slot of a call given back whose stream will not come, wherever it is kept."""
        ...

    async def run_errand(
        self, name: str, *, call_id: str = "", call_sid: str = "", timeout_secs: float, **details: str
    ) -> Mapping[str, str] | None:
        """Have something done by the process that has this call; None as well when no other process has it."""
        ...

    def heard_from(self, call_sid: str) -> None:
        """Tell all others that Twilio has asked about this call, or told that it is over."""
        ...

    def following(self, call_id: str) -> AbstractContextManager[asyncio.Event]:
        """Follow a call's rows: the event is set whenever another process has written new ones of it."""
        ...

    def wrote(self, call_ids: Collection[str]) -> None:
        """Tell that new rows of these calls, which are followed, are in the database."""
        ...

    async def read_metrics(self) -> bytes | None:
        """Return the metrics of all processes as Prometheus text."""
        ...

    async def is_open(self) -> bool | None:
        """Return whether any process takes new calls."""
        ...


class Office(Protocol):
    """What the others may ask of this process. Everything but the coroutines is immediate."""

    @property
    def instance(self) -> str:
        """This process's name."""
        ...

    def refusal(self) -> str:
        """Return why a further call would not be taken, empty when it would."""
        ...

    async def reserve(self, order: Order) -> str:
        """Keep a slot for a call that rings and have its model connected; returns why not, empty when done."""
        ...

    async def run_errand(
        self, name: str, call_id: str, call_sid: str, details: Mapping[str, str]
    ) -> dict[str, str] | None:
        """Do something about a call that is here; None when it is not."""
        ...

    def give_up(self, call_id: str) -> None:
        """Give back the slot of a call whose stream will not come here."""
        ...

    def heard_from(self, call_sid: str) -> None:
        """Twilio asked about this call, or told that it is over."""
        ...

    def follow(self, call_id: str, *, is_on: bool) -> None:
        """Rows of this call are wanted as soon as they can be had, and told of by `Colleagues.wrote`; or not."""
        ...

    async def close_calls_of(self, instance: str) -> None:
        """A process is gone: close its calls, if that can be proven."""
        ...


class Alone:
    """No other process: everything is decided here."""

    share: int | None = None

    async def place(self, order: Order) -> Placed | None:
        """Nobody to place it."""
        return None

    async def admit(self, call_id: str, call_sid: str = "") -> Placed | None:
        """This process's own limits are all there are."""
        return None

    def freed(self, call_id: str) -> None:
        """Nobody to tell."""

    def give_up(self, call_id: str) -> None:
        """No other slot."""

    async def run_errand(
        self, name: str, *, call_id: str = "", call_sid: str = "", timeout_secs: float, **details: str
    ) -> Mapping[str, str] | None:
        """Nobody else has the call."""
        return None

    def heard_from(self, call_sid: str) -> None:
        """Nobody to tell."""

    @contextmanager
    def following(self, call_id: str) -> Generator[asyncio.Event]:
        """Nobody else writes here; yields an event that is never set."""
        yield asyncio.Event()

    def wrote(self, call_ids: Collection[str]) -> None:
        """Nobody to tell."""

    async def read_metrics(self) -> bytes | None:
        """This process's own are all there are."""
        return None

    async def is_open(self) -> bool | None:
        """Only this process can say."""
        return None
