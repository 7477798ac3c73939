"""Which sentence a bare `- say` of the ladder is: what it says depends on what comes after it."""

from collections.abc import Sequence

from config.on_failure import ModelRung, PipelineRung, Rung, SayRung, TakeMessageRung, TransferRung
from pipelines.sentence_clips import SentenceKind


def kind_of_say(rungs: Sequence[Rung], position: int, *, may_transfer: bool = True) -> SentenceKind | None:
    """Return the kind of sentence that the `say` at `position` is, by the first step after it that is none.

    None before `take_message`, which apologises itself. `may_transfer` is False in a browser. A `say` with words of its
    own is of the same kind: that is the clip which stands in while those words are no sound.
    """
    following = next((rung for rung in rungs[position + 1 :] if not isinstance(rung, SayRung)), None)
    match following:
        case TransferRung() if may_transfer:
            return SentenceKind.CONNECTING
        case ModelRung() | PipelineRung():
            return SentenceKind.FILLER
        case TakeMessageRung():
            return None
        case _:
            return SentenceKind.APOLOGY


def announces_transfer(rungs: Sequence[Rung]) -> bool:
    """Whether this ladder ever says `phrases.connecting`: before a transfer that no words of its own lead to."""
    says = [position for position, rung in enumerate(rungs) if isinstance(rung, SayRung)]
    bare = [position for position in says if rungs[position] == SayRung(say=None)]
    is_transfer = any(isinstance(rung, TransferRung) for rung in rungs)
    return is_transfer and (not says or any(kind_of_say(rungs, at) is SentenceKind.CONNECTING for at in bare))
