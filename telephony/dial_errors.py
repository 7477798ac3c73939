"""Why Twilio would not place a call, by its error codes: https://www.twilio.com/docs/api/errors."""

from collections.abc import Mapping
from types import MappingProxyType

from telephony.rest import TwilioFailed

EXPLAINED: Mapping[int, str] = MappingProxyType(
    {
        10001: "The Twilio account is not active; look at its balance and its messages in Twilio's console.",
        10002: "A Twilio trial account cannot do this; upgrade the account.",
        10004: "The Twilio account has as many calls at once as it may; wait, or create a Primary Customer Profile "
        "in Twilio's console.",
        10005: "Twilio has switched off calls for this account; ask Twilio's support.",
        13223: "Twilio cannot read the number; write it in E.164 form, such as +15551230100.",
        13224: "The number does not exist, or Twilio cannot reach it; check it.",
        13225: "Twilio blocks calls to this number; ask Twilio's support when it is legitimate.",
        13226: "There is no such country code; check the number.",
        13227: "The Twilio account may not call this country; allow it under Voice, Geo permissions in its console.",
        20003: "Twilio refuses our credentials; check TWILIO_ACCOUNT_SID and the auth token or API key.",
        20005: "The Twilio account is not active; look at its balance and its messages in Twilio's console.",
        20008: "These are Twilio's test credentials, which place no calls; use the live ones.",
        20404: "Twilio knows no such account; check TWILIO_ACCOUNT_SID.",
        20429: "Twilio is asked too often; try again in a minute.",
        21201: "Twilio was given no number to call.",
        21202: "The number is a premium-rate one, which Twilio does not call.",
        21203: "The Twilio account may not call abroad; allow it under Voice, Geo permissions in Twilio's console.",
        21205: "Twilio cannot use our webhook's address; check TRUNKLINE_PUBLIC_BASE_URL.",
        21210: "The caller's number is not verified with Twilio; buy it there, or verify it as a caller id.",
        21211: "Twilio says that the number to call is not valid; check it.",
        21212: "Twilio says that the caller's number is not valid; use one of the account's numbers.",
        21213: "Twilio was given no caller's number.",
        21214: "Twilio cannot reach the number; check it.",
        21215: "The Twilio account may not call this number; allow its country under Voice, Geo permissions in "
        "Twilio's console.",
        21216: "Twilio blocks calls to this number: a risk of fraud, a rule of its country, or, for +1, an account "
        "without a Primary Customer Profile.",
        21217: "Twilio says that the number to call does not appear to be valid; check it.",
        21219: "A Twilio trial account calls verified numbers only; verify the number, or upgrade the account.",
        21262: "Twilio was asked to detect answering machines without an address to tell.",
        21609: "Twilio cannot use our status callback's address; check TRUNKLINE_PUBLIC_BASE_URL.",
    }
)
"""Twilio's code -> what is wrong and what helps."""


def explain(error: TwilioFailed) -> str:
    """Return one sentence on why Twilio did not place a call, and the cure where there is one."""
    known = EXPLAINED.get(error.code or 0)
    if known is not None:
        return f"{known} (Twilio's error {error.code})"
    if error.code is not None:
        return (
            f"Twilio refused the call with error {error.code}; see https://www.twilio.com/docs/api/errors/{error.code}"
        )
    return f"{error}; try again later"
