"""What an agent says of its own accord, and the wording it has in the agent's language when the file gives none."""

from collections.abc import Mapping
from typing import Annotated, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from config.wording import problem, shown

Sentence = Annotated[str, Field(min_length=1)]


def _sentence_or_false(value: object) -> object:
    """Look at the whole before its kinds are tried one after the other, each with a complaint of its own."""
    if value is False:
        return value
    if not isinstance(value, str) or not value:
        raise problem(f"must be a sentence, or false for none (got {shown(value)})", "put the sentence in quotes")
    return _no_switch(value)


def _no_switch(text: str) -> str:
    if text.lower() in ("off", "no", "none", "false", "on", "yes", "true"):
        raise problem(f"would be said aloud: {shown(text)}", "write the sentence, or false (without quotes) for none")
    return text


Disclosure = Annotated[Literal[False] | Sentence, BeforeValidator(_sentence_or_false)]
"""What is said first of all to somebody who is called; False: nothing."""


class Phrases(BaseModel):
    """What the agent says of its own accord; each may hold {variables}. English, German, Spanish and French agents have
    their own defaults, all others the English ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    still_there: Sentence = Field(default="Are you still there?", description="Asked once in a silence.")
    silence_goodbye: Sentence = Field(default="I will hang up now. Goodbye!", description="Said when silence goes on.")
    time_warning: Sentence = Field(default="We have one minute left.", description="Said before the longest call ends.")
    goodbye: Sentence = Field(default="Thank you for calling. Goodbye!", description="Said when the time is over.")
    tool_failed: Sentence = Field(
        default="I am sorry, something went wrong on my side. Could you say that again?",
        description="Said when a tool raises or takes too long.",
    )
    filler: Sentence = Field(default="One moment, please.", description="Said when the model's answer is late.")
    tool_filler: Sentence = Field(
        default="One moment, I am looking that up.", description="Said when a tool takes its time."
    )
    apology: Sentence = Field(
        default="I am sorry, something went wrong on our side. Please call again later. Goodbye.",
        description="Said when the call cannot go on.",
    )
    connecting: Sentence = Field(
        default="I am sorry, something went wrong on our side. I am connecting you with a person now.",
        description="Said in place of `apology` when a person takes over.",
    )
    drain_goodbye: Sentence = Field(
        default="I am sorry, I have to end this call now. You may call again at once. Goodbye.",
        description="Said when the server stops before the call is over.",
    )
    busy: Sentence = Field(
        default="All our lines are busy at the moment. Please call again in a few minutes. Goodbye.",
        description="Said when there is no room for one more call.",
    )
    take_message: Sentence = Field(
        default="I am sorry, I cannot help you right now. Please leave a message after the tone.",
        description="Said before a message is taken.",
    )
    message_thanks: Sentence = Field(
        default="Thank you. We have your message. Goodbye.", description="Said when a message was taken."
    )


ANNOUNCEMENT = "This call may be recorded."
"""What `recording.announcement` is in English."""
DISCLOSURE = "This is an automated assistant."
"""What `disclosure` is in English."""

_DISCLOSURES: Mapping[str, str] = {
    "de": "Hier spricht ein automatischer Assistent.",
    "es": "Le habla un asistente automático.",
    "fr": "Vous parlez à un assistant automatique.",
}
"""What `disclosure` is in other languages."""

QUESTION = "May we record this call? Please say yes or press 1, or say no or press 2."
"""What `recording.question` is in English."""

_QUESTIONS: Mapping[str, str] = {
    "de": "Dürfen wir dieses Gespräch aufzeichnen? Bitte sagen Sie Ja oder drücken Sie die 1, "
    "oder sagen Sie Nein oder drücken Sie die 2.",
    "es": "¿Podemos grabar esta llamada? Diga sí o pulse 1, o diga no o pulse 2.",
    "fr": "Pouvons-nous enregistrer cet appel ? Dites oui ou appuyez sur 1, ou bien dites non ou appuyez sur 2.",
}

_ELSEWHERE: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "de": (
        "Dieses Gespräch wird möglicherweise aufgezeichnet.",
        {
            "still_there": "Sind Sie noch da?",
            "silence_goodbye": "Ich lege jetzt auf. Auf Wiederhören!",
            "time_warning": "Wir haben noch eine Minute.",
            "goodbye": "Vielen Dank für Ihren Anruf. Auf Wiederhören!",
            "tool_failed": "Es tut mir leid, bei mir ist etwas schiefgegangen. Könnten Sie das noch einmal sagen?",
            "filler": "Einen Moment, bitte.",
            "tool_filler": "Einen Moment, ich sehe nach.",
            "apology": "Es tut mir leid, bei uns ist etwas schiefgegangen. Bitte rufen Sie später noch einmal an. "
            "Auf Wiederhören.",
            "connecting": "Es tut mir leid, bei uns ist etwas schiefgegangen. "
            "Ich verbinde Sie jetzt mit einem Menschen.",
            "drain_goodbye": "Es tut mir leid, ich muss das Gespräch jetzt beenden. Sie können gleich wieder anrufen. "
            "Auf Wiederhören.",
            "busy": "Zurzeit sind alle Leitungen belegt. Bitte rufen Sie in einigen Minuten noch einmal an. "
            "Auf Wiederhören.",
            "take_message": "Es tut mir leid, ich kann Ihnen gerade nicht helfen. "
            "Bitte hinterlassen Sie nach dem Signalton eine Nachricht.",
            "message_thanks": "Vielen Dank. Wir haben Ihre Nachricht. Auf Wiederhören.",
        },
    ),
    "es": (
        "Es posible que esta llamada se grabe.",
        {
            "still_there": "¿Sigue ahí?",
            "silence_goodbye": "Voy a colgar ahora. ¡Adiós!",
            "time_warning": "Nos queda un minuto.",
            "goodbye": "Gracias por llamar. ¡Adiós!",
            "tool_failed": "Lo siento, algo ha fallado por mi parte. ¿Podría repetirlo?",
            "filler": "Un momento, por favor.",
            "tool_filler": "Un momento, lo estoy consultando.",
            "apology": "Lo siento, algo ha fallado por nuestra parte. Por favor, llame más tarde. Adiós.",
            "connecting": "Lo siento, algo ha fallado por nuestra parte. Ahora le paso con una persona.",
            "drain_goodbye": "Lo siento, tengo que terminar la llamada ahora. Puede volver a llamar enseguida. Adiós.",
            "busy": "En este momento todas nuestras líneas están ocupadas. Llame de nuevo en unos minutos. Adiós.",
            "take_message": "Lo siento, ahora mismo no puedo ayudarle. Por favor, deje un mensaje después de la señal.",
            "message_thanks": "Gracias. Hemos recibido su mensaje. Adiós.",
        },
    ),
    "fr": (
        "Cet appel est susceptible d'être enregistré.",
        {
            "still_there": "Êtes-vous toujours là ?",
            "silence_goodbye": "Je vais raccrocher. Au revoir !",
            "time_warning": "Il nous reste une minute.",
            "goodbye": "Merci de votre appel. Au revoir !",
            "tool_failed": "Je suis désolé, une erreur est survenue de mon côté. Pourriez-vous répéter ?",
            "filler": "Un instant, s'il vous plaît.",
            "tool_filler": "Un instant, je vérifie.",
            "apology": "Je suis désolé, une erreur est survenue de notre côté. Veuillez rappeler plus tard. Au revoir.",
            "connecting": "Je suis désolé, une erreur est survenue de notre côté. "
            "Je vous mets maintenant en relation avec une personne.",
            "drain_goodbye": "Je suis désolé, je dois mettre fin à cet appel. Vous pouvez rappeler tout de suite. "
            "Au revoir.",
            "busy": "Toutes nos lignes sont occupées. Veuillez rappeler dans quelques minutes. Au revoir.",
            "take_message": "Je suis désolé, je ne peux pas vous aider pour le moment. "
            "Veuillez laisser un message après le signal sonore.",
            "message_thanks": "Merci. Nous avons bien reçu votre message. Au revoir.",
        },
    ),
}
"""Language -> the recording's announcement, and every one of the phrases."""


