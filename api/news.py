"""Word of new rows of a call, for whoever follows it here or in another process of this server."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Generator
from contextlib import contextmanager

from switchboard.colleagues import Colleagues
from transcripts.log import LogWriter


class News:
    """What is followed by this process's streams, and by those of the others.

    Rows of calls that are followed are written at once. Word of them may be lost, and never comes from another machine:
    whoever follows looks by himself now and then.
    """

    def __init__(self, log_writer: LogWriter, colleagues: Colleagues) -> None:
        """Take who writes the rows of this process's calls, and the other processes; both are told from now on."""
        self._log_writer, self._colleagues = log_writer, colleagues
        self._followers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._asked: set[str] = set()
        log_writer.on_written = self._tell
        self.streams = 0
        """How many streams of events are open here."""

    @contextmanager
    def following(self, call_id: str) -> Generator[asyncio.Event]:
        """Yield an event that is set whenever new rows of the call are known to be there."""
        with self._colleagues.following(call_id) as news:
            self._followers[call_id].add(news)
            self._settle(call_id)
            try:
                yield news
            finally:
                self._followers[call_id].discard(news)
                self._settle(call_id)

    def follow(self, call_id: str, *, is_on: bool) -> None:
        """Another process follows a call, or none does any more."""
        (self._asked.add if is_on else self._asked.discard)(call_id)
        self._settle(call_id)

    def _settle(self, call_id: str) -> None:
        if not self._followers[call_id]:
            del self._followers[call_id]
        is_followed = call_id in self._followers or call_id in self._asked
        (self._log_writer.followed.add if is_followed else self._log_writer.followed.discard)(call_id)

    def _tell(self, call_ids: Collection[str]) -> None:
        for call_id in call_ids:
            for news in self._followers.get(call_id, ()):
                news.set()
        if asked := self._asked.intersection(call_ids):
            self._colleagues.wrote(asked)
