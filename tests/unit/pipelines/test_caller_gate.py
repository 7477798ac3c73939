"""The gate before the model's ears: what it lets through, in which order, and that no word of a sentence is missing."""

from dataclasses import dataclass, field

from pipelines.caller_gate import CallerGate, Moment
from pipelines.outbox import Audio

PIECE_MS = 40
NOTICE_MS = 200
"""The detector of voice tells of a voice so late."""


@dataclass
class Line:
    """A caller who is loud in some stretches, an agent who is heard in others; what the model gets of it."""

    voiced: list[tuple[int, int]]
    agent: list[tuple[int, int]]
    protected_until_ms: int = 0
    min_ms: int = 700
    heard: list[Audio] = field(default_factory=list[Audio])
    told: list[tuple[float, bool]] = field(default_factory=list[tuple[float, bool]])
    arrivals: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])

    def run(self, until_ms: int) -> "Line":
        gate = CallerGate(self.min_ms, 500, lambda ms, passed: self.told.append((ms, passed)))
        for begin in range(0, until_ms, PIECE_MS):
            end = begin + PIECE_MS
            noticed = [start for start, stop in self.voiced if start + NOTICE_MS < end <= stop + 20]
            since = max((start for start, _ in self.voiced if start + NOTICE_MS < end), default=None)
            is_agent_heard = any(start < end <= stop for start, stop in self.agent)
            moment = Moment(bool(noticed), since, is_agent_heard, end <= self.protected_until_ms)
            # Each sample says when it was spoken, in units of 10 ms.
            pcm = b"".join((at // 10 + 1).to_bytes(2, "little") * 80 for at in range(begin, end, 10))
            for audio in gate.take(Audio(pcm, 8000, end), moment):
                self.heard.append(audio)
                self.arrivals.append((end, audio.until_ms))
        return self

    def got(self) -> list[int]:
        """The moments of real sound that the model was given, in tens of ms, in the order in which it got them."""
        return [
            int.from_bytes(audio.pcm[at : at + 2], "little") - 1
            for audio in self.heard
            for at in range(0, len(audio.pcm), 160)
            if audio.pcm[at : at + 2] != b"\0\0"
        ]


def stretch(start_ms: int, stop_ms: int) -> list[int]:
    return list(range(start_ms // 10, stop_ms // 10))


def test_without_an_agent_everything_passes_as_it_comes() -> None:
    line = Line(voiced=[(400, 800)], agent=[]).run(2000)
    assert line.got() == stretch(0, 2000)
    assert all(now == until for now, until in line.arrivals)


def test_a_short_sound_over_the_agent_is_silence_to_the_model() -> None:
    line = Line(voiced=[(2000, 2400)], agent=[(1000, 9000)]).run(10_000)
    assert line.got() == stretch(0, 1000) + stretch(9000, 10_000)
    assert [passed for _, passed in line.told] == [False]
    assert sum(audio.duration_ms for audio in line.heard) == 10_000, "silence keeps the stream going"


def test_one_that_began_and_ended_between_two_looks_is_a_sound_as_well() -> None:
    told: list[tuple[float, bool]] = []
    gate = CallerGate(700, 500, lambda ms, passed: told.append((ms, passed)))
    heard: list[Audio] = []
    for end in range(100, 4000, 100):
        since = 1200.0 if end >= 1500 else None
        heard += gate.take(Audio(b"\1\0" * 800, 8000, end), Moment(False, since, end <= 2500))
    assert [passed for _, passed in told] == [True]
    assert [audio.until_ms for audio in heard if any(audio.pcm)][:3] == [1000, 1100, 1200]


def test_a_sentence_over_the_agent_is_heard_whole_and_once() -> None:
    line = Line(voiced=[(2000, 4000)], agent=[(1000, 3100)]).run(6000)
    got = line.got()
    assert got == sorted(set(got)), "in order, nothing twice"
    assert set(stretch(1760, 6000)) <= set(got), "from before its first sound"
    opened = next(now for now, until in line.arrivals if now != until)
    assert opened - 2000 <= 700 + 2 * PIECE_MS


def test_words_with_short_pauses_add_up() -> None:
    voiced = [(2000, 2400), (2640, 3000), (3200, 3800)]
    line = Line(voiced=voiced, agent=[(1000, 9000)]).run(10_000)
    assert set(stretch(1760, 3800)) <= set(line.got())


def test_backchannels_far_apart_do_not_add_up() -> None:
    voiced = [(start, start + 500) for start in range(2000, 8000, 1500)]
    line = Line(voiced=voiced, agent=[(1000, 12_000)]).run(13_000)
    assert not set(stretch(1000, 12_000)) & set(line.got())
    assert [passed for _, passed in line.told] == [False] * len(voiced)


def test_who_spoke_before_the_agent_began_is_not_stopped() -> None:
    line = Line(voiced=[(900, 1400)], agent=[(1000, 4000)]).run(5000)
    got = line.got()
    assert got == sorted(set(got))
    assert set(stretch(0, 1400)) <= set(got)


def test_who_is_still_speaking_is_let_through_to_the_end_of_his_sentence() -> None:
    line = Line(voiced=[(2000, 5000)], agent=[(1000, 9000)]).run(9000)
    assert set(stretch(2000, 5000)) <= set(line.got())
    assert not set(stretch(5800, 9000)) & set(line.got()), "and closed behind him"


def test_a_short_answer_at_the_end_of_the_question_is_passed_on_after_it() -> None:
    line = Line(voiced=[(7600, 8000)], agent=[(1000, 9000)]).run(10_000)
    assert set(stretch(7360, 8000)) <= set(line.got())
    assert [passed for _, passed in line.told] == [True]
    assert min(now for now, until in line.arrivals if 7600 < until <= 8000 and now != until) > 9000


def test_one_that_the_agent_ends_in_is_passed_on_from_its_beginning() -> None:
    line = Line(voiced=[(8800, 9300)], agent=[(1000, 9000)]).run(10_000)
    got = line.got()
    assert got == sorted(set(got))
    assert set(stretch(8560, 10_000)) <= set(got)


def test_what_is_said_over_a_protected_greeting_comes_after_it() -> None:
    line = Line(voiced=[(1000, 3000)], agent=[(400, 5000)], protected_until_ms=5000).run(6000)
    assert set(stretch(760, 3000)) <= set(line.got())
    assert min(now for now, until in line.arrivals if until <= 3000 and now != until) > 5000
    assert [passed for _, passed in line.told] == [True]


def test_a_hello_over_a_protected_greeting_is_forgotten() -> None:
    line = Line(voiced=[(600, 1000)], agent=[(400, 5000)], protected_until_ms=5000).run(6000)
    assert line.got() == stretch(5000, 6000)


def test_no_more_than_half_a_minute_is_held() -> None:
    line = Line(voiced=[(1000, 59_000)], agent=[(400, 60_000)], protected_until_ms=60_000).run(61_000)
    got = [moment for moment in line.got() if moment < 6000]
    assert len(got) * 10 <= 30_100
