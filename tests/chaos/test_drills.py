"""Every fault of the stand-ins against a live call, once: the caller hears something in time, and nothing is lost."""

from collections.abc import Sequence

import pytest

from chaos.drills import Drill, all_drills, once_each
from chaos.run import line_of, run_drills
from tests.databases import database_of

_DRILLS = once_each(list(all_drills()))
# Side by side in one process, for a call waits more than it computes; and in groups, so that processes share them. A
# drill costs a quarter of a core: two in each of four processes are what two cores carry in real time.
_AT_ONCE = 2
_GROUP_COUNT = 8
# Dealt like cards, for neighbours in the catalogue take equally long.
_GROUPS = [_DRILLS[first::_GROUP_COUNT] for first in range(_GROUP_COUNT)]


@pytest.mark.calls
@pytest.mark.timeout(240)
@pytest.mark.parametrize("drills", _GROUPS, ids=lambda drills: "+".join(drill.subject for drill in drills))
async def test_no_dead_air(drills: Sequence[Drill]) -> None:
    verdicts = await run_drills(drills, at_once=_AT_ONCE, database_of=database_of)
    assert [verdict.name for verdict in verdicts] == [drill.name for drill in drills]
    told = [line for bad in verdicts if bad.problems for line in (line_of(bad), *bad.story)]
    assert not told, "\n" + "\n".join(told)
