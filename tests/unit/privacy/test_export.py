"""Everything that is held on a number, handed out: complete, readable, and nobody else's."""

import io
import json
import wave
from datetime import UTC, datetime
from zipfile import ZipFile

from privacy.export import export_person
from tests.unit.privacy.conftest import ANN, BEN, NOW, ONE_KIND, OURS, House
from transcripts.call import Call, Direction
from transcripts.do_not_call import DoNotCall, Source
from transcripts.models import TransferRow
from transcripts.transfer_store import TransferStore


async def zip_of(house: House, number: str) -> dict[str, bytes]:
    pieces = [piece async for piece in export_person(house.db, house.recordings, number)]
    with ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


async def test_it_has_everything_of_one_and_nothing_of_another(house: House) -> None:
    await house.add_call("in-ann", ANN, word="quokka")
    await house.add_call("out-ann", ANN, word="quokka")
    await house.add_call("in-ben", BEN, word="wombat")
    await house.store.open_call(Call("now", "CA9", "desk", Direction.INBOUND, ANN, OURS, {}, NOW))
    await DoNotCall(house.db).add(ANN, Source.AGENT, "in-ann", now=NOW)
    await TransferStore(house.db).open(
        TransferRow(
            transfer_id="t-x",
            call_id="in-ben",
            call_sid="CA1",
            agent_name="desk",
            destination="boss",
            address=ANN,
            language="en-US",
            status="busy",
            created_at=NOW,
        )
    )
    files = await zip_of(house, ANN)
    assert {name for name in files if name.startswith("calls/")} == {
        "calls/in-ann/call.json",
        "calls/in-ann/call.wav",
        "calls/now/call.json",
        "calls/out-ann/call.json",
        "calls/out-ann/call.wav",
    }
    told = json.loads(files["calls/out-ann/call.json"])
    assert told["call"]["to_number"] == ANN
    assert told["turns"][0]["text"] == "I am quokka"
    assert told["analyses"][0]["result"] == {"summary": "about quokka"}
    assert set(told) >= {
        "call",
        "turns",
        "call_events",
        "outgoing_calls",
        "dial_attempts",
        "transfers",
        "consents",
        "records",
        "analyses",
        "costs",
        "model_usage",
        "webhook_deliveries",
    }
    with wave.open(io.BytesIO(files["calls/in-ann/call.wav"])) as sound:
        assert (sound.getnchannels(), sound.getnframes()) == (2, 8000)
    assert json.loads(files["do-not-call.json"])[0]["number"] == ANN
    assert json.loads(files["rung-for-others.json"])[0]["address"] == ANN
    index = json.loads(files["index.json"])
    assert index["number"] == ANN
    assert index["counts"]["calls"] == 3
    assert datetime.fromisoformat(index["exported_at"]).tzinfo == UTC
    assert b"wombat" not in b"".join(files.values())
    assert b"sealed:" not in b"".join(files.values())


@ONE_KIND
async def test_of_nobody_there_is_an_index_that_says_so(house: House) -> None:
    files = await zip_of(house, ANN)
    assert json.loads(files["index.json"])["counts"] == {
        "do-not-call": 0,
        "erasures": 0,
        "records": 0,
        "rung-for-others": 0,
    }


@ONE_KIND
async def test_after_the_erasure_nothing_is_left_to_hand_out_but_the_receipt(house: House) -> None:
    await house.add_call("in-ann", ANN, word="quokka")
    receipt = await house.eraser.erase(ANN)
    files = await zip_of(house, ANN)
    assert not any(name.startswith("calls/") for name in files)
    [kept] = json.loads(files["erasures.json"])
    assert kept["receipt_id"] == receipt.receipt_id
