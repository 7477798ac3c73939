"""All recordings of a server: written, read, deleted and sealed anew by call, wherever they are kept."""

import asyncio
import contextlib
import functools
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar
from uuid import uuid4

from storage.envelope import SealingKeys
from transcripts.recording_reader import RecordingReader, open_folder
from transcripts.recordings import RecordingWriter
from transcripts.segments import find_folder, is_call_id

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 4
_REMOVED = "removed."
"""How a folder is named that is on its way out: no call has such an id."""


class RecordingStore:
    """The recordings in a data folder. `writer` is immediate; all else blocks: call it in a thread.

    Args:
        folder: all recordings, a folder for each call.
        keys: what their keys are sealed with.
    """

    def __init__(self, folder: Path, keys: SealingKeys) -> None:
        self.folder = folder
        self.keys = keys
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="recordings")

    async def in_thread(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run what blocks in a thread of recordings' own: a bucket that hangs holds up nothing else of the process."""
        running = asyncio.get_running_loop()
        return await running.run_in_executor(self._threads, functools.partial(function, *arguments, **named))

    def writer(self, call_id: str, sample_rate_hz: int) -> RecordingWriter:
        """Begin a call's recording. Raises ValueError for what is no call id."""
        return RecordingWriter(self.folder, call_id, sample_rate_hz, self.keys)

    def open(self, call_id: str) -> RecordingReader:
        """Open a call's recording.

        Raises:
            FileNotFoundError: there is none.
            ValueError: the id is none.
            SealingError: its key cannot be opened; the message has the cure.
        """
        return open_folder(self.folder, call_id, self.keys)

    def delete(self, call_id: str) -> None:
        """Remove all of a call's recording; does nothing when there is none. Raises OSError."""
        remove_folder(find_folder(self.folder, call_id))

    def list_call_ids(self) -> list[str]:
        """Name the calls with a recording in the data folder, in no order."""
        if not self.folder.is_dir():
            return []
        return [path.name for path in self.folder.iterdir() if is_call_id(path.name) and path.is_dir()]

    def clean_up(self) -> None:
        """Finish removing what a process that died had begun to remove. Raises OSError."""
        if self.folder.is_dir():
            for path in self.folder.glob(f"{_REMOVED}*"):
                shutil.rmtree(path, ignore_errors=True)


def remove_folder(call_folder: Path) -> None:
    """Remove a recording's folder: at once as far as readers see, however long its files take. Raises OSError."""
    away = call_folder.with_name(f"{_REMOVED}{uuid4().hex}")
    with contextlib.suppress(FileNotFoundError):
        call_folder.rename(away)
        shutil.rmtree(away)
