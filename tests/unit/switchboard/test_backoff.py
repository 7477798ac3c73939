"""How long a process that ended is waited for."""

from switchboard.backoff import Backoff


def test_one_that_lived_for_long_is_followed_at_once():
    backoff = Backoff()
    assert [backoff.after(100, is_hopeless=False) for _ in range(3)] == [0, 0, 0]


def test_one_that_dies_again_and_again_is_waited_for_longer_each_time():
    backoff = Backoff()
    waits = [backoff.after(1, is_hopeless=False) for _ in range(12)]
    assert waits[0] == 0
    assert waits == sorted(waits)
    assert waits[-1] == 60
    assert backoff.after(100, is_hopeless=False) == 0


def test_one_that_cannot_start_is_not_tried_at_once():
    backoff = Backoff()
    assert [backoff.after(0, is_hopeless=True) for _ in range(3)] == [5, 10, 20]
    assert backoff.is_new("no such file")
    assert not backoff.is_new("no such file")
