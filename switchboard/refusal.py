"""Why a call is not taken."""

from enum import StrEnum


class Refusal(StrEnum):
    """The reasons, which are also the label `reason` of `trunkline_refused_total`."""

    MAX_CALLS = "max_calls"
    """The whole server has all the calls that it may have."""
    PROCESS_FULL = "process_full"
    """This process has, and so has every other."""
    SLOW = "slow"
    """The event loop is late: one more call would be a bad line for all."""
    DRAINING = "draining"
    """It is about to end."""
