from pipelines.playout import Playout


def test_audio_sent_ahead_is_heard_when_what_came_before_has_been_played():
    playout = Playout()
    assert playout.send(100, 40) == 100
    assert playout.send(101, 40) == 140
    assert playout.send(500, 40) == 500
    assert playout.end_ms == 540


def test_a_clear_cuts_what_was_not_yet_heard_and_forgets_its_marks():
    playout = Playout()
    playout.send(0, 1000)
    playout.expect_mark("a", 0)
    assert playout.clear(300) == 300
    assert playout.end_ms == 300
    assert not playout.return_mark("a", 301), "a mark that clear returned says nothing of what was played"
    assert playout.send(310, 100) == 310


def test_a_clear_after_the_end_cuts_nothing():
    playout = Playout()
    playout.send(0, 200)
    assert playout.clear(900) == 200


def test_marks_teach_how_long_the_way_is():
    playout = Playout()
    for index in range(3):
        playout.send(index * 200, 200)
        playout.expect_mark(f"m{index}", index * 200)
    for index, late_ms in enumerate((90, 60, 300)):
        assert playout.return_mark(f"m{index}", (index + 1) * 200 + late_ms)
    assert playout.skew_ms == 60, "a busy loop only makes a mark look later"
    assert playout.send(1000, 40) == 1060


def test_speech_is_over_when_its_mark_is_back():
    playout = Playout()
    playout.send(0, 200)
    playout.expect_mark("end", 0)
    assert not playout.is_done(199)
    assert not playout.is_done(250), "the mark is not back yet"
    playout.return_mark("end", 260)
    assert playout.is_done(260)


def test_a_lost_mark_is_not_waited_for_for_ever():
    playout = Playout()
    playout.send(0, 200)
    playout.expect_mark("lost", 0)
    assert playout.is_done(1300)


def test_an_unknown_or_repeated_mark_is_told():
    playout = Playout()
    playout.send(0, 100)
    playout.expect_mark("a", 0)
    assert playout.return_mark("a", 100)
    assert not playout.return_mark("a", 100)
    assert not playout.return_mark("never", 100)


def test_a_mark_behind_nothing_measures_the_way_before_the_first_word():
    playout = Playout()
    playout.expect_mark("probe", 400)
    playout.return_mark("probe", 560)
    assert playout.send(600, 40) == 760
    assert playout.ahead_ms(600) == 40, "what counts for pacing is what was sent, not when it is heard"


def test_a_far_end_is_not_taken_for_ever_farther():
    """Audio is sent 200 ms ahead over a way of 160 ms; the estimate must not feed on its own predictions."""
    playout = Playout()
    due: list[tuple[float, str]] = []
    for index in range(100):
        now = index * 200
        while due and due[0][0] <= now:
            at, name = due.pop(0)
            playout.return_mark(name, at)
        playout.send(now, 200)
        playout.expect_mark(f"m{index}", now)
        due.append((now + 200 + 160, f"m{index}"))
    assert playout.skew_ms == 160
    assert playout.clear(19_900) == 20_060


def test_one_stretch_of_audio_has_no_seam_when_the_estimate_changes():
    playout = Playout()
    playout.send(0, 200)
    playout.expect_mark("a", 0)
    first_end_ms = playout.send(100, 200) + 200
    playout.return_mark("a", 290)
    assert playout.skew_ms == 90
    assert playout.send(250, 200) == first_end_ms
    assert playout.send(1000, 200) == 1090, "the next stretch is placed by what was learned"
