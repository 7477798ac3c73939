"""Moves recordings of calls that are over into the bucket, one after the other, and forgets those whose call is gone.

The folder is its own list of what is to be done: a recording that is there has yet to be moved. So nothing is lost or
done twice when a process dies at any moment, and only a machine that has the files is ever asked for them. Of several
processes with one data folder one does it, whoever holds the folder's lock.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from loguru import logger

from storage.envelope import SealingError
from storage.errors import DatabaseAway
from telemetry import metrics
from transcripts import recording_lock
from transcripts.bucket import Bucket, BucketAway, NotAsSent
from transcripts.call import CallStatus
from transcripts.recording_lock import RecordingBusy, held
from transcripts.recording_rotation import rotate_folder
from transcripts.recording_seal import KEY_FILE
from transcripts.recording_store import RecordingStore, remove_folder
from transcripts.segments import list_segments

FindStatuses = Callable[[Sequence[str]], Awaitable[dict[str, str]]]
"""Call ids to the status of each call that there is and that may have a recording. May raise `DatabaseAway`."""

_LOOK_SECS = 5.0
_LONGEST_PAUSE_SECS = 300.0
# Without a bucket there is only to be seen whether a call was erased by another machine.
_LOOK_SECS_WITHOUT_BUCKET = 3600.0
# A database that was put back from an older copy knows later calls no more: whoever did that has time to notice.
_UNKNOWN_FOR_SECS = 7 * 86_400.0
_UNKNOWN_FILE = "unknown-since"


class RecordingKeeper:
    """One for each process.

    Args:
        recordings: all of them.
        find_statuses: which calls there are, and which are over.
        now: Unix time in seconds.
    """

    def __init__(
        self, recordings: RecordingStore, find_statuses: FindStatuses, *, now: Callable[[], float] = time.time
    ) -> None:
        self._recordings = recordings
        self._find_statuses = find_statuses
        self._now = now
        self._lock: int | None = None
        self._pause_secs = 0.0
        self._is_away = False

    @asynccontextmanager
    async def keeping(self) -> AsyncGenerator[None]:
        """Do it for the length of the block; what is not done then, another process does."""
        running = asyncio.create_task(self._run(), name="keeper of recordings")
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            self.let_go()

    async def look(self) -> int:
        """Move what can be moved now; returns how many were. Whatever cannot be is tried again by the next look.

        Raises:
            BucketAway: the rest waits.
            DatabaseAway: nobody knows which calls are over.
            OSError: the data folder cannot be read.
        """
        recordings = self._recordings
        if not await recordings.in_thread(self._hold):
            return 0
        await recordings.in_thread(recordings.clean_up)
        call_ids = await recordings.in_thread(recordings.list_call_ids)
        statuses = await self._find_statuses(call_ids)
        await recordings.in_thread(self._forget_unknown, call_ids, statuses)
        if recordings.bucket is None:
            return 0
        waiting = [call_id for call_id in call_ids if statuses.get(call_id) == CallStatus.ENDED]
        metrics.RECORDINGS_WAITING.set(len(waiting))
        moved = 0
        for call_id in waiting:
            moved += await self._move(recordings.bucket, call_id)
            metrics.RECORDINGS_WAITING.set(len(waiting) - moved)
        return moved

    def let_go(self) -> None:
        """Let another process do it."""
        if self._lock is not None:
            recording_lock.release(self._lock)
            self._lock = None
            metrics.RECORDINGS_WAITING.set(0)

    async def _run(self) -> None:
        usual = _LOOK_SECS if self._recordings.bucket is not None else _LOOK_SECS_WITHOUT_BUCKET
        while True:
            try:
                await self.look()
                self._pause_secs, self._is_away = usual, False
            except (BucketAway, DatabaseAway, OSError) as error:
                self._pause_secs = min(max(self._pause_secs, usual) * 2, max(_LONGEST_PAUSE_SECS, usual))
                if not self._is_away:
                    logger.bind(problem=str(error)).warning("recordings stay here for now, and are moved later")
                self._is_away = True
            except Exception:
                logger.exception("recordings could not be moved by a fault of the server; it is tried again")
                self._pause_secs = _LONGEST_PAUSE_SECS
            await asyncio.sleep(self._pause_secs)

    async def _move(self, bucket: Bucket, call_id: str) -> bool:
        recordings = self._recordings
        try:
            if not await recordings.in_thread(self._send, bucket, call_id):
                return False
        except (RecordingBusy, FileNotFoundError):
            return False  # it is in use, or was deleted meanwhile
        except (NotAsSent, SealingError) as error:
            metrics.RECORDINGS_SENT_TOTAL.labels(outcome="failed").inc()
            logger.bind(call_id=call_id, problem=str(error)).error("a recording was not moved; it stays here")
            return False
        except BucketAway:
            metrics.RECORDINGS_SENT_TOTAL.labels(outcome="away").inc()
            raise
        # Erased meanwhile, here or by another machine: then nothing of it may stay in the bucket.
        call_folder = recordings.folder / call_id
        is_known = call_id in await self._find_statuses([call_id])
        if not is_known or not await recordings.in_thread(call_folder.is_dir):
            await recordings.in_thread(recordings.delete, call_id)
            return False
        await recordings.in_thread(remove_folder, call_folder)
        metrics.RECORDINGS_SENT_TOTAL.labels(outcome="sent").inc()
        logger.bind(call_id=call_id).info("a recording was moved into the bucket")
        return True

    # ---- in threads ----

    def _hold(self) -> bool:
        if self._lock is None:
            self._recordings.folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(RecordingBusy):
                self._lock = recording_lock.hold(self._recordings.folder, waits=False)
        return self._lock is not None

    def _send(self, bucket: Bucket, call_id: str) -> bool:
        call_folder = self._recordings.folder / call_id
        with held(call_folder):
            rotate_folder(call_folder, self._recordings.keys, now=self._now())
            segments = list_segments(call_folder)
            if not segments or not all(segment.is_sealed for segment in segments):
                return False
            key_file = (call_folder / KEY_FILE).read_bytes()
            bucket.send(call_id, key_file, segments)
            # It may have been sealed with another sealing key meanwhile.
            latest = (call_folder / KEY_FILE).read_bytes()
            if latest != key_file:
                bucket.put_key(call_id, latest)
        return True

    def _forget_unknown(self, call_ids: Sequence[str], statuses: dict[str, str]) -> None:
        for call_id in call_ids:
            call_folder = self._recordings.folder / call_id
            mark = call_folder / _UNKNOWN_FILE
            with contextlib.suppress(FileNotFoundError):
                if call_id in statuses:
                    mark.unlink(missing_ok=True)
                elif not mark.exists():
                    mark.write_text(f"{self._now():.0f}")
                    logger.bind(call_id=call_id).warning(
                        "a recording that the database does not know of: kept for a week"
                    )
                elif self._now() - float(mark.read_text() or "inf") > _UNKNOWN_FOR_SECS:
                    remove_folder(call_folder)
                    logger.bind(call_id=call_id).warning("a recording that the database knows no more was deleted")
