"""A caller who was given time: what is left of his pauses, when they end after all, and that no sound is lost."""

from dataclasses import dataclass, field

from pipelines.caller_pauses import CallerPauses
from pipelines.clock import CallClock
from pipelines.line import CallLine
from pipelines.outbox import Audio
from pipelines.scribe import Scribe

PIECE_MS, NOTICE_MS = 40, 240


class Log:
    def event(self, *_: object, **__: object) -> None:
        """Nothing is kept."""


@dataclass
class Model:
    heard: list[Audio] = field(default_factory=list[Audio])

    def __post_init__(self) -> None:
        self.send_voice = self.heard.append


class Caller:
    """Voiced in some stretches; the detector of voice tells a little late."""

    def __init__(self, *voiced: tuple[int, int]) -> None:
        self.now_ms = 0
        self.voiced = voiced
        self.model = Model()
        line = CallLine(CallClock(lambda: self.now_ms / 1000), 8000, 8000)
        self.scribe = Scribe(line, Log(), "x")  # pyright: ignore[reportArgumentType]

    @property
    def is_voiced(self) -> bool:
        return any(start + NOTICE_MS <= self.now_ms <= stop for start, stop in self.voiced)

    def run(self, until_ms: int) -> None:
        while self.now_ms < until_ms:
            self.now_ms += PIECE_MS
            began = [start for start, _ in self.voiced if start + NOTICE_MS <= self.now_ms]
            self.scribe.caller_began_ms = began[-1] if began else None
            self.model.send_voice(Audio(b"\0" * PIECE_MS * 16, 8000, self.now_ms))

    def heard(self) -> list[float]:
        return [audio.until_ms for audio in self.model.heard]


def test_a_pause_is_left_out_but_for_its_edges() -> None:
    caller = Caller((1000, 2000), (4000, 5000))
    CallerPauses.bridge(caller.model, caller, caller.scribe, 30)
    caller.run(5000)
    heard = caller.heard()
    assert heard == sorted(heard)
    pause = [at for at in heard if 2000 < at <= 4000]
    assert sum(PIECE_MS for _ in pause) <= 300
    assert {at for at in range(4000 - 80, 5040, PIECE_MS)} <= set(heard), "no sound of his is lost"


def test_a_long_pause_ends_it_and_is_then_told_whole() -> None:
    caller = Caller((1000, 2000))
    straight = caller.model.send_voice
    CallerPauses.bridge(caller.model, caller, caller.scribe, 30)
    caller.run(4400)
    assert max(caller.heard()) <= 2120
    assert caller.scribe.reply_due_ms is None
    caller.run(4600)
    assert caller.heard() == [float(at) for at in range(PIECE_MS, 4601, PIECE_MS)]
    assert caller.scribe.reply_due_ms is not None
    assert caller.model.send_voice == straight


def test_silence_before_he_speaks_is_heard_as_ever_and_time_runs_out() -> None:
    caller = Caller()
    straight = caller.model.send_voice
    CallerPauses.bridge(caller.model, caller, caller.scribe, 3)
    caller.run(2000)
    CallerPauses.bridge(caller.model, caller, caller.scribe, 3)
    caller.run(4000)
    assert caller.model.send_voice != straight, "given more time"
    caller.run(6000)
    assert caller.heard() == [float(at) for at in range(PIECE_MS, 6001, PIECE_MS)]
    assert caller.model.send_voice == straight
