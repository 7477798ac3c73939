"""What calls cost: each sum is written out by hand."""

from datetime import date, timedelta

from sqlmodel import col, select

from aftercall.ledger import Ledger, Usage
from aftercall.models import CostRow
from config.prices import load_prices
from storage.engine import Database
from tests.unit.aftercall.calls import BEGAN, make_call, usage
from transcripts.call import CallEvent, Direction
from transcripts.models import CallRow, TransferRow

PRICES = load_prices().prices
ANALYSIS = {"prompt_token_count": 1000, "candidates_token_count": 100, "thoughts_token_count": 50}


def at(secs: float):
    return BEGAN + timedelta(seconds=secs)


async def test_a_call_costs_the_sum_of_its_parts_however_often_it_is_summed_up(database: Database) -> None:
    events = (
        CallEvent("model.usage", 2000, usage(100, 50)),
        CallEvent("model.usage", 9000, usage(250, 60)),  # the model has heard everything again: charged again
        CallEvent("model.usage", 9500, usage(0, 0, thoughts_token_count=8)),
        CallEvent("call.away", 30_000, {}),
        CallEvent("call.back", 40_000, {}),
        CallEvent("sms.sent", 50_000, {"characters": 200}),
        CallEvent("turn.caller", 51_000, {"text": "Hello"}),
    )
    await make_call(database, events=events, lasts_secs=70)
    ledger = Ledger(database, PRICES)
    await ledger.note(Usage("front-desk", "analysis", "gemini-2.5-flash", ANALYSIS, "c1"), at(80))
    expected = {
        ("audio_in", "conversation"): (350, 350 * 3),
        ("audio_out", "conversation"): (110, 110 * 12),
        ("thoughts", "conversation"): (8, 36),  # 8 x 4.5
        ("text_in", "analysis"): (1000, 300),  # 1000 x 0.3
        ("text_out", "analysis"): (100, 250),
        ("thoughts", "analysis"): (50, 125),
        ("incoming_minutes", "call"): (2, 2 * 8500),  # 70 s
        ("stream_minutes", "call"): (2, 2 * 4400),  # 30 s, and 30 s after it came back
        ("text_messages", "call"): (2, 2 * 8300),  # 200 characters
    }
    total = sum(amount for _quantity, amount in expected.values())
    assert total == 1050 + 1320 + 36 + 300 + 250 + 125 + 17_000 + 8800 + 16_600 == 45_481
    for _ in range(2):
        assert await ledger.sum_up("c1", at(90)) == total
        rows = await ledger.of_call("c1")
        assert {(row.item, row.source): (row.quantity, row.micro_usd) for row in rows} == expected
        assert {row.day for row in rows} == {date(2026, 3, 1)}
    audio = next(row for row in rows if row.item == "audio_in")
    assert (audio.price_usd, audio.price_per, audio.price_date) == ("3.0", "million tokens", date(2026, 9, 18))
    assert await ledger.sum_up("unknown", at(90)) == 0


async def test_legs_rooms_and_machines_cost_too(database: Database) -> None:
    store = await make_call(database, words=False, lasts_secs=300, direction=Direction.OUTBOUND)
    await store.note_answered_by("c1", "human")
    async with database.writer() as session:
        call = (await session.exec(select(CallRow))).one()
        call.transfer_attempts = [
            {"destination": "a", "address": "+15551230111", "outcome": "no_answer"},
            {"destination": "a", "address": "+15551230112", "outcome": "answered", "talk_secs": 61},
        ]
        session.add(call)
        legs = {"agent_name": "a", "destination": "a", "address": "b", "language": "en", "call_sid": "CA"}
        common = legs | {"call_id": "c1", "created_at": at(100)}
        session.add(TransferRow(transfer_id="t1", status="no_answer", leg_sid="CA2", ended_at=at(130), **common))
        joined = {"caller_joined_at": at(140), "person_joined_at": at(150), "ended_at": at(270)}
        session.add(TransferRow(transfer_id="t2", status="ended", leg_sid="CA3", **joined, **common))
    ledger = Ledger(database, PRICES)
    await ledger.sum_up("c1", at(400))
    found = {(row.item, row.source): (row.quantity, row.micro_usd) for row in await ledger.of_call("c1")}
    assert found == {
        ("outgoing_minutes", "call"): (5, 5 * 14_000),
        ("stream_minutes", "call"): (5, 5 * 4400),
        ("machine_detection", "call"): (1, 7500),
        ("outgoing_minutes", "transfer"): (2 + 3, 5 * 14_000),  # 61 s dialled, 170 s warm
        ("room_minutes", "transfer"): (3 + 2, 5 * 1800),  # 130 s and 120 s
    }


async def test_a_day_counts_live_calls_as_far_as_they_are_and_outlives_what_is_erased(database: Database) -> None:
    ledger = Ledger(database, PRICES)
    await make_call(database, "over", events=(CallEvent("model.usage", 1, usage(1000, 0)),), lasts_secs=10)
    await ledger.sum_up("over", at(20))
    async with database.writer() as session:
        over = (await session.exec(select(CallRow).where(col(CallRow.call_id) == "over"))).one()
        over.aftercall = 2
        session.add(over)
    await make_call(database, "live", events=(CallEvent("model.usage", 1, usage(0, 100)),), lasts_secs=None)
    await make_call(database, "other", agent="clinic", lasts_secs=None)
    await ledger.note(Usage("front-desk", "sentences", "gemini-3.8-live", usage(0, 10)), at(5))
    settled, live = 3000 + 8500 + 4400, 1200 + 2 * (8500 + 4400)
    assert await ledger.spent_micro_usd(at(61), "front-desk") == settled + live + 120
    assert await ledger.spent_micro_usd(at(61)) == settled + live + 120 + 2 * (8500 + 4400)
    assert await ledger.spent_micro_usd(at(86_400), "front-desk") == 0
    async with database.writer() as session:
        await session.delete((await session.exec(select(CallRow).where(col(CallRow.call_id) == "over"))).one())
    async with database.reader() as session:
        kept = (await session.exec(select(CostRow))).all()
    assert {(row.call_id, row.micro_usd) for row in kept if row.source != "sentences"} == {
        (None, 3000),
        (None, 8500),
        (None, 4400),
    }
    days = await ledger.by_day(date(2026, 3, 1), date(2026, 3, 1), "front-desk")
    assert sum(day.micro_usd for day in days) == settled + 120
    assert (days[0].day, days[0].agent_name) == (date(2026, 3, 1), "front-desk")
