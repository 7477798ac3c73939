"""Every end of a call belongs to somebody, and the page says to whom."""

from pathlib import Path

from tests.test_docs import table
from transcripts.call import EndReason
from transcripts.outcomes import OUTCOME_OF

PAGE = Path(__file__).resolve().parents[3] / "docs" / "operation.md"


def test_every_reason_has_an_outcome() -> None:
    assert set(OUTCOME_OF) == set(EndReason)


def test_the_page_has_the_same_table() -> None:
    rows = table(PAGE.read_text(encoding="utf-8"), "outcome")
    shown = {reason.strip(" `"): outcome.strip("`") for outcome, reasons, _ in rows for reason in reasons.split(",")}
    assert shown == {reason.value: outcome.value for reason, outcome in OUTCOME_OF.items()}
