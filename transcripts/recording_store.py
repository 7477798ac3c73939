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

from config.settings import Settings
from storage.envelope import SealingKeys
from transcripts.bucket import Bucket
from transcripts.recording_reader import RecordingReader, open_folder
from transcripts.recordings import RecordingWriter
from transcripts.segments import find_folder, is_call_id

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 4
_REMOVED = "removed."
"""How a folder is named that is on its way out: no call has such an id."""


class RecordingStore:
    """The recordings in a data folder and in a bucket. `writer` is immediate; all else blocks: use `in_thread`.

    A recording is in the folder from its first second on, and in the bucket once its call is over and it was sent.

    Args:
        folder: recordings that are here, a folder for each call.
        keys: what their keys are sealed with.
        bucket: where they go in the end; None: they stay here.
    """

    def __init__(self, folder: Path, keys: SealingKeys, bucket: Bucket | None = None) -> None:
        self.folder = folder
        self.keys = keys
        self.bucket = bucket
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="recordings")

    @classmethod
    def of(cls, settings: Settings, keys: SealingKeys) -> "RecordingStore":
        """Return those of a server with these settings; asks nobody."""
        return cls(settings.data_dir / "recordings", keys, Bucket.of(settings))

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
            BucketAway: it is not here, and the bucket does not answer.
        """
        try:
            return open_folder(self.folder, call_id, self.keys)
        except FileNotFoundError:
            if self.bucket is None:
                raise
            return self.bucket.open(call_id, self.keys)

    def delete(self, call_id: str) -> None:
        """Remove all of a call's recording, here and in the bucket; does nothing when there is none.

        Delete the call's row first: whoever is sending the recording looks for it in the end, and takes back what he
        has sent when it is gone.

        Raises:
            BucketAway: what is in the bucket may still be there; do it again later.
            OSError: the same of the folder.
        """
        remove_folder(find_folder(self.folder, call_id))
        if self.bucket is not None:
            self.bucket.delete(call_id)

    def has(self, call_id: str) -> bool:
        """Tell whether a call's recording is here or in the bucket; on another machine it may be all the same.

        Raises:
            BucketAway: it is not here, and the bucket does not answer.
        """
        is_here = find_folder(self.folder, call_id).is_dir()
        return is_here or (self.bucket is not None and self.bucket.has(call_id))

    async def delete_recording(self, call_id: str) -> None:
        """As `delete`, for the event loop."""
        await self.in_thread(self.delete, call_id)

    def close(self) -> None:
        """Begin nothing more in the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def list_call_ids(self) -> list[str]:
        """Name the calls with a recording in the data folder, in no order."""
        return list_call_ids(self.folder)

    def clean_up(self) -> None:
        """Finish removing what a process that died had begun to remove. Raises OSError."""
        if self.folder.is_dir():
            for path in self.folder.glob(f"{_REMOVED}*"):
                shutil.rmtree(path, ignore_errors=True)


def list_call_ids(folder: Path) -> list[str]:
    """Name the calls with a recording in the folder of all recordings, in no order. Blocks."""
    if not folder.is_dir():
        return []
    return [path.name for path in folder.iterdir() if is_call_id(path.name) and path.is_dir()]


def remove_folder(call_folder: Path) -> None:
    """Remove a recording's folder: at once as far as readers see, however long its files take. Raises OSError."""
    away = call_folder.with_name(f"{_REMOVED}{uuid4().hex}")
    with contextlib.suppress(FileNotFoundError):
        call_folder.rename(away)
        shutil.rmtree(away)
