"""XML as Twilio reads it."""

import re
from xml.etree.ElementTree import Element, tostring

# Not allowed in XML 1.0 at all, escaped or not; one of them in a sentence would end the call with error 12100.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """Return the text without what no XML can hold."""
    return _NOT_XML.sub(" ", text)


def render(response: Element) -> str:
    """Return a document."""
    return f'<?xml version="1.0" encoding="UTF-8"?>{tostring(response, encoding="unicode")}'
