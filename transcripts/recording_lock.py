"""Who has a recording's folder: its writer as long as the call is recorded, else whoever seals, sends or deletes it.

The kernel keeps the lock and releases it when its process dies, however that happens. Between machines there is none:
each has a data folder of its own.
"""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class RecordingBusy(Exception):
    """The recording is being written, sent or deleted by somebody else."""


def hold(call_folder: Path, *, waits: bool) -> int:
    """Lock a folder that is there; returns what `release` takes. Blocks as long as it waits.

    Raises:
        RecordingBusy: somebody else has it, and this one does not wait.
        OSError: it cannot be opened.
    """
    descriptor = os.open(call_folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RecordingBusy(call_folder.name) from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def release(descriptor: int) -> None:
    """Let others have it."""
    os.close(descriptor)


@contextmanager
def held(call_folder: Path, *, waits: bool = False) -> Generator[None]:
    """Hold the lock for the length of the block. Raises as `hold`."""
    descriptor = hold(call_folder, waits=waits)
    try:
        yield
    finally:
        release(descriptor)
