"""How long to wait before a process that ended is started again."""

_LONG_LIFE_SECS = 30.0
_FIRST_SECS = 0.5
_HOPELESS_SECS = 5.0
_MOST_SECS = 60.0


class Backoff:
    """One for each place among the processes."""

    def __init__(self) -> None:
        self._last_secs = 0.0
        self._told: set[str] = set()

    def after(self, lived_secs: float, *, is_hopeless: bool) -> float:
        """Return how long to wait after a process that was up for so long; nothing after one that did well.

        `is_hopeless`: it said itself that it cannot start, so it is not tried again soon.
        """
        if lived_secs >= _LONG_LIFE_SECS:
            self._last_secs = 0.0
            return 0.0
        if self._last_secs == 0.0 and not is_hopeless:
            self._last_secs = _FIRST_SECS
            return 0.0
        least_secs = _HOPELESS_SECS if is_hopeless else _FIRST_SECS
        self._last_secs = min(max(2 * self._last_secs, least_secs), _MOST_SECS)
        return self._last_secs

    def is_new(self, problem: str) -> bool:
        """Return whether this problem has not been told yet."""
        is_new = problem not in self._told
        self._told.add(problem)
        return is_new
