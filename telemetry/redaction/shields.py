"""Digits that are no number of a person's: ids of machines, dates, times, prices, measures; and the words for such."""

import re

_UUID = r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"
_ISO = r"(?<![\d-])(?:19|20)\d\d-(?:0\d|1[0-2])-[0-3]\d(?![\d-])(?:[T ,]+\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_DATE = (
    rf"(?<![\d./-])(?:{_DAY}([./-])(?:{_DAY})\1(?:(?:19|20)\d\d|\d\d)|(?:19|20)\d\d([./])\d\d?\2\d\d?)(?![\d]|[./-]\d)"
)
_TIME = r"(?<![\d:])\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?![\d:])"
_UNITS = (
    r"€|\$|£|¥|%|(?:eur|usd|gbp|chf|euros?|dollars?|bucks|pounds?|pesos?|franken|francs?|cents?|percent|prozent"
    r"|bytes?|kb|mb|gb|ms|ns|us|msecs?|s|secs?|seconds?|sekunden|minutes?|minuten|hours?|stunden|days|tage|km|kilometers?|miles"
    r"|kg|tokens|frames|rows|calls|items|pieces|stück|users|people|views|samples|hz|khz|square)\b"
)
_AMOUNT = r"\d{1,3}(?:[.,\u00a0' ]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d+)?"
_MONEY = rf"(?:[$€£¥]|\b(?:EUR|USD|GBP|CHF))\s?(?:{_AMOUNT})|(?<![\d.,+])(?:{_AMOUNT})\s?(?:{_UNITS})"
_THOUSANDS = r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?(?![\d,])"
_DECIMAL = r"(?<![\d.,+])(?<!\d-)(?:0|[1-9]\d*)\.\d+(?![\d.]|,\d)"
_ADDRESS = r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]|[- ]\d)(?::\d+)?"
_VERSION = r"\b(?:v|version\s|release\s|build\s)\.?\d+(?:[.\-]\d+)+|(?<![\d.,-])\d(?:\.\d{1,2}){2}(?:\.\d+)?(?!\d|\.\d)"
_ISBN = r"\b97[89](?:[- ]?\d){10}\b"
_SHUT = re.compile("|".join((_UUID, _ISO, _DATE, _TIME, _MONEY, _THOUSANDS, _DECIMAL, _ADDRESS, _VERSION, _ISBN)), re.I)


def _any_of(words: str) -> str:
    """Return a pattern for one of these words; a `*` stands for the rest of a word."""
    return "(?:" + "|".join(word.replace("*", r"\w*").replace("+", r"\s") for word in words.split()) + ")"


_THINGS = _any_of(
    """
    order orders invoice invoices ticket booking reservation reference ref tracking parcel shipment case confirmation
    customer client serial model part flight train code pin meter policy claim job sku article item barcode lot batch
    receipt contract membership member account port pid process offset queue line seq sequence counter timestamp epoch
    checksum hash request id bestell* auftrag* rechnung* kunden* vorgang* sendung* aktenzeichen zähler* artikel*
    buchung* referenz* vertrag* serien* paket* ticketnummer fall* pedido factura reserva referencia expediente cliente
    seguimiento código contrato póliza envío commande facture réservation dossier référence suivi contrat colis ordine
    fattura prenotazione pratica riferimento spedizione contratto factuur* klant* referentie zending* bestelnummer
    encomenda
    fatura processo
    """
)
_BETWEEN = _any_of(
    """
    number numbers no nr num nummer número numero numéro id code is was the my your our one it that s reads ends
    with ending ist war die der das lautet meine meiner ihre es era el la mi su de del est le du ma votre è il mio
    mia di bij van mijn for of called uh um
    """
)
_THING_BEFORE = re.compile(rf"\b(?<!area\s){_THINGS}\b(?:[\W_]+{_BETWEEN}\b)*[\W_]*$", re.I)
_OF_THINGS_BEHIND = _any_of(
    "order invoice ticket booking reference tracking bestell* rechnung* auftrag* pedido factura commande facture ordine"
)
_THING_AFTER = re.compile(rf"\W*(?:is|was|ist|war|es|est|è)\W+(?:\w+\W+){{0,2}}{_OF_THINGS_BEHIND}\b", re.I)
_PHONE_WORDS = _any_of(
    """
    phone telephone tel mobile cell* call dial ring reach text whatsapp fax landline number handy telefon* rufnummer
    mobil* nummer anruf* erreich* teléfono móvil movil número numero llam* téléphone portable numéro appel* joindre
    cellulare chiam* telefoon* bel bellen telefone telemóvel celular ligar
    """
)
_CARD_WORDS = _any_of(
    """
    card cards visa mastercard amex credit debit kreditkarte* karte* kartennummer tarjeta carte carta kaart*
    creditcard cartão
    """
)
_ID_WORDS = _any_of(
    """
    social ssn national+insurance tax steuer* identifikations* idnr bsn burgerservice* sofi* passport dni nie sécu*
    nir sécurité codice+fiscale insurance pesel cpf ahv personnummer rijksregister* nif identity national
    """
)
_PHONE_WORD, _CARD_WORD, _ID_WORD = (
    re.compile(rf"\b{words}\b", re.I) for words in (_PHONE_WORDS, _CARD_WORDS, _ID_WORDS)
)
_THING = re.compile(rf"\b{_THINGS}\b", re.I)
_BACK = 64


def shut_parts(text: str) -> list[tuple[int, int]]:
    """Return the parts of a text [start, end) whose digits are dates, times, prices, measures or ids of machines."""
    return [found.span() for found in _SHUT.finditer(text)]


def is_of_a_thing(text: str, start: int, end: int) -> bool:
    """Whether the words right before or behind say that these digits name an order, a ticket or the like."""
    return (
        _THING_BEFORE.search(text, max(0, start - _BACK), start) is not None
        or _THING_AFTER.match(text, end, end + 50) is not None
    )


def has_phone_word(text: str, start: int) -> bool:
    """Whether a word shortly before speaks of telephones."""
    return _PHONE_WORD.search(text, max(0, start - _BACK), start) is not None


def has_card_word(text: str, start: int) -> bool:
    """Whether a word shortly before speaks of cards."""
    return _CARD_WORD.search(text, max(0, start - _BACK), start) is not None


def has_id_word(text: str, start: int) -> bool:
    """Whether a word shortly before speaks of national ids."""
    return _ID_WORD.search(text, max(0, start - _BACK), start) is not None


def speaks_of_card(text: str) -> bool:
    """Whether a word anywhere in it speaks of cards."""
    return _CARD_WORD.search(text) is not None


def speaks_of_id(text: str) -> bool:
    """Whether a word anywhere in it speaks of national ids."""
    return _ID_WORD.search(text) is not None


def speaks_of_thing(text: str) -> bool:
    """Whether a word anywhere in it speaks of orders, tickets and the like."""
    return _THING.search(text) is not None
