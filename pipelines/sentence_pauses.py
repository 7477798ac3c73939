"""How long something that failed is left alone: longer each time, so that a failing model is not hammered."""

from collections.abc import Callable, Collection, Hashable

_FIRST_SECS, _FACTOR, _LONGEST_SECS = 5.0, 4.0, 3600.0


class Pauses:
    """5 s after the first failure in a row, then 20 s, 80 s and so on, an hour at most."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Take a clock in seconds that never goes back."""
        self._now = now
        self._failures: dict[Hashable, tuple[int, float]] = {}

    def is_over(self, what: Hashable) -> bool:
        """Return whether it may be tried (again)."""
        failure = self._failures.get(what)
        return failure is None or self._now() >= failure[1]

    def failed(self, what: Hashable) -> None:
        """Leave it alone for a while. A failure that began before the last one was known does not count again."""
        if not self.is_over(what):
            return
        count, _ = self._failures.get(what, (0, 0.0))
        pause_secs = min(_FIRST_SECS * _FACTOR**count, _LONGEST_SECS)
        self._failures[what] = (min(count + 1, 10), self._now() + pause_secs)

    def succeeded(self, what: Hashable) -> None:
        """Forget its failures."""
        self._failures.pop(what, None)

    def forget_all_but(self, kept: Collection[Hashable]) -> None:
        """Forget what nobody will ask for again."""
        self._failures = {what: pause for what, pause in self._failures.items() if what in kept}
