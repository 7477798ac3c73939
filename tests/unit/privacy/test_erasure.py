"""A person is erased: nothing of his is left anywhere, other people's rows are untouched to the byte."""

import asyncio
import json
from datetime import timedelta

import pytest
from sqlmodel import col, select

from privacy import receipts
from privacy.erasure import CallUnderWay
from privacy.receipts import BadReceipt
from privacy.tables import ReceiptRow
from storage.key_ring import number_index
from storage.sealing_rows import seal_old_rows
from tests.unit.privacy.conftest import ANN, BEN, NOW, ONE_KIND, OURS, House
from transcripts.call import Call, CallEvent, CallStatus, Direction, EndReason, Speaker, Turn
from transcripts.do_not_call import DoNotCall, Source
from transcripts.entries import EventEntry, TransferAttemptsEntry
from transcripts.log import LogWriter
from transcripts.models import TransferRow
from transcripts.outgoing import Order, Room
from transcripts.records import Records
from transcripts.transfer_store import TransferStore

_STAY = {"erasure_receipts", "costs", "do_not_call", "purpose_keys", "sealing_keys", "sealed_tables"}
"""Tables in which something may be left after everything was erased."""


async def test_nothing_is_left_of_one_and_all_of_the_other(house: House) -> None:
    await house.add_call("in-ben", BEN, word="wombat")
    await house.add_call("out-ben", BEN, word="wombat")
    await house.add_reply(BEN)
    before = await house.rows()
    await house.add_call("in-ann", ANN, word="quokka")
    await house.add_call("out-ann", ANN, word="quokka")
    await house.add_reply(ANN)
    await DoNotCall(house.db).add(ANN, Source.AGENT, "in-ann", now=NOW)
    ciphers = {
        value
        for table, rows in (await house.rows()).items()
        for row in set(rows) - set(before[table])
        for value in row.split("'")
        if value.startswith("sealed:")
    }
    assert ciphers
    scheduled = Call("out-later", None, "desk", Direction.OUTBOUND, OURS, ANN, {}, NOW)
    await house.outgoing.open(Order(scheduled, 30, "h", due_at=NOW + timedelta(days=9)), Room(), owner=None, now=NOW)

    receipt = await house.eraser.erase(ANN, now=NOW)

    after = await house.rows()
    for table, rows in before.items():
        new = set(after[table]) - set(rows)
        assert set(rows) <= set(after[table]), f"{table} lost a row of somebody else's"
        assert not new or table in _STAY, (table, new)
    # What remains of her, row by row: the money, the promise and the receipt.
    assert len(set(after["costs"]) - set(before["costs"])) == 2
    assert all("None" in row for row in set(after["costs"]) - set(before["costs"]))
    assert len(after["do_not_call"]) == len(after["erasure_receipts"]) == 1
    entry = await DoNotCall(house.db).find(ANN)
    assert entry is not None
    assert (entry.number, entry.noted_by) == (None, "")
    assert sorted(house.recordings.list_call_ids()) == ["in-ben", "out-ben"]

    erased = receipt.content["erased"]
    expected = {
        "calls": 3,
        "turns": 2,
        "call_events": 4,
        "consents": 2,
        "records": 4,
        "transfers": 2,
        "outgoing_calls": 2,
        "dial_attempts": 1,
        "analyses": 2,
        "model_usage": 2,
        "webhook_deliveries": 2,
        "word_hashes": 2,
        "recordings": 2,
        "stored answers": 1,
        "scheduled calls called off": 1,
    }
    assert expected == {name: count for name, count in erased.items() if name in expected}
    assert set(receipt.content["kept"]) == {"audit log", "costs", "receipt", "do-not-call"}
    assert ANN not in receipt.text
    if house.db.kind == "sqlite":
        left = await asyncio.to_thread(house.bytes_on_disk)
        for trace in (*ciphers, "in-ann", "out-ann", "out-later", ANN, "quokka"):
            assert trace.encode() not in left, trace[:60]
        assert b"in-ben" in left


@ONE_KIND
async def test_a_receipt_is_checked_and_found_by_the_number(house: House) -> None:
    await house.add_call("in-ann", ANN, word="quokka")
    receipt = await house.eraser.erase(ANN)
    ring = house.db.ring
    content = receipts.verify(ring, receipt.text)
    assert content["person_hash"] == number_index(ring, ANN)
    for change in ({"erased": {"calls": 0}}, {"completed_at": "2020-01-01T00:00:00+00:00"}, {"signature": "x"}):
        with pytest.raises(BadReceipt):
            receipts.verify(ring, json.dumps({**json.loads(receipt.text), **change}))
    for text in ("", "[]", "{}", "no", '{"form": "trunkline-erasure-1"}', "[" * 100_000):
        with pytest.raises(BadReceipt):
            receipts.verify(ring, text)
    async with house.db.reader() as session:
        found = (
            await session.exec(select(ReceiptRow).where(col(ReceiptRow.person_hash) == content["person_hash"]))
        ).all()
    assert [row.signed for row in found] == [receipt.text]


