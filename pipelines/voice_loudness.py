"""How loud callers are: the loudness of ITU-R BS.1770 over the last 400 ms, for many calls in one step.

Pipecat measures a gating block of 400 ms from its first sample for each window of 32 ms, thirteen times the work.
Here each call's filter goes on from window to window, and the block is the sum of its last 25 halves of a window.
The only difference is the filter's swing at the beginning of a block, which cannot be heard after a few milliseconds.
"""

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Section = tuple[float, float, float, float, float]

STATES = 4
"""Numbers that a call's filter remembers: two for each of its two sections."""

BLOCK_HALVES = 25
"""Halves of a window (16 ms) in a gating block of 400 ms."""

_STEP_SAMPLES = 32
_ABSOLUTE_GATE_LUFS = -70.0


def k_weighting(rate_hz: int) -> tuple[Section, Section]:
    """The two sections of the K-weighting filter: the head's high shelf and the low cut, as (b0, b1, b2, a1, a2).

    BS.1770-4 lists coefficients for 48 kHz only. For other rates they come by the bilinear transform from the
    analogue filters behind them (B. De Man, "Evaluation of implementations of the EBU R128 loudness measurement",
    AES 145, 2018), whose frequencies, gain and quality these are.
    """
    k = math.tan(math.pi * 1681.974450955533 / rate_hz)
    q = 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    b = ((high + band * k / q + k * k) / a0, 2 * (k * k - high) / a0, (high - band * k / q + k * k) / a0)
    shelf = (*b, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0)
    k = math.tan(math.pi * 38.13547087602444 / rate_hz)
    q = 0.5003270373238773
    a0 = 1 + k / q + k * k
    return shelf, (1.0, -2.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0)


def _one_step(rate_hz: int) -> npt.NDArray[np.float64]:
    """What 32 samples do as a matrix: (samples, state) to (filtered samples, next state).

    A linear filter is known when its answer to each single sample and state is.
    """
    given = np.eye(_STEP_SAMPLES + STATES)
    samples, state = given[:, :_STEP_SAMPLES].copy(), given[:, _STEP_SAMPLES:].copy()
    for at in range(_STEP_SAMPLES):
        value = samples[:, at].copy()
        for section, (b0, b1, b2, a1, a2) in enumerate(k_weighting(rate_hz)):
            first, second = state[:, 2 * section].copy(), state[:, 2 * section + 1].copy()
            result = b0 * value + first
            state[:, 2 * section] = b1 * value - a1 * result + second
            state[:, 2 * section + 1] = b2 * value - a2 * result
            value = result
        samples[:, at] = value
    return np.concatenate((samples, state), axis=1)


class KWeighting:
    """K-weighting of one window of each of many calls.

    A filter goes sample by sample, which numpy is slow at. So a window is cut into steps of 32 samples: what each step
    adds to the state, then the state before each step, then all steps' samples, are one matrix product each.
    """

    def __init__(self, rate_hz: int, window_samples: int) -> None:
        """Make the matrices for windows of a multiple of 64 samples."""
        steps = window_samples // _STEP_SAMPLES
        step = _one_step(rate_hz)
        carry = step[_STEP_SAMPLES:, _STEP_SAMPLES:]
        powers = [np.linalg.matrix_power(carry, exponent) for exponent in range(steps + 1)]
        # Rows: the state before the window, then what each step adds. Columns: the state before each step, and after.
        before = np.zeros((1 + steps, STATES, 1 + steps, STATES))
        for column in range(1 + steps):
            before[0, :, column] = powers[column]
            for row in range(1, column + 1):
                before[row, :, column] = powers[column - row]
        size = (1 + steps) * STATES
        self._steps = steps
        self._added = step[:_STEP_SAMPLES, _STEP_SAMPLES:].astype(np.float32)
        self._before = before.reshape(size, size).astype(np.float32)
        self._from_samples = step[:_STEP_SAMPLES, :_STEP_SAMPLES].astype(np.float32)
        self._from_state = step[_STEP_SAMPLES:, :_STEP_SAMPLES].astype(np.float32)

    def weigh(self, windows: Floats, states: Floats) -> tuple[Floats, Floats]:
        """Filter a window of each call.

        Args:
            windows: (calls, samples), full scale 1.
            states: (calls, 4), as left by the window before; zeros at first.

        Returns:
            The energy of each half of a window, (calls, 2), and the states as it leaves them.
        """
        calls, steps = len(windows), self._steps
        # Three-dimensional products are done call by call: one large one would wake the threads of numpy's BLAS.
        cut = windows.reshape(calls, steps, _STEP_SAMPLES)
        row = np.empty((calls, 1, (1 + steps) * STATES), np.float32)
        row[:, 0, :STATES] = states
        row[:, 0, STATES:] = np.matmul(cut, self._added).reshape(calls, -1)
        before = np.matmul(row, self._before).reshape(calls, 1 + steps, STATES)
        weighted = np.matmul(cut, self._from_samples)
        weighted += np.matmul(before[:, :steps], self._from_state)
        halves = weighted.reshape(calls, 2, -1)
        return np.einsum("chs,chs->ch", halves, halves), before[:, steps]


def volumes(block_energies: Floats, block_samples: int) -> Floats:
    """Energy of each call's gating block, full scale 1, to volume: 0 at -110 LUFS, 1 at -10 LUFS, as Pipecat has it.

    A block below the absolute gate of -70 LUFS has no loudness, and so volume 0. Loudness goes in tenths, read at
    their middles: so does the meter that Pipecat uses, which sorts blocks into a histogram.
    """
    power = np.maximum(block_energies / block_samples, 1e-12)
    lufs = (np.floor(np.log10(power) * 100 - 6.91) + 0.5) / 10
    return np.minimum((lufs + 110) / 100, 1) * (lufs >= _ABSOLUTE_GATE_LUFS)
