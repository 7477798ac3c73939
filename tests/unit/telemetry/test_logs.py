"""The log's lines: facts as fields, nobody's number."""

import asyncio
import io
import logging
import sys
from collections.abc import Iterator

import pytest
from loguru import logger

from telemetry import logs


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    before = logging.getLogger().handlers[:], logging.getLogger().level
    logs.configure("info", stream)
    yield stream
    logger.remove()
    logger.add(sys.stderr)
    logging.getLogger().handlers[:], level = before
    logging.getLogger().setLevel(level)


def test_a_line_has_its_fields_and_no_number(lines: io.StringIO) -> None:
    logger.bind(call_id="c1", agent="front-desk", pii={"from": "+15551230199"}).info("call admitted")
    line = lines.getvalue()
    assert line.endswith("INFO     call admitted call_id=c1 agent=front-desk\n")
    assert "5551230199" not in line
    assert "pii" not in line


def test_a_number_in_a_message_is_masked(lines: io.StringIO) -> None:
    logger.bind(to="+442071838750").info("dialled +15551230199, To=%2B15551230199, 1+15551230 stays")
    logging.getLogger("twilio.http_client").warning("POST /Calls To=%s", "+15551230199")
    text = lines.getvalue()
    assert text.count("[phone]") == 4
    assert "0199" not in text
    assert "8750" not in text
    assert "1+15551230 stays" in text


def test_a_traceback_shows_no_values_and_no_number(lines: io.StringIO) -> None:
    def fail(spoken: str) -> None:
        raise ValueError("no such number: +15551230199")

    try:
        fail("my secret words")
    except ValueError:
        logger.exception("call failed")
    text = lines.getvalue()
    assert "ValueError: no such number: [phone]" in text
    assert "my secret words" not in text.replace('fail("my secret words")', "")


async def test_every_line_of_a_call_carries_its_id(lines: io.StringIO) -> None:
    async def talk(call_id: str) -> None:
        with logs.in_call(call_id):
            await asyncio.sleep(0)
            logger.info("greeting said")
            logging.getLogger("vendored").error("socket lost")
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.to_thread(logger.info, "in a thread"))

    await asyncio.gather(talk("c1"), talk("c2"))
    logger.info("outside")
    found = lines.getvalue().splitlines()
    for call_id in ("c1", "c2"):
        assert sum(f"call_id={call_id}" in line for line in found) == 3
    assert "call_id" not in next(line for line in found if "outside" in line)
    assert "logger=vendored" in lines.getvalue()


def test_what_is_said_cannot_forge_a_line_or_break_the_format(lines: io.StringIO) -> None:
    logger.bind(reason="a b\n2026 INFO forged", empty="", braces="{x}").info("odd {} {message} <red>")
    assert lines.getvalue().endswith('odd {} {message} <red> reason="a b\\n2026 INFO forged" empty="" braces={x}\n')
    assert lines.getvalue().count("\n") == 1


def test_levels(lines: io.StringIO) -> None:
    logger.debug("quiet")
    logging.getLogger("x").debug("quiet")
    logging.getLogger("uvicorn.access").info("quiet")
    logging.getLogger("x").info("quiet")
    own = logging.getLogger("x.with.a.level")
    own.setLevel(logging.DEBUG)
    own.debug("quiet")
    own.setLevel(logging.NOTSET)
    logging.getLogger("x").warning("loud")
    assert [line.split()[-2] for line in lines.getvalue().splitlines()] == ["loud"]
    with pytest.raises(ValueError, match="LOUDER"):
        logs.configure("louder")


def test_what_pipecat_says_of_a_talk_is_never_written(lines: io.StringIO) -> None:
    logs.configure("debug", lines)
    service, output = "pipecat.services.google.gemini_live.llm", "pipecat.transports.base_output"
    logger.patch(lambda record: record.update(name=service)).debug("[my name is Alex]")
    logger.patch(lambda record: record.update(name=output)).warning("late")
    logger.debug("ours")
    assert "Alex" not in lines.getvalue()
    assert "late" in lines.getvalue()
    assert "ours" in lines.getvalue()


def test_every_way_into_the_log_is_redacted(lines: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError("card four one one one one one one one one one one one one one one one")

    logger.bind(who="jane dot doe at example dot com", seen={"card": "4111 1111 1111 1111"}, bytes=734003200).info(
        "write to {}", "jane@example.com"
    )
    logging.getLogger("vendored").warning("sent %s to %s", "219-09-9999", "0171 3920001")
    try:
        fail()
    except ValueError:
        logger.exception("it broke")
        logging.getLogger("vendored").exception("it broke here too: %s", "DE89 3704 0044 0532 0130 00")
    text = lines.getvalue()
    for secret in ("jane", "4111", "one one", "9999", "3920001", "0532"):
        assert secret not in text.replace('raise ValueError("card four one', ""), secret
    assert "who=[email]" in text.replace('"', "")
    assert "bytes=734003200" in text
    assert text.count("[national id]") == 2


def test_a_monstrous_line_is_cut_and_holds_up_nobody(lines: io.StringIO) -> None:
    logger.info("a" * 1_000_000 + " +15551230199")
    assert "0199" not in lines.getvalue()
    assert len(lines.getvalue()) < 25_000
