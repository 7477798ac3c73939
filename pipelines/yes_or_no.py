"""Whether a caller's words are plainly a no. Pure; a yes is left to the model, which heard how it was said."""

import re

_NO = frozenset(
    "no nope nah never not don't dont cancel stop nein nicht niemals nee stopp abbrechen non jamais pas annulez "
    "arrêtez nunca cancela cancele não jamás".split()
)
_YES = frozenset(
    "yes yeah yep yup sure okay ok please correct right fine go ja jawohl gerne klar genau bitte oui ouais accord "
    "sí si claro vale sim".split()
)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def is_plain_no(words: str) -> bool:
    """Whether the words say no and nothing that could be a yes, in English, German, French, Spanish or Portuguese."""
    said = {word.lower().replace("’", "'") for word in _WORD.findall(words)}
    return bool(said & _NO) and not said & _YES
