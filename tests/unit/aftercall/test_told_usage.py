"""What is used outside of conversations reaches the costs of its agent and day, or of its call: sums by hand."""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from sqlmodel import select

from aftercall.budgets import Budgets
from aftercall.ledger import Ledger, Usage
from aftercall.models import CostRow
from aftercall.told_usage import ToldUsage
from config.agent import AgentConfig
from config.prices import load_prices
from pipelines.sentences import Sentences, wanted_readings
from storage.engine import Database
from tests.unit.aftercall.calls import BEGAN, make_call, usage
from tests.unit.pipelines.odd_model import Message, odd_model, reading
from transcripts.call import CallEvent
from transcripts.models import CallRow

PRICES = load_prices().prices
TODAY = date(2026, 3, 1)


def reads_and_tells(request: str, _: int) -> Sequence[Message]:
    """A sentence, and 40 tokens of text read for 100 of sound, told some time after the sound."""
    told = {"promptTokenCount": 40, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 40}]}
    told |= {"responseTokenCount": 100, "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 100}]}
    return [*reading(request.split('"')[1])[:-1], {"serverContent": {"turnComplete": True}}, {"usageMetadata": told}]


async def test_sentences_are_charged_to_their_agent_and_day_and_a_call_to_its_call(
    database: Database, tmp_path: Path
) -> None:
    mine = AgentConfig.model_validate({"name": "front-desk", "bot": "b", "budget": {"max_usd_per_day": 0.05}})
    rich = AgentConfig.model_validate({"name": "rich", "bot": "b", "budget": {"max_usd_per_day": 0.05}})
    ledger = Ledger(database, PRICES)
    told = ToldUsage(ledger, now=lambda: BEGAN)
    await make_call(database, lasts_secs=10)
    await ledger.sum_up("c1", BEGAN + timedelta(seconds=20))
    async with database.writer() as session:
        call = (await session.exec(select(CallRow))).one()
        call.aftercall = 3  # settled: nothing would sum it up again
        session.add(call)
    async with odd_model(tmp_path, reads_and_tells) as model:
        sentences = Sentences(tmp_path / "sentences", {}, model.client, tell_usage=told)
        # Both agents want the same ones: they are read once, for the first.
        count = len(wanted_readings([mine, rich]))
        await sentences.prepare([mine, rich])
        assert await sentences.read_now(mine, "Your appointment is on Friday.", model.client, "c1") is not None
        async with asyncio.timeout(10):
            while sentences.is_counting:  # noqa: ASYNC110 - nobody but a test waits for that
                await asyncio.sleep(0.01)
        await told.write()
        await sentences.close()
        assert len(model.asked) == count + 1
    # 40 x 0.75 + 100 x 12 millionths for each; and what is there again is not read, nor charged, again.
    each = 30 + 1200
    assert count == 8
    found = {one.item: (one.quantity, one.micro_usd) for one in await ledger.by_day(TODAY, TODAY, "front-desk")}
    calls_own = {"incoming_minutes": (1, 8500), "stream_minutes": (1, 4400)}
    assert found == {"text_in": (40 * 9, 30 * 9), "audio_out": (100 * 9, 1200 * 9), **calls_own}
    costs = {(cost.item, cost.source): cost.micro_usd for cost in await ledger.of_call("c1")}
    assert costs[("text_in", "sentences")] + costs[("audio_out", "sentences")] == each
    assert sum(costs.values()) == each + 8500 + 4400
    assert await ledger.by_day(TODAY, TODAY, "rich") == []
    # The day's cap counts them: 9 x 1230 + 12900 = 23970 of 50000 millionths; 22 more are too many.
    assert await ledger.spent_micro_usd(BEGAN, "front-desk") == 9 * each + 12_900 == 23_970
    budgets = Budgets(ledger, now=lambda: BEGAN + timedelta(hours=1))
    assert not await budgets.refuses(mine)
    for _ in range(22):
        told("front-desk", "sentences", "gemini-3.8-live", {"prompt_tokens_details": [_text(40)], **_sound(100)})
    await told.close()
    assert await ledger.spent_micro_usd(BEGAN, "front-desk") == 31 * each + 12_900 == 51_030
    assert await budgets.refuses(mine)
    assert not await budgets.refuses(rich)
    assert not await Budgets(ledger, now=lambda: BEGAN + timedelta(days=1)).refuses(mine)


def _text(count: int) -> dict[str, object]:
    return {"modality": "TEXT", "token_count": count}


def _sound(count: int) -> dict[str, object]:
    return {"response_tokens_details": [{"modality": "AUDIO", "token_count": count}]}


async def test_what_an_erased_call_used_is_charged_to_its_agent(database: Database) -> None:
    ledger = Ledger(database, PRICES)
    late: datetime = BEGAN + timedelta(days=3)
    await ledger.note(Usage("front-desk", "sentences", "gemini-3.8-live", usage(0, 10), "erased"), late)
    async with database.reader() as session:
        [cost] = (await session.exec(select(CostRow))).all()
    assert (cost.call_id, cost.agent_name, cost.day, cost.micro_usd) == (None, "front-desk", date(2026, 3, 4), 120)


async def test_transcribers_and_voices_are_counted_without_a_price(database: Database) -> None:
    heard = [
        CallEvent("model.usage", 1, {"heard_ms": ms, "model": "whisper", "source": "cascade"}) for ms in (1500, 700)
    ]
    said = CallEvent("model.usage", 2, {"characters": 42, "model": "tts-1", "source": "cascade"})
    await make_call(database, events=(*heard, said), lasts_secs=10)
    ledger = Ledger(database, PRICES)
    assert await ledger.sum_up("c1", BEGAN + timedelta(seconds=20)) == 12_900
    rows = {(row.item, row.model, row.unit, row.quantity, row.micro_usd) for row in await ledger.of_call("c1")}
    assert {("transcribed_secs", "whisper", "second", 3, 0), ("voiced_characters", "tts-1", "character", 42, 0)} < rows