_ENGLISH = frozenset({ANNOUNCEMENT, QUESTION, DISCLOSURE, *Phrases().model_dump().values()})


def primary_language(code: str) -> str:
    """Return the language of a BCP 47 code without region or script, in lower case: "de" for "de-AT"."""
    return code.split("-", 1)[0].lower()


def default_phrases(language: str) -> Phrases:
    """Return the phrases that an agent of that language (a BCP 47 code) has when its file gives none."""
    known = _ELSEWHERE.get(primary_language(language))
    return Phrases(**known[1]) if known else Phrases()


def has_phrases(language: str) -> bool:
    """Whether there is our own wording in that language (a BCP 47 code)."""
    return primary_language(language) in ("en", *_ELSEWHERE)


def default_announcement(language: str) -> str:
    """Return how an agent of that language (a BCP 47 code) announces that the call is recorded."""
    known = _ELSEWHERE.get(primary_language(language))
    return known[0] if known else ANNOUNCEMENT


def default_question(language: str) -> str:
    """Return how an agent of that language (a BCP 47 code) asks whether the call may be recorded."""
    return _QUESTIONS.get(primary_language(language), QUESTION)


def is_default_question(text: str) -> bool:
    """Whether this is how an agent of some language asks that has no question of its own."""
    return text == QUESTION or text in _QUESTIONS.values()


def default_disclosure(language: str) -> str:
    """Return how an agent of that language (a BCP 47 code) says that it is none of flesh and blood."""
    return _DISCLOSURES.get(primary_language(language), DISCLOSURE)


def spoken_language(language: str, *texts: str) -> str:
    """Return the language in which a synthesizer has to speak an agent's texts.

    It is the agent's, unless one of them is our English: an agent of a language that we have no words in says that.
    """
    return "en-US" if primary_language(language) != "en" and not _ENGLISH.isdisjoint(texts) else language


def fill_in_phrases(values: object) -> object:
    """Return an agent's unchecked fields with what its phrases, `recording` and disclosure lack in its language.

    What is of the wrong form stays as it is, for the check that follows to find.
    """
    if not isinstance(values, Mapping):
        return values
    fields = cast(Mapping[str, object], values)
    language = fields.get("language")
    known = _ELSEWHERE.get(primary_language(language)) if isinstance(language, str) else None
    if known is None:
        return fields
    announcement, phrases = known
    recording = {"announcement": announcement, "question": default_question(str(language))}
    return {
        "disclosure": default_disclosure(cast(str, language)),
        **fields,
        "phrases": _below(fields.get("phrases", {}), phrases),
        "recording": _below(fields.get("recording", {}), recording),
    }


def _below(given: object, defaults: Mapping[str, str]) -> object:
    return {**defaults, **cast(Mapping[str, object], given)} if isinstance(given, Mapping) else given
