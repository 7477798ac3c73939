"""The list of drills, and the table that is made of them."""

import pytest

from chaos.drills import DROPPED, SLOW_TOOL, all_drills, once_each, select
from chaos.run import line_of
from chaos.verdict import Verdict
from simulators.faults import FAULTS

# What can go wrong when a call is placed is played by the tests of placed calls.
OF_CALLS = [name for name, fault in FAULTS.items() if fault.occasion != "placement"]


def test_every_fault_of_the_catalogue_is_played_and_none_twice() -> None:
    drills = list(all_drills())
    assert len({drill.name for drill in drills}) == len(drills)
    played = list(dict.fromkeys(drill.subject for drill in drills))
    assert played == [*OF_CALLS, DROPPED, SLOW_TOOL]


def test_each_fault_once_is_played_as_it_passes_where_it_may_pass() -> None:
    chosen = once_each(list(all_drills()))
    assert [drill.subject for drill in chosen] == [*OF_CALLS, DROPPED, SLOW_TOOL]
    lasting = [drill.subject for drill in chosen if drill.times is None]
    assert lasting == ["http-401", "http-403", "http-429"]


def test_a_name_selects_all_drills_of_a_fault_or_one() -> None:
    assert {drill.subject for drill in select("http-503")} == {"http-503"}
    assert len(select("http-503")) > 2
    assert [drill.name for drill in select("goaway, while a tool runs")] == ["goaway, while a tool runs"]
    assert select(None) == list(all_drills())


def test_a_name_that_there_is_not_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="no drill is about 'http-418'; there are connection-refused, .*slow-tool"):
        select("http-418")


def test_a_bad_row_says_why() -> None:
    verdict = Verdict("goaway", 7.0, "greeting", "bot_ended", 1, 0, ("7.0 s of silence", "lost: x"), (), 20.0)
    assert line_of(verdict).endswith("<-- 7.0 s of silence; lost: x")
