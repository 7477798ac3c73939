"""What is kept of one call: its sound and its words, as far as consent and pauses let them be."""

import asyncio
from collections.abc import Callable

from config.recording import Recording
from pipelines.recorder import Recorder
from pipelines.scribe import Scribe
from transcripts.call import RecordingStatus
from transcripts.recording_store import RecordingStore
from transcripts.recordings import RecordingResult, RecordingWriter

_WORDS_MS = 3000.0
"""So long after the caller's voice a model may tell what he said."""
_ANSWER_WORDS_MS = 1500.0
"""And so long for one short word, of which nobody waits for more."""


class CallRecording:
    """Starts, pauses and ends one call's recording, and says what may be written down meanwhile.

    Of an agent that asks, nothing is stored before `allow`: there is no file, and no word.
    """

    def __init__(self, settings: Recording, recordings: RecordingStore, call_id: str, scribe: Scribe) -> None:
        """Take the agent's `recording:`, where recordings go, and who writes the words down."""
        self._settings = settings
        self._recordings = recordings
        self._call_id = call_id
        self._scribe = scribe
        self._has_stage = False
        self._writer: RecordingWriter | None = None
        self._recorder: Recorder | None = None
        self._may_record = settings.enabled and not settings.asks
        self._may_write = not settings.asks
        self._paused_ms: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deleting: asyncio.Future[None] | None = None
        self.on_withdrawn: Callable[[], None] = lambda: None
        """Called when the caller wants the recording stopped."""
        if settings.asks:
            scribe.discretion.close(0.0, is_marked=False)
        elif settings.enabled:
            self._begin_file()

    @property
    def is_paused(self) -> bool:
        """Whether nothing is kept at the moment, until somebody resumes."""
        return self._paused_ms is not None

    def join(self) -> None:
        """The pipeline has a `recorder` stage; a call may have one pipeline after another."""
        self._has_stage = True
        self._begin_sound(0.0)

    # ---- consent ----

    def allow(self) -> None:
        """The other side has said yes: everything is kept from now on."""
        now_ms = self._scribe.now_ms
        self._scribe.begin_anew()
        self._may_record = self._may_write = True
        self._begin_file()
        self._begin_sound(now_ms)
        self._scribe.discretion.open(now_ms, settle_ms=_ANSWER_WORDS_MS)

    def refuse(self) -> None:
        """The other side has said no, or nothing: the call goes on without a recording."""
        self._scribe.begin_anew()
        if self._settings.keeps_words_unrecorded:
            self._may_write = True
            self._scribe.discretion.open(self._scribe.now_ms, settle_ms=_ANSWER_WORDS_MS)

    async def withdraw(self) -> bool:
        """The other side wants the recording stopped. Returns whether what there was of it is kept."""
        scribe, settings, now_ms = self._scribe, self._settings, self._scribe.now_ms
        is_kept = settings.on_withdrawal == "keep"
        self._may_record = False
        if self._paused_ms is not None:
            self._end_pause("withdrawal")
        if not settings.keeps_words_unrecorded:
            self._may_write = False
            scribe.draw_line()
            scribe.discretion.close(now_ms, is_marked=False)
            if not is_kept:
                scribe.log.forget_words()
        scribe.event("recording.stopped", by="caller", outcome="kept" if is_kept else "deleted")
        self.on_withdrawn()
        await self._end_sound(now_ms, is_kept=is_kept)
        return is_kept

    # ---- pauses ----

    def pause(self) -> bool:
        """Keep neither sound nor words from now on. Returns False when it was paused already, for longer from now."""
        is_new, now_ms = self._paused_ms is None, self._scribe.now_ms
        self._arm()
        if not is_new:
            return False
        self._paused_ms = now_ms
        if self._recorder is not None:
            self._recorder.pause(now_ms)
            self._scribe.is_recorded = False
        if self._may_write:
            self._scribe.draw_line()
            self._scribe.discretion.close(now_ms, is_marked=True)
        self._scribe.event("recording.paused")
        return True

    def resume(self, by: str = "tool") -> bool:
        """Go on. Returns False when it was not paused."""
        if self._paused_ms is None:
            return False
        now_ms = self._scribe.now_ms
        self._end_pause(by)
        if self._recorder is not None:
            self._recorder.resume(now_ms)
            self._scribe.is_recorded = True
        if self._may_write:
            self._scribe.draw_line()
            self._scribe.discretion.open(now_ms, settle_ms=_WORDS_MS)
        return True

    async def close(self, ended_ms: float) -> RecordingResult | None:
        """The call was over at `ended_ms`; returns what became of the recording, None when there is none of our own."""
        if self._paused_ms is not None:
            self._end_pause("end")
        if self._deleting is not None:
            await asyncio.shield(self._deleting)
        if self._writer is None:
            return None
        return await self._writer.close(ended_ms)

    # ---- parts ----

    def _begin_file(self) -> None:
        if self._writer is None and self._settings.enabled:
            self._writer = self._recordings.writer(self._call_id, self._scribe.line.caller_hz)
            self._scribe.log.recording(RecordingStatus.RECORDING)

    def _begin_sound(self, from_ms: float) -> None:
        if self._has_stage and self._may_record and self._recorder is None and self._writer is not None:
            self._recorder = Recorder(self._writer, self._scribe.line.playout, from_ms=from_ms)
            self._scribe.line.listeners.append(self._recorder)
            self._scribe.is_recorded = True
            if self._paused_ms is not None:
                self._recorder.pause(self._scribe.now_ms)
                self._scribe.is_recorded = False

    async def _end_sound(self, at_ms: float, *, is_kept: bool) -> None:
        recorder, self._recorder = self._recorder, None
        self._scribe.is_recorded = False
        if recorder is not None and recorder in self._scribe.line.listeners:
            self._scribe.line.listeners.remove(recorder)
        writer = self._writer
        if writer is None:
            return
        if is_kept:
            await writer.close(at_ms)
            return
        self._writer = None
        loop = asyncio.get_running_loop()
        # A tool that is stopped must not leave half a recording behind.
        self._deleting = asyncio.ensure_future(self._delete(writer, at_ms, loop))
        await asyncio.shield(self._deleting)

    async def _delete(self, writer: RecordingWriter, at_ms: float, loop: asyncio.AbstractEventLoop) -> None:
        await writer.close(at_ms)
        await loop.run_in_executor(None, self._recordings.delete, self._call_id)
        self._scribe.log.recording(RecordingStatus.NONE)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._settings.longest_pause_secs, self.resume, "limit")

    def _end_pause(self, by: str) -> None:
        paused_ms, self._paused_ms = self._paused_ms, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if paused_ms is not None:
            self._scribe.event("recording.resumed", by=by, paused_ms=round(self._scribe.now_ms - paused_ms))
