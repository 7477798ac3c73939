"""Connecting: deadlines, retries, what is told of each failure, and a model that is opened while the phone rings."""

import asyncio
import socket
from itertools import pairwise
from pathlib import Path

import pytest

from pipelines.gemini_client import make_client
from pipelines.link_listener import Beginning, Cause
from pipelines.model_failures import FailureKind, sort_failure
from simulators.certificates import issue_certificates
from simulators.gemini_live import GeminiEmulator
from tests.unit.pipelines.wire_model import (
    Line,
    Told,
    link_tasks,
    link_to,
    numbered,
    setup_with,
    until,
    wire_model,
)


async def keep(line: Line) -> None:
    await line.begin()
    await line.give_handle(f"handle-{line.number}")
    await line.listen()


async def mute(line: Line) -> None:
    """Never answers anything, not even a close."""
    await line.socket.recv()
    await line.play_dead()


def now() -> float:
    return asyncio.get_running_loop().time()


# ---- deadlines and retries ----


async def test_attempts_keep_their_deadline_though_the_peer_does_not_even_close(tmp_path):
    async with wire_model(tmp_path, mute) as model:
        link, told = link_to(model.client, ready_secs=0.5), Told()
        link.attach(told)
        link.open()
        await until(lambda: len(model.asked_at) == 3)
        first, second, third = model.asked_at
        assert 0.55 < second - first < 1.0
        assert 0.65 < third - second < 1.2
        assert "in time" in told.attempts[0].sentence
        await asyncio.wait_for(link.close(), 1.6)
        await asyncio.sleep(0)
        assert link_tasks() == []


async def test_retries_come_ever_later(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        model.refusals = [(503, "")] * 4
        link, told = link_to(model.client), Told()
        link.attach(told)
        link.open()
        await until(lambda: link.is_up)
        gaps = [later - earlier for earlier, later in pairwise(model.asked_at)]
        for gap, planned in zip(gaps, (0.15, 0.3, 0.6, 1.2), strict=True):
            assert planned * 0.7 - 0.02 <= gap <= planned * 1.3 + 0.3
        assert [failure.code for failure in told.attempts] == [503] * 4
        assert (told.ready, told.failed) == ([(Beginning.NEW, Cause.CONNECT)], [])
        await link.close()


async def test_delays_before_a_retry_differ_between_calls(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        model.refusals = [(503, "")] * 6
        links = [link_to(model.client) for _ in range(6)]
        for link in links:
            link.attach(Told())
            link.open()
        await until(lambda: all(link.is_up for link in links))
        again = sorted(model.asked_at)[6:]
        assert again[-1] - again[0] > 0.01
        for link in links:
            await link.close()


async def test_what_is_sent_meanwhile_waits(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        model.refusals = [(503, "")] * 2
        link = link_to(model.client)
        link.attach(Told())
        link.open()
        for number in range(20):
            link.send_audio(numbered(number))
        await until(lambda: model.lines and len(model.lines[0].numbers) == 20)
        assert model.lines[0].numbers == list(range(20))
        await link.close()


# ---- what is told ----


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, "", FailureKind.OTHER_MODEL),
        (400, "API key not valid. Please pass a valid API key.", FailureKind.GIVE_UP),
        (401, "", FailureKind.GIVE_UP),
        (403, "", FailureKind.GIVE_UP),
        (404, "", FailureKind.OTHER_MODEL),
        (429, "", FailureKind.OTHER_MODEL),
    ],
)
async def test_a_model_that_refuses_is_not_asked_again_until_another_one_is_named(tmp_path, status, body, kind):
    async with wire_model(tmp_path, keep) as model:
        model.refusals = [(status, body)]
        link, told = link_to(model.client), Told()
        link.attach(told)
        link.open()
        await until(lambda: told.failed)
        [(cause, failure)] = told.failed
        assert (cause, failure.kind, failure.code) == (Cause.CONNECT, kind, status)
        assert link.failure == failure
        assert len(model.asked_at) == 1
        link.use(setup_with("gemini-other"))
        await until(lambda: link.is_up)
        assert (link.failure, link.connected_model) == (None, "gemini-other")
        assert told.ready == [(Beginning.NEW, Cause.OTHER_MODEL)]
        await link.close()


@pytest.mark.parametrize(
    ("fault", "kind", "told_in"),
    [
        ("tls-error", FailureKind.GIVE_UP, "certificate"),
        ("http-401", FailureKind.GIVE_UP, "401"),
        ("http-429", FailureKind.OTHER_MODEL, "429"),
    ],
)
async def test_the_stand_ins_faults_that_end_it(fault, kind, told_in):
    async with GeminiEmulator(scripts=[], fault=fault) as emulator:
        client = make_client(api_key="x", base_url=emulator.base_url, ca_file=emulator.ca_file)
        link, told = link_to(client), Told()
        link.attach(told)
        link.open()
        await until(lambda: told.failed)
        assert told.failed[0][1].kind is kind
        assert told_in in told.failed[0][1].sentence
        await link.close()


@pytest.mark.parametrize("code", [1000, 1006, 1007, 1008, 1011])
async def test_a_setup_that_is_answered_with_a_close_is_tried_again(tmp_path, code):
    async def close_first(line: Line) -> None:
        if line.number == 0:
            await line.socket.recv()
            if code == 1006:
                line.socket.transport.abort()
                return
            await line.socket.close(code, "Request contains an invalid argument.")
            return
        await keep(line)

    async with wire_model(tmp_path, close_first) as model:
        link, told = link_to(model.client), Told()
        link.attach(told)
        link.open()
        await until(lambda: link.is_up)
        assert [failure.code for failure in told.attempts] == [code]
        assert told.ready == [(Beginning.NEW, Cause.CONNECT)]
        await link.close()


