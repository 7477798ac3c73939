"""The folder of agents: loading it, and watching it while it is edited."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from config.agents_folder import AgentWatch, check_agents, load_agents
from config.errors import AgentErrors

Write = Callable[[str, str], Path]

DESK = 'bot: receptionist\nnumbers: ["+15551230100"]\ngreeting: '
LINE = 'bot: receptionist\nnumbers: ["+15551230101"]\ngreeting: '
NIGHT = 'bot: receptionist\nnumbers: ["+15551230102"]\ngreeting: '
BOTS = {"receptionist": None}


def greetings(watch: AgentWatch) -> dict[str, str]:
    return {agent.name: agent.greeting for agent in watch.catalog.agents}


def watching(folder: Path) -> AgentWatch:
    return AgentWatch(folder, known_bots=BOTS)


def test_agents_are_found_by_name_and_by_number(folder: Path, write_agent: Write) -> None:
    write_agent("line", LINE + "Line")
    write_agent("desk", DESK + "Desk")
    (folder / ".desk.yaml").write_text("a swap file")
    (folder / "notes.txt").write_text("not an agent")
    catalog = load_agents(folder, known_bots=BOTS)
    assert [agent.name for agent in catalog.agents] == ["desk", "line"]
    assert catalog.by_name("line") == catalog.by_number("+15551230101")
    assert catalog.by_name("nobody") is None
    assert catalog.by_number("+15550000000") is None


def test_an_empty_folder_holds_no_agents(folder: Path) -> None:
    assert load_agents(folder, known_bots=BOTS).agents == ()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    [problem] = check_agents(tmp_path / "absent", BOTS)
    assert str(problem) == (
        f"{tmp_path}/absent: cannot be read (No such file or directory); "
        "create it, or point TRUNKLINE_AGENTS_DIR at the folder with your agents"
    )


def test_the_problems_of_all_files_are_named(folder: Path, write_agent: Write) -> None:
    write_agent("b", "bot: nobody")
    write_agent("a", "limits: {max_call_secs: 3}")
    (folder / "c.yml").write_text(DESK + "Hi")
    problems = check_agents(folder, BOTS)
    assert [(Path(problem.file).name, problem.field) for problem in problems] == [
        ("a.yaml", "bot"),
        ("a.yaml", "limits.max_call_secs"),
        ("b.yaml", "bot"),
        ("c.yml", ""),
    ]
    assert problems[-1].cure == "rename it so that it ends in .yaml"
    with pytest.raises(AgentErrors) as caught:
        load_agents(folder, known_bots=BOTS)
    assert str(caught.value).splitlines() == [str(problem) for problem in problems]


def test_two_agents_that_claim_one_number_are_both_named(folder: Path, write_agent: Write) -> None:
    write_agent("a", DESK + "Hi")
    write_agent("b", DESK + "Hi")
    [problem] = check_agents(folder, BOTS)
    assert str(problem) == (
        f"{folder}/b.yaml: numbers[0]: +15551230100 is already claimed by {folder}/a.yaml; "
        "remove it from one of the two files"
    )


def test_bots_are_not_checked_where_none_are_given(folder: Path, write_agent: Write) -> None:
    write_agent("a", "bot: whoever\nsettings: {a: 1}")
    assert check_agents(folder, None) == []


def test_new_changed_and_removed_files_are_picked_up(folder: Path, write_agent: Write) -> None:
    desk = write_agent("desk", DESK + "One")
    watch = watching(folder)
    during_a_call = watch.catalog
    write_agent("desk", DESK + "Two")
    write_agent("line", LINE + "Line")
    assert watch.refresh() == []
    assert greetings(watch) == {"desk": "Two", "line": "Line"}
    desk.unlink()
    assert watch.refresh() == []
    assert greetings(watch) == {"line": "Line"}
    assert watch.catalog.by_number("+15551230100") is None
    agent = during_a_call.by_name("desk")
    assert agent is not None
    assert agent.greeting == "One"


def test_a_broken_edit_keeps_the_last_good_version_and_is_logged_once(
    folder: Path, write_agent: Write, log_lines: list[str]
) -> None:
    write_agent("desk", DESK + "One")
    watch = watching(folder)
    write_agent("desk", DESK + "Two\nlimits: {max_call_secs: 3}")
    for _ in range(3):
        [problem] = watch.refresh()
        assert str(problem) == f"{folder}/desk.yaml: limits.max_call_secs: must be >= 10 (got 3)"
    assert watch.problems == [problem]
    assert greetings(watch) == {"desk": "One"}
    assert len(log_lines) == 1
    assert "limits.max_call_secs: must be >= 10 (got 3)" in log_lines[0]
    write_agent("desk", DESK + "Three")
    assert watch.refresh() == []
    assert greetings(watch) == {"desk": "Three"}


def test_a_new_file_that_is_broken_is_no_agent_until_it_is_cured(folder: Path, write_agent: Write) -> None:
    watch = watching(folder)
    write_agent("desk", "bot: [")
    assert len(watch.refresh()) == 1
    assert greetings(watch) == {}
    write_agent("desk", DESK + "One")
    assert watch.refresh() == []
    assert greetings(watch) == {"desk": "One"}


def test_an_edit_that_claims_a_number_keeps_the_edited_files_last_good_version(
    folder: Path, write_agent: Write, log_lines: list[str]
) -> None:
    write_agent("desk", DESK + "Desk")
    write_agent("line", LINE + "Line")
    watch = watching(folder)
    write_agent("desk", LINE + "Thief")  # earlier in the alphabet than the owner
    for _ in range(2):
        [problem] = watch.refresh()
    assert (Path(problem.file).name, problem.field) == ("desk.yaml", "numbers[0]")
    assert str(folder / "line.yaml") in problem.message
    assert greetings(watch) == {"desk": "Desk", "line": "Line"}
    assert len(log_lines) == 1
    # The owner lets go of it, and the edit that waited is taken.
    write_agent("line", NIGHT + "Line")
    assert watch.refresh() == []
    assert greetings(watch) == {"desk": "Thief", "line": "Line"}


def test_the_owners_own_edit_does_not_cost_it_its_number(folder: Path, write_agent: Write) -> None:
    write_agent("desk", DESK + "Desk")
    write_agent("line", LINE + "Line")
    watch = watching(folder)
    write_agent("desk", LINE + "Thief")
    write_agent("line", LINE + "Line, edited later")
    [problem] = watch.refresh()
    assert Path(problem.file).name == "desk.yaml"
    assert greetings(watch) == {"desk": "Desk", "line": "Line, edited later"}


def test_of_two_new_claims_the_first_one_saved_wins(folder: Path, write_agent: Write) -> None:
    watch = watching(folder)
    write_agent("second", DESK + "first saved")
    write_agent("first", DESK + "second saved")
    [problem] = watch.refresh()
    assert Path(problem.file).name == "first.yaml"
    assert greetings(watch) == {"second": "first saved"}


def test_agents_can_exchange_their_numbers(folder: Path, write_agent: Write) -> None:
    write_agent("desk", DESK + "Hi")
    write_agent("line", LINE + "Hi")
    watch = watching(folder)
    write_agent("desk", LINE + "Hi")
    write_agent("line", DESK + "Hi")
    assert watch.refresh() == []
    owner = watch.catalog.by_number("+15551230100")
    assert owner is not None
    assert owner.name == "line"


def test_an_exchange_that_is_half_refused_leaves_no_number_twice(folder: Path, write_agent: Write) -> None:
    write_agent("desk", DESK + "Hi")
    write_agent("line", LINE + "Hi")
    write_agent("night", NIGHT + "Hi")
    watch = watching(folder)
    write_agent("desk", NIGHT + "Hi")  # refused: night has it; so desk keeps its own, and line may not take it
    write_agent("line", DESK + "Hi")
    problems = watch.refresh()
    assert [Path(problem.file).name for problem in problems] == ["desk.yaml", "line.yaml"]
    assert {agent.name: agent.numbers[0] for agent in watch.catalog.agents} == {
        "desk": "+15551230100",
        "line": "+15551230101",
        "night": "+15551230102",
    }


def test_a_renamed_file_takes_its_number_along(folder: Path, write_agent: Write) -> None:
    path = write_agent("desk", DESK + "Hi")
    watch = watching(folder)
    path.rename(folder / "front.yaml")
    assert watch.refresh() == []
    owner = watch.catalog.by_number("+15551230100")
    assert owner is not None
    assert owner.name == "front"


@pytest.mark.parametrize("wait_secs", [0, 0.15], ids=["at once", "later"])
def test_an_edit_of_equal_length_within_one_tick_of_the_clock_is_seen(folder: Path, wait_secs: float) -> None:
    path = folder / "desk.yaml"
    path.write_text(DESK + "One")
    found = path.stat()
    watch = watching(folder)
    path.write_text(DESK + "Two")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    time.sleep(wait_secs)
    watch.refresh()
    assert greetings(watch) == {"desk": "Two"}


def test_a_folder_that_goes_away_leaves_the_agents_in_use(
    folder: Path, write_agent: Write, log_lines: list[str]
) -> None:
    write_agent("desk", DESK + "One")
    watch = watching(folder)
    shutil.move(folder, folder.with_name("away"))
    for _ in range(2):
        [problem] = watch.refresh()
    assert "cannot be read" in problem.message
    assert greetings(watch) == {"desk": "One"}
    assert len(log_lines) == 1
    shutil.move(folder.with_name("away"), folder)
    assert watch.refresh() == []


def test_an_unchanged_folder_keeps_its_catalog(folder: Path, write_agent: Write) -> None:
    write_agent("desk", DESK + "Hi")
    watch = watching(folder)
    catalog = watch.catalog
    watch.refresh()
    assert watch.catalog is catalog


def test_threads_may_refresh_while_files_change(folder: Path, write_agent: Write) -> None:
    write_agent("desk", DESK + "Hi 0")
    watch = watching(folder)
    failures: list[BaseException] = []

    def look() -> None:
        try:
            for _ in range(50):
                watch.refresh()
                assert watch.catalog.by_number("+15551230100") is not None
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for count in range(20):
        write_agent("desk", DESK + f"Hi {count}")
    for thread in threads:
        thread.join()
    watch.refresh()
    assert failures == []
    assert greetings(watch) == {"desk": "Hi 19"}
