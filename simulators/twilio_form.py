"""What every voice webhook of the stand-in Twilio says of its call."""

from simulators.call_setup import CallSetup


def voice_form(account_sid: str, sid: str, status: str, setup: CallSetup, answered_by: str | None) -> dict[str, str]:
    """Return the parameters of every voice webhook; Twilio sends (and signs) the empty ones too."""
    form = {
        "AccountSid": account_sid,
        "ApiVersion": "2010-04-01",
        "CallSid": sid,
        "CallStatus": status,
        "Direction": setup.direction,
        "From": setup.from_,
        "To": setup.to,
        "Caller": setup.from_,
        "Called": setup.to,
    }
    for party in ("From", "To", "Caller", "Called"):
        form |= {f"{party}City": "", f"{party}State": "", f"{party}Zip": "", f"{party}Country": "US"}
    if answered_by:
        form["AnsweredBy"] = answered_by
    return form
