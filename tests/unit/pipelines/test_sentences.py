"""The three ways to a sentence that needs no model, what is prepared for which agent, and what bad days do to that."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from loguru import logger

from config.agent import AgentConfig
from config.agents_folder import AgentWatch
from config.phrases import Phrases
from pipelines.gemini_client import make_client
from pipelines.sentence_clips import SHIPPED, ShippedClips, load_shipped
from pipelines.sentence_files import SentenceFiles
from pipelines.sentence_reading import RATE_HZ, Reading
from pipelines.sentences import SentenceKind, Sentences, open_sentences, wanted_readings, wording
from simulators.gemini_live import GeminiEmulator
from simulators.speech import speak
from tests.unit.pipelines.odd_model import Message, OddModel, odd_model, reading

CASCADE = [
    "transport.input",
    "silero_vad",
    "user_turns",
    "pipecat.services.openai.llm.OpenAILLMService",
    "transport.output",
]


def agent(name: str = "front-desk", **fields: object) -> AgentConfig:
    return AgentConfig.model_validate({"name": name, "bot": "receptionist", **fields})


def readings(*agents: AgentConfig) -> list[Reading]:
    return list(wanted_readings(agents))


def quoted(request: str) -> str:
    """The sentence that the odd model was asked to read."""
    return request.split('"')[1]


def reads_well(request: str, _: int) -> Sequence[Message]:
    return reading(quoted(request))


@pytest.fixture(scope="module")
def shipped() -> ShippedClips:
    return load_shipped()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sentences"


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is logged as a warning or worse."""
    lines: list[str] = []
    number = logger.add(
        lambda line: lines.append(str(line)), level="WARNING", format="{message} {extra}", filter="pipelines"
    )
    yield lines
    logger.remove(number)


@pytest_asyncio.fixture
async def model(tmp_path: Path) -> AsyncIterator[OddModel]:
    """A model that reads every sentence well."""
    keys = tmp_path / "keys"
    keys.mkdir()
    async with odd_model(keys, reads_well) as running:
        yield running


