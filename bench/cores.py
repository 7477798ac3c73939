"""Which cores the server under test has, and which the far ends."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Cores:
    """Numbers of cores. When the server takes all there are, the far ends share them, and the figures say less."""

    server: tuple[int, ...]
    far_ends: tuple[int, ...]

    @property
    def is_shared(self) -> bool:
        """Whether the far ends take CPU from the server."""
        return bool(set(self.server) & set(self.far_ends))


def divide_cores(count: int) -> Cores:
    """The first `count` of the cores that this process may use are the server's.

    Raises:
        ValueError: there are fewer.
    """
    usable = sorted(os.sched_getaffinity(0))
    if not 1 <= count <= len(usable):
        raise ValueError(f"{count} cores are wanted, and this process may use {len(usable)}")
    return Cores(tuple(usable[:count]), tuple(usable[count:] or usable))
