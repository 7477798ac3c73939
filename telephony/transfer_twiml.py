"""TwiML of a warm transfer: what the person who is rung hears, and the room where he meets the caller."""

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from telephony import spoken_answer
from telephony.twiml import say
from telephony.xml_text import clean, render

_ANSWER_SECS = 6
"""How long the person may think after the question."""

_TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "intro": "A call for you.",
        "ask": "To take the call, press 1 or say yes. To decline, press 2 or say no.",
        "refused": "All right, the caller will be told. Goodbye.",
        "gone": "The caller has hung up. Goodbye.",
        "taken": "The call is not waiting for you any more. Goodbye.",
        "failed": "I am sorry, the caller could not be connected. Goodbye.",
        "deserted": "I am sorry, the connection was lost. Please call again. Goodbye.",
    },
    "de": {
        "intro": "Ein Anruf für Sie.",
        "ask": "Zum Annehmen drücken Sie die 1 oder sagen Sie ja. Zum Ablehnen drücken Sie die 2 oder sagen Sie nein.",
        "refused": "In Ordnung, ich sage es dem Anrufer. Auf Wiederhören.",
        "gone": "Der Anrufer hat aufgelegt. Auf Wiederhören.",
        "taken": "Der Anruf wartet nicht mehr auf Sie. Auf Wiederhören.",
        "failed": "Es tut mir leid, der Anrufer konnte nicht verbunden werden. Auf Wiederhören.",
        "deserted": "Es tut mir leid, die Verbindung ist abgebrochen. Bitte rufen Sie noch einmal an. Auf Wiederhören.",
    },
    "es": {
        "intro": "Tiene una llamada.",
        "ask": "Para aceptarla, pulse 1 o diga sí. Para rechazarla, pulse 2 o diga no.",
        "refused": "De acuerdo, se lo diré. Adiós.",
        "gone": "La persona que llamaba ha colgado. Adiós.",
        "taken": "La llamada ya no le está esperando. Adiós.",
        "failed": "Lo siento, no se ha podido conectar la llamada. Adiós.",
        "deserted": "Lo siento, se ha perdido la conexión. Por favor, llame de nuevo. Adiós.",
    },
    "fr": {
        "intro": "Un appel pour vous.",
        "ask": "Pour le prendre, tapez 1 ou dites oui. Pour le refuser, tapez 2 ou dites non.",
        "refused": "Très bien, je le lui dirai. Au revoir.",
        "gone": "La personne qui appelait a raccroché. Au revoir.",
        "taken": "L'appel ne vous attend plus. Au revoir.",
        "failed": "Je suis désolé, l'appel n'a pas pu être mis en relation. Au revoir.",
        "deserted": "Je suis désolé, la connexion a été perdue. Veuillez rappeler. Au revoir.",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TransferUrls:
    """The addresses that Twilio asks about one transfer. `transfer_id` is unguessable, and every request is signed.

    `call_id` is the caller's call: by it the process that has the call is found.
    """

    base_url: str
    transfer_id: str
    call_id: str

    def at(self, what: str, *, asked: int = 0) -> str:
        """Return the address of briefing, answer, leg, machine or room; `asked`: how often the person was asked."""
        query = f"call={self.call_id}" + (f"&asked={asked}" if asked else "")
        return f"{self.base_url}/twilio/transfer/{self.transfer_id}/{what}?{query}"


def briefing(summary: str, language: str, urls: TransferUrls, *, asked: int) -> str:
    """Say what the call is about and ask whether the person takes it; asked before, only ask.

    A key or words go to `answer`; after silence Twilio comes to `briefing` once more, then to `answer` without either.
    """
    response = Element("Response")
    gather = SubElement(
        response,
        "Gather",
        {
            "input": "dtmf speech",
            "numDigits": "1",
            "timeout": str(_ANSWER_SECS),
            "speechTimeout": "auto",
            "language": clean(language),
            "hints": spoken_answer.hints(language),
            "action": urls.at("answer", asked=asked),
            "method": "POST",
        },
    )
    spoken = [_text("ask", language)] if asked else [_text("intro", language), summary, _text("ask", language)]
    SubElement(gather, "Say", {"language": _spoken_in(language)}).text = clean(" ".join(filter(None, spoken)))
    then = urls.at("answer", asked=2) if asked else urls.at("briefing", asked=1)
    SubElement(response, "Redirect", {"method": "POST"}).text = clean(then)
    return render(response)


def room(urls: TransferUrls, party: str) -> str:
    """Bring a call into the transfer's room; it ends for both when either leaves. `party` is caller or person."""
    response = Element("Response")
    dial = SubElement(response, "Dial")
    conference = SubElement(
        dial,
        "Conference",
        {
            "beep": "false",
            "startConferenceOnEnter": "true",
            "endConferenceOnExit": "true",
            "waitUrl": "",
            "participantLabel": party,
            "statusCallback": urls.at("room"),
            "statusCallbackMethod": "POST",
            "statusCallbackEvent": "start end join leave",
        },
    )
    conference.text = urls.transfer_id
    return render(response)


def sentence(kind: str, language: str) -> str:
    """Say a known sentence and hang up; kinds are refused, gone, taken, failed and deserted."""
    return say(_text(kind, language), _spoken_in(language))


def _text(kind: str, language: str) -> str:
    return _TEXTS.get(_primary(language), _TEXTS["en"])[kind]


def _spoken_in(language: str) -> str:
    return clean(language) if _primary(language) in _TEXTS else "en-US"


def _primary(language: str) -> str:
    return language.split("-", 1)[0].lower()
