"""What the stand-in Twilio makes of `<Dial>`: nouns, times, outcomes, who is told, and a caller who leaves."""

import asyncio
from collections.abc import Mapping

import pytest

from simulators.call_setup import DialOutcome
from simulators.dialling import Dial, Dialling, DialTarget
from simulators.twiml_player import TwimlError, parse_twiml

ONE, TWO, SIP = "+15550000001", "+15550000002", "sip:sales@example.com"
OUTCOMES = {
    ONE: DialOutcome("busy", ring_ms=10),
    TWO: DialOutcome("completed", ring_ms=20, talk_ms=1100),
    SIP: DialOutcome("completed", ring_ms=90_000),
}


def outcome_of(address: str) -> DialOutcome:
    return OUTCOMES.get(address, DialOutcome())


def read(inside: str, attributes: str = "") -> Dial:
    (dial,) = parse_twiml(f"<Response><Dial {attributes}>{inside}</Dial></Response>")
    assert isinstance(dial, Dial)
    return dial


async def ring(dial: Dial) -> tuple[dict[str, str], list[tuple[str, str]], Dialling]:
    told: list[tuple[str, str]] = []

    async def tell(target: DialTarget, fields: Mapping[str, str]) -> None:
        assert fields["ParentCallSid"] == "CA1"
        told.append((target.address, fields["CallStatus"]))

    dialling = Dialling(dial, outcome_of, tell, "CA1")
    return await dialling.run(), told, dialling


def test_nouns_and_attributes_are_read_and_unknown_ones_refused() -> None:
    dial = read(
        f'<Number statusCallback="/a" statusCallbackEvent="answered">{ONE}</Number><Sip>{SIP}</Sip>', 'timeout="8"'
    )
    assert [(target.kind, target.address, target.events) for target in dial.targets] == [
        ("Number", ONE, {"answered"}),
        ("Sip", SIP, {"completed"}),
    ]
    assert dial.timeout_secs == 8
    for wrong in (
        f"<Dial ringSecs='5'>{ONE}</Dial>",
        f"<Dial timeout='0'>{ONE}</Dial>",
        f"<Dial timeout='soon'>{ONE}</Dial>",
        "<Dial><Sip>sales@example.com</Sip></Dial>",
        f"<Dial><Number statusCallbackEvent='hung-up'>{ONE}</Number></Dial>",
        f"<Dial><Phone>{ONE}</Phone></Dial>",
        "<Play digits='12A'/>",
    ):
        with pytest.raises(TwimlError) as refused:
            parse_twiml(f"<Response>{wrong}</Response>")
        assert refused.value.code == 12200


async def test_the_first_to_answer_talks_and_is_told_of() -> None:
    told_of = 'statusCallback="/a" statusCallbackEvent="answered completed"'
    result, told, dialling = await ring(read(f"<Number {told_of}>{ONE}</Number><Number {told_of}>{TWO}</Number>"))
    assert (result["DialCallStatus"], result["DialCallDuration"]) == ("completed", "2")
    assert told == [(ONE, "busy"), (TWO, "in-progress"), (TWO, "completed")]
    assert sorted(dialling.legs.values()) == [(ONE, "busy"), (TWO, "completed")]


async def test_one_who_rings_longer_than_he_may_has_not_answered() -> None:
    result, _, _ = await ring(Dial((DialTarget("Sip", SIP),), "", "", "POST", timeout_secs=0.02))
    assert result["DialCallStatus"] == "no-answer"
    assert "DialCallDuration" not in result


async def test_what_is_no_number_fails() -> None:
    result, _, _ = await ring(read("555"))
    assert result["DialCallStatus"] == "failed"


async def test_a_caller_who_leaves_is_told_of_as_not_answered_or_with_what_was_talked() -> None:
    for target, status in ((SIP, "no-answer"), (TWO, "completed")):
        dialling = Dialling(read(f"<Number>{target}</Number>") if target == TWO else read(f"<Sip>{target}</Sip>"),
                            outcome_of, _nobody, "CA1")  # fmt: skip
        ringing = asyncio.create_task(dialling.run())
        await asyncio.sleep(0.1)
        ringing.cancel()
        await asyncio.wait({ringing})
        assert dialling.interrupted()["DialCallStatus"] == status


async def _nobody(_target: DialTarget, _fields: Mapping[str, str]) -> None: ...
