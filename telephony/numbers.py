"""Telephone numbers in the one form that all rooms use: E.164, a plus sign and up to fifteen digits."""

import phonenumbers


class BadNumber(ValueError):
    """Not a full telephone number. Write it with its country code, such as +15551230100."""

    def __str__(self) -> str:
        """Return the sentence above; the number itself stays out of logs and answers."""
        return type(self).__doc__ or ""


def parse_e164(text: str) -> str:
    """Return `text` as E.164: "+1 (555) 123-0100" becomes "+15551230100".

    Raises `BadNumber` when the country code is missing or the length is impossible in that country. Twilio's words
    for a withheld number ("anonymous", "+266696687") are no numbers either.
    """
    try:
        number = phonenumbers.parse(text.strip(), None)
    except phonenumbers.NumberParseException as error:
        raise BadNumber from error
    if not phonenumbers.is_possible_number(number) or number.extension:
        raise BadNumber
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
