"""What a call used, item by item, and what that costs by the price table: tokens, minutes, legs, messages. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from aftercall.tokens import add_up, price_of
from config.prices import Prices
from config.pricing import Priced, micro_usd, started_minutes
from transcripts.call import Direction, EndReason
from transcripts.models import CallRow, TransferRow
from transcripts.transfer import TransferStatus

USAGE_EVENT = "model.usage"
_NEVER_ANSWERED = frozenset(
    {
        EndReason.BUSY,
        EndReason.NO_ANSWER,
        EndReason.FAILED_TO_DIAL,
        EndReason.CANCELLED,
        EndReason.REFUSED,
        EndReason.MISSED,
    }
)
_UNHEARD = frozenset({TransferStatus.CALLING, TransferStatus.RINGING, TransferStatus.NO_ANSWER, TransferStatus.BUSY})
"""Nobody has answered: Twilio charges nothing."""
_ROOM = frozenset({TransferStatus.JOINED, TransferStatus.ENDED})
_SMS_SINGLE, _SMS_EACH = 160, 153


@dataclass(frozen=True, slots=True)
class Item:
    """So much of one thing, by one source; `micro_usd` is 0 where the table has no price."""

    item: str
    source: str
    model: str
    quantity: int
    unit: str
    micro_usd: int
    price_usd: str | None = None
    price_per: str | None = None
    price_date: date | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is stored of a call that costs something.

    Attributes:
        call: Its row.
        answered_secs: How long it lasted, by Twilio, where Twilio has said so of a call that we placed.
        events: Kind, moment in ms of call time, and data of its events, in call time.
        usage: Usage messages that are no events.
        transfers: Its warm transfers.
        now: What a call that is not over has lasted until.
    """

    call: CallRow
    answered_secs: int | None
    events: Sequence[tuple[str, int, Mapping[str, Any]]]
    usage: Sequence[Mapping[str, Any]]
    transfers: Sequence[TransferRow]
    now: datetime


def items_of(facts: Facts, prices: Prices) -> list[Item]:
    """Return every item of a call; those of which there is nothing are left out."""
    found = [*_tokens(facts, prices), *_minutes(facts, prices), *_legs(facts, prices), *_others(facts, prices)]
    return [item for item in found if item.quantity > 0]


def token_items(messages: Iterable[Mapping[str, Any]], prices: Prices) -> list[Item]:
    """Return what usage messages come to."""
    return [
        _item(kind.value, use.source, count, "token", price_of(kind, use, prices), use.model)
        for use, counts in add_up(messages).items()
        for kind, count in sorted(counts.items())
        if count > 0
    ]


def _tokens(facts: Facts, prices: Prices) -> list[Item]:
    told = [data for kind, _at_ms, data in facts.events if kind == USAGE_EVENT]
    return [*token_items([*told, *facts.usage], prices), *_speech(told)]


def _speech(told: Iterable[Mapping[str, Any]]) -> Iterator[Item]:
    """What a cascade's transcriber heard, and what its voice said; the table has no prices of theirs."""
    sums: Counter[tuple[str, str, str]] = Counter()
    for message in told:
        for name in ("heard_ms", "characters"):
            if isinstance(message.get(name), int):
                sums[name, str(message.get("source") or ""), str(message.get("model") or "")] += message[name]
    for (name, source, model), count in sorted(sums.items()):
        if name == "heard_ms":
            yield _item("transcribed_secs", source, -(-count // 1000), "second", None, model)
        else:
            yield _item("voiced_characters", source, count, "character", None, model)


def _minutes(facts: Facts, prices: Prices) -> Iterator[Item]:
    """The call itself, and its stream: Twilio charges the minutes of each connection of a stream."""
    call = facts.call
    if call.call_sid is None or call.direction == Direction.BROWSER:
        return
    ended_at = call.ended_at or facts.now
    if call.direction == Direction.OUTBOUND:
        secs = facts.answered_secs
        if secs is None:
            secs = 0.0 if call.live_at is None else max(0.001, (ended_at - call.live_at).total_seconds())
        if call.end_reason in _NEVER_ANSWERED and call.live_at is None:
            secs = 0.0
        yield _item("outgoing_minutes", "call", started_minutes(secs), "minute", prices.twilio_outgoing_call)
    else:
        # Twilio answers a call with the first TwiML that it is given.
        secs = max(0.001, (ended_at - call.created_at).total_seconds())
        yield _item("incoming_minutes", "call", started_minutes(secs), "minute", prices.twilio_incoming_call)
    yield _item("stream_minutes", "call", _stream_minutes(facts), "minute", prices.twilio_media_stream)


def _stream_minutes(facts: Facts) -> int:
    if facts.call.live_at is None:
        return 0
    minutes, open_from_ms = 0, 0.0
    is_open, last_ms = True, ((facts.call.ended_at or facts.now) - facts.call.live_at).total_seconds() * 1000
    for kind, at_ms, _data in facts.events:
        if kind == "call.away" and is_open:
            minutes += max(1, started_minutes((at_ms - open_from_ms) / 1000))
            is_open = False
        elif kind == "call.back" and not is_open:
            is_open, open_from_ms = True, at_ms
    return minutes + (max(1, started_minutes((last_ms - open_from_ms) / 1000)) if is_open else 0)


def _legs(facts: Facts, prices: Prices) -> Iterator[Item]:
    """People who were rung for the caller: their calls, and the rooms that both were in."""
    dialled = sum(
        max(1, started_minutes(attempt["talk_secs"]))
        for attempt in facts.call.transfer_attempts or ()
        if isinstance(attempt.get("talk_secs"), int) and attempt["talk_secs"] > 0
    )
    warm = rooms = 0
    for transfer in facts.transfers:
        status = TransferStatus(transfer.status)
        ended_at = transfer.ended_at or facts.call.ended_at or facts.now
        if transfer.leg_sid is not None and status not in _UNHEARD:
            # From when it rang on, for nobody notes when it was answered: rather a minute more than one less.
            warm += max(1, started_minutes((ended_at - transfer.created_at).total_seconds()))
        if status in _ROOM:
            for joined_at in (transfer.caller_joined_at, transfer.person_joined_at):
                rooms += 0 if joined_at is None else max(1, started_minutes((ended_at - joined_at).total_seconds()))
    yield _item("outgoing_minutes", "transfer", dialled + warm, "minute", prices.twilio_outgoing_call)
    yield _item("room_minutes", "transfer", rooms, "minute", prices.twilio_conference)


def _others(facts: Facts, prices: Prices) -> Iterator[Item]:
    segments = sum(_segments(data) for kind, _at_ms, data in facts.events if kind == "sms.sent")
    yield _item("text_messages", "call", segments, "segment", prices.twilio_message)
    is_detected = facts.call.direction == Direction.OUTBOUND and facts.call.answered_by is not None
    yield _item("machine_detection", "call", int(is_detected), "call", prices.twilio_machine_detection)


def _segments(data: Mapping[str, Any]) -> int:
    given, characters = data.get("segments"), data.get("characters")
    if isinstance(given, int):
        return given
    if not isinstance(characters, int) or characters <= _SMS_SINGLE:
        return 1
    return -(-characters // _SMS_EACH)


def _item(item: str, source: str, quantity: int, unit: str, price: Priced | None, model: str = "") -> Item:
    if price is None:
        return Item(item, source, model, quantity, unit, 0)
    amount = micro_usd(quantity, price)
    return Item(item, source, model, quantity, unit, amount, str(price.usd), price.per, price.date)
