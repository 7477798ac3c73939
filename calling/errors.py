"""Why a call is not placed. Each message is one sentence with its cure; nothing was dialled."""

from collections.abc import Sequence


class NotPlaced(Exception):
    """The call was not placed."""

    def __init__(
        self,
        sentence: str | None = None,
        *,
        call_id: str = "",
        code: int | None = None,
        faults: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        """Keep the sentence; `call_id` where there is a row of it already, `code` where Twilio gave one.

        `faults` of a request that cannot be read: where, what is wrong, and what helps.
        """
        super().__init__(sentence or type(self).__doc__ or "")
        self.faults = tuple(faults)
        self.call_id = call_id
        self.code = code


class BadRequest(NotPlaced):
    """The request cannot be read."""


class NoSuchAgent(NotPlaced):
    """There is no agent of that name."""


class BadValue(NotPlaced):
    """A number or a variable of the request cannot be used."""


class Forbidden(NotPlaced):
    """The agent may not call this number."""


class NotNow(NotPlaced):
    """The number may not be called at this hour."""


class OverLimit(NotPlaced):
    """A limit is reached."""


class OverBudget(NotPlaced):
    """The agent's calls have cost what they may today."""


class SameKeyOtherRequest(NotPlaced):
    """This Idempotency-Key was used for another request. Use a new key for each call."""


class NoTwilio(NotPlaced):
    """No call can be placed without Twilio. Set TWILIO_ACCOUNT_SID, and TWILIO_AUTH_TOKEN or an API key."""


class TwilioRefuses(NotPlaced):
    """Twilio refuses this call."""


class TwilioUnusable(NotPlaced):
    """Twilio takes no calls from us at the moment."""


class NoSuchCall(Exception):
    """There is no such call."""
