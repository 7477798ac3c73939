"""What waits for the model: in order, bounded, sent once, and said again when it has to be."""

from google.genai.types import Content, FunctionResponse, Part

from pipelines.outbox import Audio, Contents, Item, Outbox, Text, ToolResult


def sound(number: int, ms: int = 100) -> Audio:
    """The number-th piece of the call."""
    return Audio(bytes(ms * 16), 8000, (number + 1) * float(ms))


def result(call_id: str = "1") -> ToolResult:
    return ToolResult(FunctionResponse(id=call_id, name="opening_hours", response={}))


def drain(outbox: Outbox) -> list[Item]:
    """Send all that waits."""
    sent: list[Item] = []
    while (item := outbox.first()) is not None:
        sent.append(item)
        outbox.sent(item)
    return sent


def test_things_leave_in_the_order_in_which_they_came():
    outbox, items = Outbox(), [sound(0), Text("Hello."), result(), sound(1)]
    for item in items:
        outbox.add(item)
    assert outbox.first() is items[0], "what is only looked at stays"
    assert drain(outbox) == items
    assert (outbox.first(), len(outbox)) == (None, 0)


def test_sound_that_waits_too_long_is_let_go_the_oldest_first_and_nothing_else_is():
    outbox = Outbox()
    outbox.add(Text("Ask this."))
    for number in range(400):
        outbox.add(sound(number))
    outbox.add(result())
    first, *pieces, last = drain(outbox)
    assert first == Text("Ask this.")
    assert last == result()
    assert pieces == [sound(number) for number in range(100, 400)]
    assert outbox.dropped_ms == 10_000


def test_what_is_said_again_counts_as_waiting():
    outbox = Outbox()
    for number in range(200):
        outbox.add(sound(number))
    drain(outbox)
    outbox.say_again(0)
    for number in range(200, 400):
        outbox.add(sound(number))
    assert drain(outbox) == [sound(number) for number in range(100, 400)]


def test_what_was_let_go_while_it_was_on_its_way_takes_nothing_else_with_it():
    outbox = Outbox()
    outbox.add(sound(0))
    outbox.add(result())
    stuck = outbox.first()
    assert stuck is not None
    for number in range(1, 301):  # the peer reads nothing for half a minute, and then all of it
        outbox.add(sound(number))
    outbox.sent(stuck)
    assert outbox.dropped_ms == 0, "it was sent after all"
    assert outbox.first() == result()
    assert [item for item in drain(outbox) if isinstance(item, ToolResult)] == [result()]


def test_what_was_sent_is_said_again_before_what_waits_from_a_given_time_on():
    outbox = Outbox()
    for number in range(10):
        outbox.add(sound(number))
    drain(outbox)
    outbox.add(Text("Later."))
    outbox.say_again(700)
    assert drain(outbox) == [sound(7), sound(8), sound(9), Text("Later.")]
    outbox.say_again(800)
    assert drain(outbox) == [sound(8), sound(9)], "and again, as often as connections break"


def test_only_the_last_twenty_seconds_are_remembered():
    outbox = Outbox()
    for number in range(1000):
        outbox.add(sound(number))
        drain(outbox)
    outbox.say_again(0)
    again = drain(outbox)
    assert again[-1] == sound(999)
    assert 199 <= len(again) <= 202


def test_what_is_put_first_keeps_its_order():
    outbox = Outbox()
    outbox.add(Text("third"))
    outbox.put_first([Text("first"), Text("second")])
    assert drain(outbox) == [Text("first"), Text("second"), Text("third")]


def test_results_are_let_go_from_between_the_rest():
    outbox = Outbox()
    for item in (sound(0), result("1"), Text("Hello."), result("2")):
        outbox.add(item)
    outbox.drop_tool_results()
    assert drain(outbox) == [sound(0), Text("Hello.")]


def test_it_knows_what_is_asked_for_already():
    outbox = Outbox()
    assert not outbox.asks("Greet.")
    outbox.add(Contents([], is_complete=True))
    outbox.add(sound(0))
    outbox.add(Contents([Content(role="user", parts=[Part(text="Greet.")])], is_complete=True))
    outbox.add(Text("Say goodbye."))
    assert outbox.asks("Greet.")
    assert outbox.asks("Say goodbye.")
    assert not outbox.asks("Say")
