"""Our ears hear turns begin and end where Pipecat's own analyzer does: recorded speech, noise, a phone's coding."""

import pytest

from pipelines.voice_model import shared_voice_model
from tests.unit.pipelines.voice_calls import Call, heard_by_pipecat, heard_together, make_calls, matches


def compare(calls: list[Call]) -> tuple[int, int]:
    """How many boundaries there are, and how many are within one window of each other."""
    ours = heard_together(shared_voice_model(), calls)
    figures = [matches(heard_by_pipecat(call), found) for call, found in zip(calls, ours, strict=True)]
    return sum(count for count, _ in figures), sum(matched for _, matched in figures)


async def test_boundaries_are_those_of_pipecat(record_property):
    boundaries, matched = compare(make_calls(32, 6, longest_pause_secs=1.5))
    record_property("boundaries", f"{matched} of {boundaries}")
    assert boundaries >= 300
    assert matched >= 0.99 * boundaries


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rate_hz", [8000, 16000])
async def test_a_thousand_boundaries_are_those_of_pipecat(rate_hz, capsys):
    boundaries, matched = compare(make_calls(96, 7, rate_hz=rate_hz, seed=2))
    with capsys.disabled():
        print(f"\n{rate_hz} Hz: {matched} of {boundaries} boundaries within one window of Pipecat's")  # noqa: T201
    assert boundaries >= 1000
    assert matched >= 0.99 * boundaries