def names(folder: Path) -> list[str]:
    """What is in a folder; nothing when there is none."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_secs = 0.0

    def __call__(self) -> float:
        return self.now_secs


# --- the three ways ------------------------------------------------------------------------------------------------


async def test_what_the_agents_own_voice_has_read_is_said_after_a_restart_without_the_model(
    folder: Path, shipped: ShippedClips, model: OddModel
) -> None:
    mine = agent(phrases={"apology": "I am sorry. Please call again tomorrow."})
    await Sentences(folder, shipped, model.client).prepare([mine])
    later = Sentences(folder, shipped, None)
    assert later.find(mine, SentenceKind.APOLOGY) == shipped["en", SentenceKind.APOLOGY], "nothing is loaded yet"
    await later.load([mine])
    for kind in SHIPPED:
        spoken = later.find(mine, kind)
        assert spoken is not None
        assert spoken.text == wording(mine, kind)
    spoken = later.find(mine, SentenceKind.APOLOGY)
    assert spoken is not None
    assert spoken.rate_hz == RATE_HZ
    assert spoken.pcm in speak("I am sorry. Please call again tomorrow.")


@pytest.mark.parametrize("kind", sorted(SHIPPED))
def test_what_was_not_read_yet_is_a_shipped_clip_with_its_own_words(
    folder: Path, shipped: ShippedClips, kind: SentenceKind
) -> None:
    mine = agent(language="en-GB", phrases={name: "Other words." for name in Phrases.model_fields})
    spoken = Sentences(folder, shipped, None).find(mine, kind)
    assert spoken is not None
    assert spoken == shipped["en", kind]
    assert spoken.text == wording(agent(), kind) != "Other words."


@pytest.mark.parametrize(("language", "first"), [("es-MX", "Un momento"), ("fr-CA", "Un instant")])
def test_there_are_clips_of_other_languages(folder: Path, shipped: ShippedClips, language: str, first: str) -> None:
    spoken = Sentences(folder, shipped, None).find(agent(language=language), SentenceKind.FILLER)
    assert spoken is not None
    assert spoken.text.startswith(first)


@pytest.mark.parametrize("language", ["de-DE", "ja-JP"])
def test_without_either_there_is_none_and_twilio_has_to_say_it(
    folder: Path, shipped: ShippedClips, language: str
) -> None:
    sentences = Sentences(folder, shipped, None)
    for kind in SentenceKind:
        assert sentences.find(agent(language=language), kind) is None


async def test_an_agent_without_gemini_has_shipped_clips_and_nothing_is_made_for_it(
    folder: Path, shipped: ShippedClips, model: OddModel
) -> None:
    cascade = agent(pipeline=CASCADE)
    sentences = Sentences(folder, shipped, model.client)
    await sentences.prepare([cascade])
    assert model.asked == []
    assert sentences.find(cascade, SentenceKind.BUSY) == shipped["en", SentenceKind.BUSY]


async def test_finding_is_instant_and_touches_no_disk(folder: Path, shipped: ShippedClips, model: OddModel) -> None:
    mine = agent()
    sentences = Sentences(folder, shipped, model.client)
    await sentences.prepare([mine])
    await asyncio.to_thread(shutil.rmtree, folder)
    began = time.thread_time()
    for _ in range(1000):
        assert sentences.find(mine, SentenceKind.FILLER) is not None
    assert time.thread_time() - began < 0.5, "0.5 ms each"


# --- variables and texts of one's own ------------------------------------------------------------------------------


async def test_variables_are_filled_in_and_those_of_a_call_count_first(
    folder: Path, shipped: ShippedClips, model: OddModel
) -> None:
    mine = agent(variables={"business": "Blue Door"}, phrases={"goodbye": "Thank you for calling {business}."})
    sentences = Sentences(folder, shipped, model.client)
    await sentences.prepare([mine])
    assert "Thank you for calling Blue Door." in [quoted(request) for request in model.asked]
    spoken = sentences.find(mine, SentenceKind.GOODBYE)
    assert spoken is not None
    assert spoken.text == "Thank you for calling Blue Door."
    assert sentences.find(mine, SentenceKind.GOODBYE, {"business": "Blue Door"}) == spoken
    other = sentences.find(mine, SentenceKind.GOODBYE, {"business": "Red Door"})
    assert other == shipped["en", SentenceKind.GOODBYE], "a name that was not read is not said wrongly"


async def test_the_texts_of_the_ladder_are_made_too(folder: Path, shipped: ShippedClips, model: OddModel) -> None:
    ladder = [{"say": "One moment, I will connect you with {who}."}, {"transfer": "+15551230199"}]
    mine = agent(on_failure=ladder, variables={"who": "Alex"})
    sentences = Sentences(folder, shipped, model.client)
    await sentences.prepare([mine])
    text = "One moment, I will connect you with Alex."
    spoken = sentences.find_text(mine, text, SentenceKind.APOLOGY)
    assert spoken is not None
    assert spoken.text == text
    assert sentences.find_text(mine, "Never heard.", SentenceKind.APOLOGY) == shipped["en", SentenceKind.APOLOGY]
    assert sentences.find_text(agent(language="de-DE"), text, SentenceKind.APOLOGY) is None


def texts(*agents: AgentConfig) -> set[str]:
    return {reading.text for reading in readings(*agents)}


def test_only_what_a_call_of_the_agent_may_need_is_made() -> None:
    plain = agent()
    kept = {SentenceKind.CONSENT, SentenceKind.CONNECTING, SentenceKind.TAKE_MESSAGE, SentenceKind.MESSAGE_THANKS}
    assert texts(plain) == {wording(plain, kind) for kind in SHIPPED - kept}
    assert wording(plain, SentenceKind.DISCLOSURE) in texts(agent(outbound={"enabled": True}))
    assert wording(plain, SentenceKind.CONSENT_QUESTION) in texts(agent(recording={"consent": "ask"}))
    assert "This call may be recorded." in texts(agent(recording={"consent": "announce"}))
    assert "This call may be recorded." not in texts(agent(recording={"consent": "announce", "enabled": False}))
    assert wording(plain, SentenceKind.TIME_WARNING) not in texts(agent(limits={"warn_before_secs": 0}))
    asks = texts(agent(on_failure=["take_message"]))
    assert {wording(plain, kind) for kind in kept - {SentenceKind.CONSENT, SentenceKind.CONNECTING}} <= asks


@pytest.mark.parametrize(
    ("ladder", "is_made"),
    [
        (["say", {"transfer": "+15551230199"}], True),
        ([{"transfer": "+15551230199"}], True),
        (["say", {"say": "We are there from nine."}, {"transfer": "+15551230199"}], True),
        ([{"say": "A person will take over."}, {"transfer": "+15551230199"}], False),
        (["say", {"model": "another-model"}, {"say": "A moment."}, {"transfer": "+15551230199"}], False),
        (["say", "hang_up"], False),
    ],
)
def test_what_goes_before_a_transfer_is_made_where_the_ladder_says_it(ladder: list[object], is_made: bool) -> None:
    assert (wording(agent(), SentenceKind.CONNECTING) in texts(agent(on_failure=ladder))) == is_made


def test_what_is_needed_most_comes_first_and_the_same_reading_once() -> None:
    one, same, other = agent("a"), agent("b"), agent("c", phrases={"filler": "A moment."})
    found = readings(one, same, other)
    assert [reading.text for reading in found[:2]] == ["One moment, please.", "A moment."]
    assert len(found) == len(readings(one)) + 1
    louder = agent(
        "d", pipeline=["transport.input", "user_turns", {"gemini_live": {"voice": "Puck"}}, "transport.output"]
    )
    assert len(readings(one, louder)) == 2 * len(readings(one))


# --- preparing -----------------------------------------------------------------------------------------------------


async def test_nothing_is_made_twice_and_never_more_than_two_at_a_time(
    folder: Path, shipped: ShippedClips, tmp_path: Path
) -> None:
    async with odd_model(tmp_path, reads_well, think_secs=0.02) as model:
        sentences = Sentences(folder, shipped, model.client)
        await sentences.prepare([agent()])
        assert sorted(quoted(request) for request in model.asked) == sorted(texts(agent()))
        assert model.most_at_once == 2
        count = len(model.asked)
        await sentences.prepare([agent()])
        await Sentences(folder, shipped, model.client).prepare([agent("same-words")])
        assert len(model.asked) == count


async def test_a_broken_or_empty_file_is_made_again(folder: Path, shipped: ShippedClips, model: OddModel) -> None:
    mine = agent()
    await Sentences(folder, shipped, model.client).prepare([mine])
    made, files = readings(mine), SentenceFiles(folder)
    before = files.path(made[0]).read_bytes()
    files.path(made[0]).write_bytes(b"")
    files.path(made[1]).write_bytes(before[:-500])
    model.asked.clear()
    await Sentences(folder, shipped, model.client).prepare([mine])
    assert {quoted(request) for request in model.asked} == {made[0].text, made[1].text}
    assert files.path(made[0]).read_bytes() == before


async def test_an_edit_is_prepared_and_the_old_words_stay_for_calls_that_began_with_them(
    folder: Path, shipped: ShippedClips, model: OddModel, tmp_path: Path
) -> None:
    agents = tmp_path / "agents"
    agents.mkdir()
    path = agents / "front-desk.yaml"
    path.write_text("bot: receptionist\nphrases: {filler: One moment.}\n")
    watch = AgentWatch(agents, known_bots=None)
    sentences = Sentences(folder, shipped, model.client)
    await sentences.prepare(watch.catalog.agents)
    old = watch.catalog.agents[0]
    count = len(model.asked)
    path.write_text("bot: receptionist\nphrases: {filler: Your turn is coming.}\n")
    await asyncio.to_thread(watch.refresh)
    await sentences.prepare(watch.catalog.agents)
    assert [quoted(request) for request in model.asked[count:]] == ["Your turn is coming."]
    now, then = (sentences.find(it, SentenceKind.FILLER) for it in (watch.catalog.agents[0], old))
    assert now is not None
    assert then is not None
    assert (now.text, then.text) == ("Your turn is coming.", "One moment.")


async def test_what_nobody_wants_any_more_makes_room(
    folder: Path, shipped: ShippedClips, model: OddModel, warnings: list[str]
) -> None:
    old = agent(language="de-DE", phrases=dict.fromkeys(Phrases.model_fields, "One moment, please."))
    new = agent(language="de-DE", phrases=dict.fromkeys(Phrases.model_fields, "Thank you for calling. Goodbye!"))
    both = len(speak("One moment, please.")) + len(speak("Thank you for calling. Goodbye!"))
    sentences = Sentences(folder, shipped, model.client, most_bytes=both - 10_000)
    await sentences.prepare([old])
    assert sentences.find(old, SentenceKind.FILLER) is not None
    await sentences.prepare([new])
    assert sentences.find(new, SentenceKind.FILLER) is not None
    assert sentences.find(old, SentenceKind.FILLER) is None
    assert warnings == []
    await sentences.prepare([new, old.model_copy(update={"name": "second"})])
    assert sentences.find(new, SentenceKind.FILLER) is not None
    assert sentences.find(old, SentenceKind.FILLER) is None
    assert len(warnings) == 1
    assert "no room" in warnings[0]


async def test_a_second_process_leaves_alone_what_the_first_is_making(
    folder: Path, shipped: ShippedClips, tmp_path: Path
) -> None:
    async with odd_model(tmp_path, reads_well, think_secs=0.05) as model:
        first, second = (Sentences(folder, shipped, model.client) for _ in range(2))
        await asyncio.gather(first.prepare([agent()]), second.prepare([agent()]))
        await asyncio.gather(first.prepare([agent()]), second.prepare([agent()]))
        assert len(model.asked) == len(texts(agent()))
        for sentences in (first, second):
            spoken = sentences.find(agent(phrases={"filler": "One moment, please."}), SentenceKind.FILLER)
            assert spoken is not None
            assert spoken.pcm in speak("One moment, please.")


# --- bad days ------------------------------------------------------------------------------------------------------


async def test_a_model_that_fails_is_left_alone_longer_each_time_and_told_once(
    folder: Path, shipped: ShippedClips, warnings: list[str], tmp_path: Path
) -> None:
    is_well = False

    def answer(request: str, count: int) -> Sequence[Message]:
        return reads_well(request, count) if is_well else [1011]

    clock, mine = Clock(), agent()
    async with odd_model(tmp_path, answer) as model:
        sentences = Sentences(folder, shipped, model.client, now=clock)
        for pause_secs in (5, 20, 80, 320, 1280, 3600):
            model.asked.clear()
            for _ in range(3):
                await sentences.prepare([mine])
            assert 1 <= len(model.asked) <= 2, "one failure stops the rest; another may have been under way"
            clock.now_secs += pause_secs
        assert sentences.find(mine, SentenceKind.FILLER) == shipped["en", SentenceKind.FILLER]
        assert len(warnings) == 1
        assert "1011" in warnings[0]
        is_well = True
        clock.now_secs += 7200
        await sentences.prepare([mine])
        await sentences.prepare([mine])
        spoken = sentences.find(mine, SentenceKind.FILLER)
        assert spoken is not None
        assert spoken != shipped["en", SentenceKind.FILLER]


async def test_one_sentence_that_is_read_wrongly_holds_up_no_other(
    folder: Path, shipped: ShippedClips, warnings: list[str], tmp_path: Path
) -> None:
    def answer(request: str, _: int) -> Sequence[Message]:
        text = quoted(request)
        return reading("How can I help you?" if text == "One moment, please." else text)

    async with odd_model(tmp_path, answer) as model:
        sentences = Sentences(folder, shipped, model.client)
        await sentences.prepare([agent(language="de-DE", phrases=dict(Phrases()))])
        mine = agent(language="de-DE", phrases=dict(Phrases()))
        assert sentences.find(mine, SentenceKind.FILLER) is None
        for kind in (SentenceKind.APOLOGY, SentenceKind.BUSY, SentenceKind.GOODBYE):
            assert sentences.find(mine, kind) is not None
        assert sum(quoted(request) == "One moment, please." for request in model.asked) == 2
        await sentences.prepare([mine])
        assert sum(quoted(request) == "One moment, please." for request in model.asked) == 2
    assert len(warnings) == 1
    assert "moment" not in warnings[0].lower()


@pytest.mark.parametrize("fault", ["connection-refused", "tls-error", "http-401", "http-403", "http-429", "http-503"])
async def test_an_endpoint_that_refuses_leaves_the_shipped_clips(
    folder: Path, shipped: ShippedClips, warnings: list[str], fault: str
) -> None:
    async with GeminiEmulator(fault=fault) as emulator:
        emulator.arm(fault, times=None)
        client = make_client(api_key="x", base_url=emulator.base_url, ca_file=emulator.ca_file)
        sentences = Sentences(folder, shipped, client)
        async with asyncio.timeout(5):
            await sentences.prepare([agent()])
            await sentences.prepare([agent()])
        assert sentences.find(agent(), SentenceKind.APOLOGY) == shipped["en", SentenceKind.APOLOGY]
        assert len(warnings) == 1


async def test_a_full_disk_costs_nothing_but_the_file(
    shipped: ShippedClips, model: OddModel, warnings: list[str], tmp_path: Path
) -> None:
    (tmp_path / "no-folder").write_text("")
    mine = agent(language="de-DE", phrases=dict(Phrases()))
    sentences = Sentences(tmp_path / "no-folder", shipped, model.client)
    await sentences.prepare([mine])
    assert sentences.find(mine, SentenceKind.FILLER) is not None
    assert ["cannot be read" in warnings[0], "cannot be saved" in warnings[1]] == [True, True]
    assert len(warnings) == 2


async def test_without_a_model_nothing_is_asked_for_and_the_disk_left_in_peace(
    folder: Path, shipped: ShippedClips, warnings: list[str]
) -> None:
    sentences = Sentences(folder, shipped, None)
    await sentences.prepare([agent()])
    await sentences.prepare([agent()])
    assert names(folder.parent) == []
    assert warnings == []


# --- in the background ---------------------------------------------------------------------------------------------


async def test_it_prepares_beside_everything_else_and_stops_with_the_block(folder: Path) -> None:
    agents = (agent(),)
    async with GeminiEmulator(playback_speed=50) as emulator:
        client = make_client(api_key="x", base_url=emulator.base_url, ca_file=emulator.ca_file)
        before = {task.get_name() for task in asyncio.all_tasks()}
        async with open_sentences(folder, client, lambda: agents) as sentences:
            longest_secs, asleep = 0.0, time.monotonic()
            async with asyncio.timeout(30):
                while len([name for name in names(folder) if name.endswith(".wav")]) < len(readings(*agents)):
                    await asyncio.sleep(0.005)
                    longest_secs, asleep = max(longest_secs, time.monotonic() - asleep), time.monotonic()
            assert longest_secs < 0.5, "the loop was never held up"
        assert all(talk.is_reading_aloud for talk in emulator.conversations)
        left = {task.get_name() for task in asyncio.all_tasks()} - before
        assert not {name for name in left if name.startswith("sentence")}
    async with open_sentences(folder, None, lambda: agents) as sentences:
        spoken = sentences.find(agents[0], SentenceKind.TOOL_FILLER)
        assert spoken is not None
        assert spoken.pcm in speak("One moment, I am looking that up.")


async def test_the_block_ends_at_once_while_a_reading_is_under_way(folder: Path) -> None:
    async with GeminiEmulator(reply_delay_ms=60_000) as emulator:
        client = make_client(api_key="x", base_url=emulator.base_url, ca_file=emulator.ca_file)
        async with open_sentences(folder, client, lambda: (agent(),)):
            await emulator.next_conversation(2)
            began = time.monotonic()
        assert time.monotonic() - began < 2
    assert names(folder) == [], "neither a claim nor half a file"