@ONE_KIND
async def test_somebody_of_whom_nothing_is_held_gets_a_receipt_too(house: House) -> None:
    receipt = await house.eraser.erase(ANN)
    assert receipt.content["erased"] == {}
    assert "do-not-call" not in receipt.content["kept"]


@pytest.mark.parametrize("direction", [Direction.INBOUND, Direction.OUTBOUND])
async def test_a_call_under_way_is_never_touched(house: House, direction: Direction) -> None:
    await house.add_call("in-ann", ANN, word="quokka")
    sides = (ANN, OURS) if direction is Direction.INBOUND else (OURS, ANN)
    await house.store.open_call(Call("now", "CA9", "desk", direction, *sides, {}, NOW))
    await seal_old_rows(house.db)
    for status in (CallStatus.RINGING, CallStatus.LIVE):
        if status is CallStatus.LIVE:
            await house.store.go_live("now")
        before = await house.rows()
        with pytest.raises(CallUnderWay, match=r"\(now\)"):
            await house.eraser.erase(ANN)
        assert await house.rows() == before
    await house.store.finish_call("now", EndReason.CALLER_HUNG_UP)
    assert (await house.eraser.erase(ANN)).content["erased"]["calls"] == 2


@ONE_KIND
async def test_whoever_goes_on_after_a_kill_counts_everything_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await house.add_call(f"in-ann{number}", ANN, word="quokka")
    monkeypatch.setattr("privacy.erasure._AT_ONCE", 1)
    deleted: list[str] = []
    delete = house.recordings.delete

    def die_at_the_second(_self: object, call_id: str) -> None:
        deleted.append(call_id)
        if len(deleted) == 2:
            raise OSError("killed")
        delete(call_id)

    monkeypatch.setattr("transcripts.recording_store.RecordingStore.delete", die_at_the_second)
    with pytest.raises(OSError, match="killed"):
        await house.eraser.erase(ANN)
    assert len(await house.calls()) == 2
    monkeypatch.undo()
    receipt = await house.eraser.erase(ANN)
    assert receipt.content["erased"]["calls"] == receipt.content["erased"]["recordings"] == 3
    async with house.db.reader() as session:
        assert len((await session.exec(select(ReceiptRow))).all()) == 1


async def test_the_number_goes_from_calls_of_others_and_from_orphaned_records(house: House) -> None:
    await house.add_call("in-ben", BEN, word="wombat")
    address = f"sip:{ANN}@pbx.example.com"
    await TransferStore(house.db).open(
        TransferRow(
            transfer_id="t-x",
            call_id="in-ben",
            call_sid="CA1",
            agent_name="desk",
            destination="boss",
            address=address,
            language="en-US",
            status="busy",
            created_at=NOW,
        )
    )
    attempts = [{"destination": "boss", "address": address}, {"destination": "other", "address": "+15551239999"}]
    rung = EventEntry("in-ben", 7, CallEvent("transfer.rung", 5, {"address": ANN, "longer": ANN + "5"}))
    await house.store.add_entries([TransferAttemptsEntry("in-ben", attempts), rung])
    await Records(house.db, "desk").put("message", "k", {"number": ANN})
    await house.eraser.erase(ANN)
    row = (await house.calls())["in-ben"]
    assert row.transfer_attempts == [{"destination": "boss", "address": "sip:[erased]@pbx.example.com"}, attempts[1]]
    events = await house.store.list_events("in-ben")
    assert events[-1].data == {"address": "[erased]", "longer": ANN + "5"}
    assert row.from_number == BEN
    assert await Records(house.db, "desk").get("message", "k") is None


@ONE_KIND
async def test_what_a_process_could_not_write_is_read_in_and_erased(house: House) -> None:
    await house.add_call("in-ann", ANN, word="quokka")
    writer = LogWriter(house.store, house.backlog)
    writer.open("in-ann").turn(Turn(Speaker.CALLER, "late words", 10, 20))
    await writer.close(timeout_secs=0)
    receipt = await house.eraser.erase(ANN)
    assert receipt.content["erased"]["turns"] == 2
    assert b"in-ann" not in await asyncio.to_thread(house.bytes_on_disk)
