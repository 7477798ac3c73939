"""People who were erased after a backup was made, erased again in what is restored from it, by their receipts."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from backup.manifest import RECEIPTS_COPY
from config.settings import Settings
from privacy import receipts
from privacy.erasure import CallUnderWay, Eraser, NotAll
from privacy.people import find_number
from privacy.receipts import BadReceipt
from storage.engine import Database
from storage.key_ring import KeyRing
from transcripts.backlog import Backlog
from transcripts.bucket import BucketAway
from transcripts.recording_store import RecordingStore
from transcripts.store import CallStore

_MARGIN = timedelta(seconds=1)
"""Earlier versions cut a receipt's moment to the second: one of just after the copy reads like one of before it."""


class CannotErase(Exception):
    """A receipt cannot be followed; the message says which, and why."""


@dataclass(frozen=True, slots=True)
class Erasures:
    """Receipts, as they were handed out, and when the backup was made that people are to stay erased in."""

    texts: Sequence[str]
    made_at: datetime

    async def again(self, settings: Settings, keys: KeyRing, database: Database) -> int:
        """Erase whoever was erased after the backup was made; returns how many people. The settings are of the copy.

        Raises:
            CannotErase: a receipt is none of this server's, or not all could be erased.
            DatabaseAway: it may have been begun.
        """
        recordings = RecordingStore.of(settings, keys)
        backlog = Backlog(settings.data_dir / "log-backlog", "command-line", CallStore(database))
        erased = 0
        try:
            for text in self.texts:
                content = receipts.verify(keys, text)
                if datetime.fromisoformat(str(content["completed_at"])) < self.made_at - _MARGIN:
                    continue
                number = await find_number(database, str(content["person_hash"]))
                if number is not None:
                    await Eraser(database, recordings, backlog).erase(number)
                    erased += 1
        except (BadReceipt, CallUnderWay, NotAll, BucketAway) as error:
            raise CannotErase(str(error)) from error
        finally:
            recordings.close()
        return erased


def read_receipts(places: Iterable[Path]) -> list[str]:
    """Read receipts from files, each with one or more of them, from folders of such, and from newer backups.

    Raises:
        CannotErase: there is none in one of the places.
        OSError: one cannot be read.
    """
    found: list[str] = []
    for place in places:
        if (place / RECEIPTS_COPY).is_file():
            files = [place / RECEIPTS_COPY]
        else:
            files = sorted(place.glob("*.json")) if place.is_dir() else [place]
        texts = [text for file in files for text in _read_file(file)]
        if not texts and not (place / RECEIPTS_COPY).is_file():
            raise CannotErase(f"{place}: holds no receipt of an erasure")
        found += texts
    return found


def _read_file(file: Path) -> list[str]:
    text, decoder, found = file.read_text(encoding="utf-8").strip(), json.JSONDecoder(), list[str]()
    while text:
        try:
            value, end = decoder.raw_decode(text)
        except ValueError:
            raise CannotErase(f"{file}: is no receipt of an erasure") from None
        several = cast(list[object], value) if isinstance(value, list) else [cast(object, value)]
        found += [json.dumps(one) for one in several]
        text = text[end:].strip()
    return found
