"""The checksums of cards and national ids. Every function takes what is left when blanks and dashes are out. Pure."""

import re
from collections.abc import Callable, Mapping

_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_IBAN_LENGTHS: Mapping[str, int] = {
    code: int(length)
    for code, length in (
        pair.split(":")
        for pair in """
    AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BR:29 CH:21 CR:22 CY:28 CZ:24 DE:22 DK:18 DO:28 EE:20 EG:29
    ES:24 FI:18 FO:18 FR:27 GB:22 GE:22 GI:23 GL:18 GR:27 GT:28 HR:21 HU:28 IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30
    KZ:20 LB:28 LI:21 LT:20 LU:20 LV:21 MC:27 MD:24 ME:22 MK:19 MR:27 MT:31 MU:30 NL:18 NO:15 PK:24 PL:28 PS:29 PT:25
    QA:29 RO:24 RS:22 SA:24 SE:24 SI:19 SK:24 SM:27 TN:24 TR:26 UA:29 VA:22 XK:20
    """.split()
    )
}
_CF_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            2,
            4,
            18,
            20,
            11,
            3,
            6,
            8,
            12,
            14,
            16,
            10,
            22,
            25,
            24,
            23,
        ),  # fmt: skip
        strict=True,
    )
)
_NINO = re.compile(r"(?!BG|GB|NK|KN|TN|NT|ZZ)(?:[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]|QQ)\d{6}[A-D]")
_CF = re.compile(r"[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]")
_NIR = re.compile(r"[12378]\d{2}(?:0[1-9]|1[0-2]|[2-9]\d)(?:\d{2}|2[AB])\d{3}\d{3}\d{2}")


def is_luhn(digits: str) -> bool:
    """ISO/IEC 7812: cards, and Swedish personal numbers."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Whether it is the number of a payment card: a known beginning, the length that goes with it, and its check."""
    return may_be_card(digits) and is_luhn(digits)


def may_be_card(digits: str) -> bool:
    """Whether a card may begin so and have that length."""
    count, two, four = len(digits), int(digits[:2] or 0), int(digits[:4] or 0)
    if digits[:1] == "4":
        return count in (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return count == 16
    if two in (34, 37):
        return count == 15
    if two in (36, 38, 39) or 3000 <= four <= 3059:
        return 14 <= count <= 19
    if two == 35:
        return 16 <= count <= 19
    if two in (60, 62, 64, 65, 81):
        return 16 <= count <= 19
    return two in (50, 56, 57, 58, 59, 61, 63, 66, 67, 68, 69) and count in (12, 13, 15, 16, 18, 19)


def is_ssn(digits: str) -> bool:
    """United States, social security: no check digit, but numbers that were never given out."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return len(digits) == 9 and area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"


def is_nino(text: str) -> bool:
    """United Kingdom, national insurance; QQ is for examples."""
    return _NINO.fullmatch(text) is not None


def is_steuer_id(digits: str) -> bool:
    """Germany, tax identification: ISO 7064 mod 11,10; of its first ten digits one comes two or three times."""
    if len(digits) != 11 or digits[0] == "0":
        return False
    counts = sorted((digits[:10].count(digit) for digit in "0123456789"), reverse=True)
    if counts[0] not in (2, 3) or counts[1] > 1:
        return False
    product = 10
    for digit in digits[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def is_dni(text: str) -> bool:
    """Spain: DNI of eight digits or NIE with X, Y or Z, and the letter."""
    if not re.fullmatch(r"(?:\d{8}|[XYZ]\d{7})[A-Z]", text):
        return False
    number = text[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return _DNI_LETTERS[int(number) % 23] == text[-1]


def is_nir(text: str) -> bool:
    """France, social security: 13 characters and a key of two digits."""
    if not _NIR.fullmatch(text):
        return False
    number = int(text[:13].replace("2A", "19").replace("2B", "18"))
    return 97 - number % 97 == int(text[13:])


def is_codice_fiscale(text: str) -> bool:
    """Italy, tax code, with its last letter."""
    if not _CF.fullmatch(text):
        return False
    total = 0
    for position, letter in enumerate(text[:15]):
        total += _CF_ODD[letter] if position % 2 == 0 else int(letter) if letter.isdigit() else ord(letter) - ord("A")
    return chr(ord("A") + total % 26) == text[15]


def is_bsn(digits: str) -> bool:
    """The Netherlands: the eleven-test."""
    if len(digits) != 9 or digits == "000000000":
        return False
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True)) % 11 == 0


def is_belgian(digits: str) -> bool:
    """Belgium, national register: a date, a serial, 97 minus the rest; with a 2 before, of those born from 2000 on."""
    if len(digits) != 11 or not _is_month_and_day(digits[2:4], digits[4:6]):
        return False
    check = int(digits[9:])
    return check in (97 - int(digits[:9]) % 97, 97 - int("2" + digits[:9]) % 97)


def is_pesel(digits: str) -> bool:
    """Poland: a date with the century in its month, a serial, a check digit."""
    if len(digits) != 11 or not _is_month_and_day(f"{int(digits[2:4]) % 20:02}", digits[4:6]):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(digits, (1, 3, 7, 9) * 2 + (1, 3), strict=False))
    return (10 - total % 10) % 10 == int(digits[10])


def is_cpf(digits: str) -> bool:
    """Brazil: two check digits."""
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    for count in (9, 10):
        total = sum(int(digit) * (count + 1 - position) for position, digit in enumerate(digits[:count]))
        if total * 10 % 11 % 10 != int(digits[count]):
            return False
    return True


def is_ahv(digits: str) -> bool:
    """Switzerland: 756, and the check digit of an EAN."""
    if len(digits) != 13 or not digits.startswith("756"):
        return False
    total = sum(int(digit) * (3 if position % 2 else 1) for position, digit in enumerate(digits[:12]))
    return (10 - total % 10) % 10 == int(digits[12])


def is_personnummer(digits: str) -> bool:
    """Sweden: a date, a serial, Luhn; with or without the century."""
    short = digits[-10:]
    return len(digits) in (10, 12) and _is_month_and_day(short[2:4], short[4:6]) and is_luhn(short)


def is_national_id(digits: str) -> bool:
    """Whether its length and check digits are those of an id that is known by them alone, without letters."""
    return any(is_id(digits) for is_id in _BY_LENGTH.get(len(digits), ()))


def iban_length(country: str) -> int:
    """Return how long an IBAN of that country is; 0 when it has none."""
    return _IBAN_LENGTHS.get(country, 0)


def is_iban(text: str) -> bool:
    """An account of a bank: the country's length, mod 97."""
    if len(text) != iban_length(text[:2]) or not text[2:4].isdigit():
        return False
    return int("".join(str(int(letter, 36)) for letter in text[4:] + text[:4])) % 97 == 1


def _is_month_and_day(month: str, day: str) -> bool:
    return 1 <= int(month) <= 12 and 1 <= int(day) <= 31


_BY_LENGTH: Mapping[int, tuple[Callable[[str], bool], ...]] = {
    9: (is_bsn,),
    11: (is_steuer_id, is_belgian, is_pesel, is_cpf),
    13: (is_ahv,),
    15: (is_nir,),
}