@pytest.mark.parametrize("answer", ['{"serverContent": {}}', "{", "[]"])
async def test_a_setup_that_is_answered_with_something_else_is_tried_again(tmp_path, answer):
    async def say_other(line: Line) -> None:
        if line.number == 0:
            await line.socket.recv()
            await line.say(answer)
            await line.listen()
        await keep(line)

    async with wire_model(tmp_path, say_other) as model:
        link, told = link_to(model.client), Told()
        link.attach(told)
        link.open()
        await until(lambda: link.is_up)
        assert len(told.attempts) == 1
        await link.close()


async def test_a_closed_port_is_tried_again_and_has_its_own_sentence(tmp_path: Path):
    certificates = await asyncio.to_thread(issue_certificates, tmp_path, "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        client = make_client(api_key="x", base_url=f"https://127.0.0.1:{port}", ca_file=certificates.ca_file)
        link, told = link_to(client), Told()
        link.attach(told)
        link.open()
        await until(lambda: len(told.attempts) == 2)
        assert told.attempts[0] == sort_failure(ConnectionRefusedError())
        await link.close()


async def test_a_host_that_nobody_knows_has_its_own_sentence(tmp_path: Path):
    certificates = await asyncio.to_thread(issue_certificates, tmp_path, "127.0.0.1")
    client = make_client(api_key="x", base_url="https://no-such-host.invalid", ca_file=certificates.ca_file)
    link, told = link_to(client), Told()
    link.attach(told)
    link.open()
    await until(lambda: told.attempts)
    assert "host name" in told.attempts[0].sentence or "in time" in told.attempts[0].sentence
    await link.close()


# ---- another model ----


async def test_another_model_is_connected_at_once_while_an_attempt_at_the_first_hangs(tmp_path):
    async def only_other(line: Line) -> None:
        line.setup = {}
        if line.number == 0:
            await mute(line)
        await keep(line)

    async with wire_model(tmp_path, only_other) as model:
        link, told = link_to(model.client), Told()
        link.attach(told)
        link.open()
        await until(lambda: model.lines)
        began = now()
        link.use(setup_with("gemini-other"))
        await until(lambda: link.is_up)
        assert now() - began < 0.8
        assert model.lines[1].setup["model"] == "models/gemini-other"
        assert told.ready == [(Beginning.NEW, Cause.OTHER_MODEL)]
        assert told.attempts == [], "the first one was given up, which is no failure"
        await link.close()


async def test_another_model_is_connected_at_once_between_two_attempts(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        model.refusals = [(503, "")] * 4
        link, told = link_to(model.client), Told()
        link.attach(told)
        link.open()
        await until(lambda: len(told.attempts) == 4)
        began = now()
        link.use(setup_with("gemini-other"))
        await until(lambda: link.is_up)
        assert now() - began < 0.6
        assert link.connected_model == "gemini-other"
        await link.close()


# ---- while the phone rings ----


async def test_a_link_that_was_opened_while_it_rang_is_ready_at_once(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        link, told = link_to(model.client), Told()
        link.open()
        link.open()
        await until(lambda: model.lines and model.lines[0].setup)
        await asyncio.sleep(0.1)
        assert not link.is_up
        began = now()
        link.attach(told)
        await until(lambda: link.is_up)
        assert now() - began < 0.1
        assert len(model.lines) == 1
        await link.close()


async def test_a_failure_that_is_known_before_anybody_listens_is_told_to_whoever_comes(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        model.refusals = [(401, "")]
        link, told = link_to(model.client), Told()
        link.open()
        await until(lambda: link.failure)
        link.attach(told)
        assert [failure.kind for _, failure in told.failed] == [FailureKind.GIVE_UP]
        await link.close()
        assert link_tasks() == []


async def test_whoever_comes_does_not_wait_for_the_next_attempt(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        model.refusals = [(503, "")] * 5
        link = link_to(model.client)
        link.open()
        await until(lambda: len(model.asked_at) == 5)
        await asyncio.sleep(0.1)  # the next one is planned for two seconds later
        link.attach(Told())
        await until(lambda: link.is_up, 0.6)
        await link.close()


async def test_a_connection_that_was_lost_while_it_rang_is_replaced_when_somebody_comes(tmp_path):
    async def drop_first(line: Line) -> None:
        await line.begin()
        await line.give_handle(f"handle-{line.number}")
        if line.number == 0:
            await line.socket.close(1011, "Internal error encountered.")
        await line.listen()

    async with wire_model(tmp_path, drop_first) as model:
        link, told = link_to(model.client), Told()
        link.open()
        await until(lambda: model.lines and model.lines[0].socket.close_code)
        link.attach(told)
        await until(lambda: len(told.ready) == 2)
        assert told.ready == [(Beginning.NEW, Cause.CONNECT), (Beginning.RESUMED, Cause.DROPPED)]
        await link.close()


async def test_a_link_that_nobody_collects_closes_its_connection(tmp_path):
    async with wire_model(tmp_path, keep) as model:
        link = link_to(model.client)
        link.open()
        await until(lambda: model.lines and model.lines[0].setup)
        await link.close()
        await until(lambda: model.lines[0].socket.close_code == 1000)
        assert link_tasks() == []
