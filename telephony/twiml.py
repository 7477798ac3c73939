"""TwiML: what Twilio is told to do with a call, as XML text."""

from collections.abc import Mapping
from xml.etree.ElementTree import Element, SubElement

from telephony.xml_text import clean as _clean
from telephony.xml_text import render as _render

MEDIA_TYPE = "application/xml"
# The sentences that no agent says, because none is on the line. English speaks for every language not listed.
_BUSY = {
    "en": "All our lines are busy at the moment. Please call again in a few minutes. Goodbye.",
    "de": "Zurzeit sind alle Leitungen belegt. Bitte rufen Sie in einigen Minuten noch einmal an. Auf Wiederhören.",
    "es": "En este momento todas nuestras líneas están ocupadas. Llame de nuevo en unos minutos. Adiós.",
    "fr": "Toutes nos lignes sont occupées. Veuillez rappeler dans quelques minutes. Au revoir.",
}
_UNKNOWN_NUMBER = {
    "en": "This number is not in service at the moment. Goodbye.",
    "de": "Diese Nummer ist zurzeit nicht erreichbar. Auf Wiederhören.",
    "es": "Este número no está disponible en este momento. Adiós.",
    "fr": "Ce numéro n'est pas en service pour le moment. Au revoir.",
}
_APOLOGY = {
    "en": "I am sorry, something went wrong on our side. Please call again. Goodbye.",
    "de": "Es tut mir leid, bei uns ist etwas schiefgegangen. Bitte rufen Sie noch einmal an. Auf Wiederhören.",
    "es": "Lo siento, algo ha fallado por nuestra parte. Por favor, llame de nuevo. Adiós.",
    "fr": "Je suis désolé, une erreur est survenue de notre côté. Veuillez rappeler. Au revoir.",
}
_NOT_REACHED = {
    "en": "I am sorry, nobody could take the call. Please try again later. Goodbye.",
    "de": "Es tut mir leid, niemand konnte den Anruf annehmen. Bitte versuchen Sie es später. Auf Wiederhören.",
    "es": "Lo siento, nadie ha podido atender la llamada. Inténtelo más tarde. Adiós.",
    "fr": "Je suis désolé, personne n'a pu prendre l'appel. Veuillez réessayer plus tard. Au revoir.",
}


def connect_stream(
    *,
    stream_url: str,
    action_url: str,
    parameters: Mapping[str, str],
    say_first: tuple[str, str] | None = None,
    keys_first: str = "",
) -> str:
    """Connect the caller to our media socket at `stream_url` (ws or wss, no query string: Twilio drops it).

    `parameters` come back in the stream's `start` (name and value together under 500 characters). When the stream is
    over and the caller is still there, Twilio POSTs to `action_url` for what comes next. `say_first` is a text that
    Twilio's voice says before that, and its language; `keys_first` are keys it presses before that.
    """
    response = Element("Response")
    if say_first is not None:
        text, language = say_first
        SubElement(response, "Say", {"language": _clean(language)}).text = _clean(text)
    if keys_first:
        SubElement(response, "Play", {"digits": keys_first})
    connect = SubElement(response, "Connect", {"action": _clean(action_url), "method": "POST"})
    stream = SubElement(connect, "Stream", {"url": _clean(stream_url)})
    for name, value in parameters.items():
        SubElement(stream, "Parameter", {"name": _clean(name), "value": _clean(value)})
    return _render(response)


def say(text: str, language: str, then_hang_up: bool = True) -> str:
    """Speak `text` with Twilio's own voice; `language` is a BCP 47 tag such as en-US."""
    response = Element("Response")
    SubElement(response, "Say", {"language": _clean(language)}).text = _clean(text)
    if then_hang_up:
        SubElement(response, "Hangup")
    return _render(response)


def hang_up() -> str:
    """End the call."""
    response = Element("Response")
    SubElement(response, "Hangup")
    return _render(response)


def transfer(
    to: str,
    caller_id: str | None = None,
    action_url: str | None = None,
    *,
    text: str | None = None,
    language: str = "en-US",
) -> str:
    """Connect the caller with the number `to` (E.164); they see `caller_id`, or the caller's own number.

    Before that Twilio's voice says `text`, where there is one. Afterwards Twilio POSTs DialCallStatus to `action_url`;
    without one it hangs up.
    """
    response = Element("Response")
    if text:
        SubElement(response, "Say", {"language": _clean(language)}).text = _clean(text)
    given = {"callerId": caller_id, "action": action_url, "method": "POST" if action_url else None}
    dial = SubElement(response, "Dial", {name: _clean(value) for name, value in given.items() if value})
    SubElement(dial, "Number").text = _clean(to)
    return _render(response)


def reject() -> str:
    """Let the caller hear the busy tone; the call is not answered, and costs nothing."""
    response = Element("Response")
    SubElement(response, "Reject", {"reason": "busy"})
    return _render(response)


def dial(address: str, ring_secs: int, caller_id: str | None, *, action_url: str, answered_url: str) -> str:
    """Ring `address` (E.164 or SIP) for so long, and let the two talk.

    Twilio POSTs to `answered_url` when they answer, and how it ended to `action_url`.
    """
    response = Element("Response")
    given = {"timeout": str(ring_secs), "action": _clean(action_url), "method": "POST"}
    if caller_id:
        given["callerId"] = _clean(caller_id)
    noun = "Sip" if address.lower().startswith(("sip:", "sips:")) else "Number"
    told = {"statusCallback": _clean(answered_url), "statusCallbackEvent": "answered", "statusCallbackMethod": "POST"}
    SubElement(SubElement(response, "Dial", given), noun, told).text = _clean(address)
    return _render(response)


def redirect(url: str) -> str:
    """Let Twilio POST to `url` for the next TwiML."""
    response = Element("Response")
    SubElement(response, "Redirect", {"method": "POST"}).text = _clean(url)
    return _render(response)


def hold(url: str, secs: int) -> str:
    """Leave the call as it is for so long, then let Twilio POST to `url` for the next TwiML."""
    response = Element("Response")
    SubElement(response, "Pause", {"length": str(secs)})
    SubElement(response, "Redirect", {"method": "POST"}).text = _clean(url)
    return _render(response)


def busy(language: str = "en-US") -> str:
    """Say politely that every line is taken, and hang up."""
    return _say_known(_BUSY, language)


def unknown_number(language: str = "en-US") -> str:
    """Say politely that nobody answers at this number, and hang up."""
    return _say_known(_UNKNOWN_NUMBER, language)


def not_reached(language: str = "en-US") -> str:
    """Say that the person the call was transferred to did not answer, and hang up."""
    return _say_known(_NOT_REACHED, language)


def apology(text: str | None = None, language: str = "en-US") -> str:
    """Say `text`, or that something went wrong on our side, and hang up."""
    return say(text, language) if text else _say_known(_APOLOGY, language)


def fallback(text: str, language: str, to: str | None = None, caller_id: str | None = None) -> str:
    """Return static TwiML for the fallback URL of a telephone number: what callers get when no server answers Twilio.

    It says `text`, then connects the caller with `to` (E.164) or hangs up. Nobody is asked afterwards.
    """
    return transfer(to, caller_id, text=text, language=language) if to else say(text, language)


def _say_known(sentences: Mapping[str, str], language: str) -> str:
    return say(*_known(sentences, language))


def _known(sentences: Mapping[str, str], language: str) -> tuple[str, str]:
    spoken = sentences.get(language.split("-", 1)[0].lower())
    return (spoken, language) if spoken else (sentences["en"], "en-US")
