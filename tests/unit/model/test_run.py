"""The states of a run."""

from rco.model.run import SHARDS, TRANSITIONS, Mode, shard_of


def test_nothing_leaves_closed_and_everything_can_get_there() -> None:
    assert set(TRANSITIONS) == set(Mode)
    assert not TRANSITIONS[Mode.CLOSED]
    assert all(Mode.CLOSED in after for mode, after in TRANSITIONS.items() if mode is not Mode.CLOSED)
    assert all(mode not in after for mode, after in TRANSITIONS.items())


def test_every_open_mode_is_reached_from_hot_and_left_again() -> None:
    opened = set(Mode) - {Mode.CLOSED}
    # A run waits in a queue before it is ever hot.
    assert opened - {Mode.HOT, Mode.QUEUED} <= TRANSITIONS[Mode.HOT]
    assert all(TRANSITIONS[mode] - {Mode.CLOSED} for mode in opened)


def test_a_shard_is_the_last_byte() -> None:
    assert {shard_of(bytes(15) + bytes((last,))) for last in range(256)} == set(range(SHARDS))
