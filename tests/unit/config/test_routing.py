"""The rules of `routing.yaml`: which one applies, who has which share, and every way in which the file can be wrong."""

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.agent_file import dotted
from config.agents_folder import AgentWatch, check_agents, load_agents
from config.errors import AgentErrors
from config.routing import Choice, Ringing, Routing, choose, default_of
from config.routing_file import parse_routing

NUMBER, OTHER = "+15551230100", "+15551230200"
KEY = b"k" * 32
NOON = datetime(2026, 11, 30, 10, 30, tzinfo=UTC)  # a Monday
NIGHT = datetime(2026, 11, 30, 23, 0, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
DOCS = Path(__file__).parents[3] / "docs" / "routing.md"
HOURS = "hours: {office: {zone: Europe/Berlin, open: {mon-fri: '08:00-18:00'}}}\n"


def routing(text: str) -> Routing:
    rules, faults = parse_routing(text.encode())
    assert rules is not None, faults
    return rules


def ringing(from_number: str | None = "+15557654321", to_number: str = NUMBER, call_sid: str = "CA1") -> Ringing:
    return Ringing(to_number, from_number, call_sid)


def chosen(rules: Routing, call: Ringing, now: datetime = NOON) -> Choice:
    choice = choose(rules, call, now=now, key=KEY)
    assert choice is not None
    return choice


ORDERED = HOURS + (
    "languages: {'+41': de}\n"
    "routes:\n"
    f"- numbers: ['{NUMBER}']\n"
    "  rules:\n"
    "  - {when: {closed: office, caller: ['+49', '+43']}, then: {say: Geschlossen, language: de-DE}}\n"
    "  - {when: {closed: office}, then: {busy: true}}\n"
    "  - {when: {withheld: true}, then: {agent: nobody}}\n"
    "  - {when: {language: de, open: office}, then: {agent: empfang, variables: {greeting_name: Anna}}}\n"
    "  default: {agent: desk}\n"
)


def test_the_first_rule_that_applies_is_taken() -> None:
    rules = routing(ORDERED)
    assert chosen(rules, ringing()) == Choice("routes[0].default", "desk")
    german = chosen(rules, ringing("+4930123456"))
    assert (german.place, german.agent, german.variables) == (
        "routes[0].rules[3]",
        "empfang",
        {"greeting_name": "Anna"},
    )
    assert chosen(rules, ringing("+41441234567")).agent == "empfang"
    assert chosen(rules, ringing(None)).agent == "nobody"
    at_night = chosen(rules, ringing("+436601234567"), NIGHT)
    assert at_night.agent is None
    assert at_night.result is not None
    assert (at_night.result.say, at_night.result.language) == ("Geschlossen", "de-DE")
    busy = chosen(rules, ringing(), NIGHT).result
    assert busy is not None
    assert busy.busy
    assert choose(rules, ringing(to_number=OTHER), now=NOON, key=KEY) is None


def test_the_default_of_a_route_without_one_is_whoever_lists_the_number() -> None:
    rules = routing(f"routes: [{{numbers: ['{NUMBER}'], rules: []}}]")
    assert default_of(rules, ringing()) == Choice("numbers")


def test_a_withheld_number_speaks_the_language_of_the_called_one() -> None:
    text = "routes: [{numbers: ['+4930123456'], rules: [{when: {language: de}, then: {agent: empfang}}]}]"
    assert chosen(routing(text), ringing(None, "+4930123456")).agent == "empfang"


def shares(text: str, key: bytes = KEY) -> dict[str, str | None]:
    rules = routing(f"routes: [{{numbers: ['{NUMBER}'], rules: [{text}], default: {{agent: rest}}}}]")
    callers = [f"+1555{number:07}" for number in range(4000)]
    found = {caller: choose(rules, ringing(caller), now=NOON, key=key) for caller in callers}
    return {caller: choice.agent if choice else None for caller, choice in found.items()}


def test_a_share_is_as_large_as_it_says_and_stays_with_its_callers() -> None:
    first = shares("{then: {share: {trial: 20, other: 30}}}")
    counted = Counter(first.values())
    assert counted["trial"] == pytest.approx(800, abs=110)
    assert counted["other"] == pytest.approx(1200, abs=130)
    assert shares("{then: {share: {trial: 20, other: 30}}}") == first
    grown = shares("{then: {share: {trial: 40, other: 30}}}")
    assert all(grown[caller] == "trial" for caller, agent in first.items() if agent == "trial")
    assert shares("{then: {share: {trial: 20, other: 30}}}", b"another key") != first


def test_two_shares_in_a_row_are_drawn_apart() -> None:
    counted = Counter(shares("{then: {share: {a: 50}}}, {then: {share: {b: 50}}}").values())
    assert counted["a"] == pytest.approx(2000, abs=160)
    assert counted["b"] == pytest.approx(1000, abs=160)


def test_who_withholds_his_number_is_a_stranger_with_every_call() -> None:
    rules = routing(f"routes: [{{numbers: ['{NUMBER}'], rules: [{{then: {{share: {{a: 50, b: 50}}}}}}]}}]")
    calls = [ringing(None, call_sid=f"CA{i}") for i in range(40)]
    assert {chosen(rules, call).agent for call in calls} == {"a", "b"}
    assert all(chosen(rules, call) == chosen(rules, call) for call in calls)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", "", "is empty"),
        ("- a", "", "must be a mapping"),
        ("routes: [{numbers: []}]", "routes[0].numbers", "must not be empty"),
        ("routes: [{numbers: [+15551230100]}]", "routes[0].numbers[0]", 'put it in quotes, with the plus sign'),
        (f"routes: [{{numbers: ['{NUMBER}', '{NUMBER}']}}]", "routes[0].numbers[1]", "listed twice"),
        ("routes: [{numbers: ['{N}'], rules: [{then: {}}]}]", "routes[0].rules[0].then", "says nothing"),
        ("routes: [{numbers: ['{N}'], rules: [{then: {agent: a, busy: true}}]}]", "routes[0].rules[0].then", "one is"),
        ("routes: [{numbers: ['{N}'], rules: [{then: {agent: A}}]}]", "routes[0].rules[0].then.agent", "not a usable"),
        ("routes: [{numbers: ['{N}'], rules: [{then: {share: {a: 60, b: 50}}}]}]", "routes[0].rules[0].then", "110"),
        ("routes: [{numbers: ['{N}'], default: {share: {a: 60}}}]", "routes[0]", "default must be one agent"),
        ("routes: [{numbers: ['{N}'], rules: [{whem: {}, then: {busy: true}}]}]", "routes[0].rules[0].whem", "'when'"),
        ("routes: [{numbers: ['{N}'], rules: [{when: {opne: x}, then: {busy: true}}]}]", "routes[0].rules[0].when.opne",
         "'open'"),
        ("routes: [{numbers: ['{N}'], rules: [{when: {open: office}, then: {busy: true}}]}]",
         "routes[0].rules[0].when.open", "there are no hours 'office'"),
        ("routes: [{numbers: ['{N}'], rules: [{when: {caller: 49}, then: {busy: true}}]}]",
         "routes[0].rules[0].when.caller[0]", 'write "+49"'),
        ("routes: [{numbers: ['{N}'], rules: [{then: {ask: {url: 'http://crm.example.com', secret: whsec_}}}]}]",
         "routes[0].rules[0].then.ask.url", "https://"),
        ("routes: [{numbers: ['{N}'], rules: [{then: {ask: {url: 'https://crm.example.com', secret: hello}}}]}]",
         "routes[0].rules[0].then.ask.secret", "whsec_"),
        ("routes: [{numbers: ['{N}'], rules: [{then: {ask: {url: 'https://a.b', secret: {S}, timeout_secs: 20}}}]}]",
         "routes[0].rules[0].then.ask.timeout_secs", "<= 5"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_with_its_place(text: str, place: str, message: str) -> None:
    rules, faults = parse_routing(text.replace("{N}", NUMBER).replace("{S}", SECRET).encode())
    assert rules is None
    told = {dotted(fault.path): fault for fault in faults}
    assert place in told, told
    assert message in f"{told[place].message}; {told[place].cure}"


def test_a_secret_is_not_repeated() -> None:
    text = (
        f"routes: [{{numbers: ['{NUMBER}'], rules: [{{then: {{ask: {{url: 'https://a.example', secret: hush}}}}}}]}}]"
    )
    assert "hush" not in str(parse_routing(text.encode())[1])


# --- beside the agents ------------------------------------------------------------------------------------------------

BOTS = {"receptionist": None}
DESK = f'bot: receptionist\nvariables: {{name: Anna}}\nnumbers: ["{NUMBER}"]\n'


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)


def test_rules_are_checked_against_the_agents(folder: Path) -> None:
    write(
        folder,
        desk=DESK,
        routing=f"routes: [{{numbers: ['{NUMBER}', '{OTHER}'], rules: [{{then: {{agent: dsek}}}}, "
        "{when: {withheld: true}, then: {agent: desk, variables: {nmae: x}}}]}]",
    )
    told = [str(problem).partition("routing.yaml: ")[2] for problem in check_agents(folder, BOTS)]
    assert told == [
        "routes[0].rules[0].then.agent: there is no agent 'dsek'; did you mean 'desk'?",
        "routes[0].rules[1].then.variables.nmae: desk has no variable 'nmae'; did you mean 'name'?",
        f"routes[0].numbers[1]: nobody answers {OTHER} when no rule applies; "
        "add 'default: {agent: ...}' to the route, or the number to an agent's numbers:",
    ]
    with pytest.raises(AgentErrors):
        load_agents(folder, known_bots=BOTS)


def test_a_transfer_never_leads_back_to_this_server(folder: Path) -> None:
    rules = f"[{{when: {{withheld: true}}, then: {{transfer: '{NUMBER}'}}}}]"
    write(folder, desk=DESK, routing=f"routes: [{{numbers: ['{NUMBER}'], rules: {rules}}}]")
    [problem] = check_agents(folder, BOTS)
    assert problem.field == "routes[0].rules[0].then.transfer"
    assert "the call would come back; name a person's number" in str(problem)


def test_rules_are_read_again_and_a_bad_edit_leaves_the_last_good_ones(folder: Path) -> None:
    write(folder, desk=DESK)
    watch = AgentWatch(folder, known_bots=BOTS)
    assert watch.catalog.routing == Routing()
    agent = watch.catalog.by_name("desk")
    write(folder, routing=f"routes: [{{numbers: ['{NUMBER}'], rules: [{{then: {{busy: true}}}}]}}]")
    assert watch.refresh() == []
    assert watch.catalog.routing.route_of(NUMBER) is not None
    assert watch.catalog.by_name("desk") is agent
    write(folder, routing="routes: [{numbers: [], rules: []}]")
    assert [problem.field for problem in watch.refresh()] == ["routes[0].numbers"]
    assert watch.catalog.routing.route_of(NUMBER) is not None
    (folder / "routing.yaml").unlink()
    assert watch.refresh() == []
    assert watch.catalog.routing == Routing()


def test_an_agent_hands_over_to_agents_that_are_there(folder: Path) -> None:
    write(folder, desk=DESK + "handoff: {to: {bilingl: Bills, desk: Myself}}")
    told = [str(problem).partition("desk.yaml: ")[2] for problem in check_agents(folder, BOTS)]
    assert told == ["handoff.to.desk: an agent cannot hand over to itself; remove it, or name another agent"]
    write(folder, desk=DESK + "handoff: {to: {bilingl: Bills}}", billing="bot: receptionist")
    told = [str(problem).partition("desk.yaml: ")[2] for problem in check_agents(folder, BOTS)]
    assert told == ["handoff.to.bilingl: there is no agent 'bilingl'; did you mean 'billing'?"]


def test_a_running_agent_stays_in_use_when_its_handoff_is_edited_wrongly_or_its_target_goes(folder: Path) -> None:
    write(folder, desk=DESK + "handoff: {to: {billing: Bills}}", billing="bot: receptionist")
    watch = AgentWatch(folder, known_bots=BOTS)
    write(folder, desk=DESK + "greeting: new\nhandoff: {to: {repairs: Broken things}}")
    assert [problem.field for problem in watch.refresh()] == ["handoff.to.repairs"]
    desk = watch.catalog.by_name("desk")
    assert desk is not None
    assert desk.handoff.to == {"billing": "Bills"}
    write(folder, desk=DESK + "handoff: {to: {billing: Bills}}")
    assert watch.refresh() == []
    (folder / "billing.yaml").unlink()
    assert [problem.field for problem in watch.refresh()] == ["handoff.to.billing"]
    assert watch.catalog.by_name("desk") is not None


def test_the_example_of_the_page_can_be_used() -> None:
    example = re.search(r"```yaml\n(hours:.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    rules = routing(example[1])
    assert chosen(rules, ringing("+4930123456"), NIGHT).result is not None
    assert chosen(rules, ringing("+41441234567")).agent == "empfang"
