"""How many processes suit the machine."""

import os


def usable_cores() -> int:
    """Return how many cores this process may use; at least 1."""
    try:
        return len(os.sched_getaffinity(0)) or 1
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
