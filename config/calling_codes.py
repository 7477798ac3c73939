"""The language that most people behind a country's calling code speak: a guess, for callers of whom nothing is known.

Codes are those of ITU-T E.164; a country with several languages side by side (Switzerland, Belgium, Canada within +1)
has none here unless one is spoken by a clear majority: `languages:` of `routing.yaml` says what is right there.
"""

from collections.abc import Mapping

_CODES: Mapping[str, str] = {
    "ar": "20 212 213 216 218 249 961 962 963 964 965 966 967 968 970 971 973 974",
    "bg": "359",
    "cs": "420",
    "da": "45",
    "de": "43 49 423",
    "el": "30 357",
    "en": "1 27 44 61 64 233 234 254 353",
    "es": "34 51 52 53 54 56 57 58 502 503 504 505 506 507 591 593 595 598",
    "et": "372",
    "fa": "98",
    "fi": "358",
    "fr": "33 221 225 226 241 242 243 262 377 590 594 596",
    "he": "972",
    "hi": "91",
    "hr": "385",
    "hu": "36",
    "id": "62",
    "is": "354",
    "it": "39 378",
    "ja": "81",
    "ko": "82",
    "lt": "370",
    "lv": "371",
    "ms": "60",
    "nb": "47",
    "nl": "31 597",
    "pl": "48",
    "pt": "55 238 239 244 258 351",
    "ro": "40 373",
    "ru": "7 375",
    "sk": "421",
    "sl": "386",
    "sq": "355 383",
    "sr": "381",
    "sv": "46",
    "th": "66",
    "tr": "90",
    "uk": "380",
    "vi": "84",
    "zh": "86 852 853 886",
}
LANGUAGES: Mapping[str, str] = {f"+{code}": language for language, codes in _CODES.items() for code in codes.split()}
"""Prefix of a number in E.164 form -> language code."""


def language_of(number: str | None, own: Mapping[str, str]) -> str | None:
    """Return the language code of a number (E.164); `own` prefixes go before ours, longer ones before shorter ones."""
    if number is None:
        return None
    for known in (own, LANGUAGES):
        found = [prefix for prefix in known if number.startswith(prefix)]
        if found:
            return known[max(found, key=len)]
    return None
