"""The parameters that the stand-in knows are those that the installed SDK sends."""

import pytest

from simulators.sdk_parameters import read_sdk_parameters
from simulators.twilio_rest import CREATE_CALL, LIST_CALLS, UPDATE_CALL, TwilioAccount


def test_the_known_parameters_come_from_the_sdk() -> None:
    assert {"To", "From", "Url", "Twiml", "StatusCallbackEvent", "MachineDetection", "AsyncAmd"} <= CREATE_CALL
    assert {"Url", "Twiml", "Status"} <= UPDATE_CALL
    assert "To" not in UPDATE_CALL
    assert {"To", "StartTime<", "StartTime>", "PageSize"} <= LIST_CALLS
    with pytest.raises(LookupError):
        read_sdk_parameters(TwilioAccount, "add_number")
