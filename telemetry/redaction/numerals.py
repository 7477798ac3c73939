"""Words for numbers, language by language, as the digits that they stand for when somebody dictates a number."""

from collections.abc import Mapping
from dataclasses import dataclass, field

_ONES = {
    "en": "zero oh o nought naught|one|two|three|four|five|six|seven|eight|nine niner",
    "de": "null|eins ein eine|zwei zwo|drei|vier|fünf fuenf|sechs|sieben|acht|neun",
    "es": "cero|uno un una|dos|tres|cuatro|cinco|seis|siete|ocho|nueve",
    "fr": "zéro zero|un une|deux|trois|quatre|cinq|six|sept|huit|neuf",
    "it": "zero|uno un una|due|tre|quattro|cinque|sei|sette|otto|nove",
    "nl": "nul|een één eén|twee|drie|vier|vijf|zes|zeven|acht|negen",
    "pt": "zero|um uma|dois duas|três tres|quatro|cinco|seis meia|sete|oito|nove",
}
_TEENS = {
    "en": "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen",
    "de": "zehn|elf|zwölf zwoelf|dreizehn|vierzehn|fünfzehn fuenfzehn|sechzehn|siebzehn|achtzehn|neunzehn",
    "es": "diez|once|doce|trece|catorce|quince|dieciséis dieciseis|diecisiete|dieciocho|diecinueve",
    "fr": "dix|onze|douze|treize|quatorze|quinze|seize||",
    "it": "dieci|undici|dodici|tredici|quattordici|quindici|sedici|diciassette|diciotto|diciannove",
    "nl": "tien|elf|twaalf|dertien|veertien|vijftien|zestien|zeventien|achttien|negentien",
    "pt": "dez|onze|doze|treze|catorze quatorze|quinze|dezesseis|dezessete|dezoito|dezenove",
}
_TENS = {
    "en": "twenty|thirty|forty fourty|fifty|sixty|seventy|eighty|ninety",
    "de": "zwanzig|dreißig dreissig|vierzig|fünfzig fuenfzig|sechzig|siebzig|achtzig|neunzig",
    "es": "veinte|treinta|cuarenta|cincuenta|sesenta|setenta|ochenta|noventa",
    "fr": "vingt vingts|trente|quarante|cinquante|soixante|septante|octante huitante|nonante",
    "it": "venti|trenta|quaranta|cinquanta|sessanta|settanta|ottanta|novanta",
    "nl": "twintig|dertig|veertig|vijftig|zestig|zeventig|tachtig|negentig",
    "pt": "vinte|trinta|quarenta|cinquenta|sessenta|setenta|oitenta|noventa",
}
_HUNDREDS = {
    "en": "hundred",
    "de": "hundert",
    "es": "cien ciento",
    "fr": "cent cents",
    "it": "cento",
    "nl": "honderd",
    "pt": "cem cento",
}
_ANDS = {"en": "and", "de": "und", "es": "y", "fr": "et", "it": "e", "nl": "en", "pt": "e"}
_TIMES = {
    "en": {"double": 2, "triple": 3, "treble": 3},
    "de": {"doppel": 2, "doppelt": 2, "zweimal": 2, "dreimal": 3},
    "es": {"doble": 2, "triple": 3},
    "fr": {"double": 2, "triple": 3},
    "it": {"doppio": 2, "triplo": 3},
    "nl": {"dubbel": 2, "driemaal": 3},
    "pt": {"duplo": 2, "triplo": 3},
}
FILLERS = frozenset(
    """
    uh um er erm hmm okay then dash hyphen space minus slash
    äh ähm öh dann strich bindestrich leerzeichen schrägstrich die
    eh este luego guion guión espacio entonces
    euh heu puis tiret espace
    poi trattino spazio dan streepje spatie hífen espaço
    and und y et e en
    """.split()
)
"""Words that come between the digits of one number and are none."""


@dataclass(frozen=True)
class Language:
    """One language's words. `ones`, `teens` and `tens` give the value; `teens` has every other word of two digits."""

    ones: Mapping[str, int]
    teens: Mapping[str, int]
    tens: Mapping[str, int]
    hundreds: frozenset[str]
    conjunction: str
    times: Mapping[str, int]
    adds_teens: bool
    """Whether sixty and fifteen make seventy-five, and four and twenty eighty: French."""
    words: frozenset[str] = field(default=frozenset())


def _values(text: str, first: int, step: int) -> dict[str, int]:
    values: dict[str, int] = {}
    for position, spellings in enumerate(text.split("|")):
        values |= dict.fromkeys(spellings.split(), first + position * step)
    return values


def _compounds(code: str, ones: Mapping[str, int], tens: Mapping[str, int]) -> dict[str, int]:
    """Words of two digits that are written as one: vierunddreißig, ventidue, veintidós."""
    if code in ("de", "nl"):
        joints = ("und",) if code == "de" else ("en", "ën")
        short = {word: value for word, value in ones.items() if value and word not in ("eins", "eine", "één", "eén")}
        return {
            one + joint + ten: tens[ten] + value for ten in tens for one, value in short.items() for joint in joints
        }
    if code == "es":
        twenties = (
            "veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete veintiocho veintinueve"
        )
        plain = twenties.translate(str.maketrans("óé", "oe"))
        return {word: 21 + number for text in (twenties, plain) for number, word in enumerate(text.split())} | {
            "veintiún": 21
        }
    if code == "it":
        stems = {ten: ten[:-1] for ten in tens}
        made: dict[str, int] = {}
        for ten, value in tens.items():
            for one, low in ones.items():
                if low in (1, 8):
                    made[stems[ten] + one] = value + low
                elif low:
                    made[ten + one] = value + low
                    if low == 3:
                        made[ten + "tré"] = value + 3
        return made
    return {}


def _language(code: str) -> Language:
    ones, tens = _values(_ONES[code], 0, 1), _values(_TENS[code], 20, 10)
    teens = _values(_TEENS[code], 10, 1) | _compounds(code, ones, tens)
    hundreds = frozenset(_HUNDREDS[code].split())
    return Language(
        ones=ones,
        teens=teens,
        tens=tens,
        hundreds=hundreds,
        conjunction=_ANDS[code],
        times=_TIMES[code],
        adds_teens=code == "fr",
        words=frozenset({*ones, *teens, *tens, *hundreds}),
    )


LANGUAGES: Mapping[str, Language] = {code: _language(code) for code in _ONES}

WORDS: Mapping[str, tuple[str, ...]] = {
    word: tuple(code for code, language in LANGUAGES.items() if word in language.words)
    for word in {word for language in LANGUAGES.values() for word in language.words}
}
"""Every word for a number -> the languages that it is one in."""
