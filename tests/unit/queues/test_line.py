"""The line in memory: levels, turns, limits, pages; and its rules over any history."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rco.model.queue import Item, ItemState, Queue
from rco.queues.line import Key, Line


def run(number: int) -> bytes:
    return number.to_bytes(16, "big")


def item(number: int, key: str = "", level: int = 5) -> Item:
    return Item(run(number), "q", key, level, ItemState.WAITING, 0)


def line(page: int = 100, keys_limit: int = 100, **spec: Any) -> Line:
    made = Line("q", Queue(**spec), page, keys_limit)
    made.ready = True
    return made


def turns(one: Line, count: int = 1000) -> list[str]:
    """Whose turns come, each of which closes before the next."""
    given: list[str] = []
    while len(given) < count and isinstance(found := one.next(), Item):
        given.append(found.key)
        one.release(found.run_id)
    return given


def test_a_new_key_is_served_once_ahead_of_the_round() -> None:
    one = line()
    for number in range(30):
        one.push(item(number, f"k{number % 3}"))
    turns(one, 3)
    one.push(item(100, "late"))
    one.push(item(101, "late"))
    assert turns(one, 5) == ["late", "k0", "k1", "k2", "late"]


def test_coming_anew_gains_nothing() -> None:
    """A key that puts in one run at a time, as soon as the one before has begun, has no more turns than its share."""
    one = line()
    for number in range(400):
        one.push(item(number, f"k{number % 4}"))
    count: Counter[str] = Counter()
    for number in range(1000, 1200):
        one.push(item(number, "sly"))
        found = one.next()
        assert isinstance(found, Item)
        count[found.key] += 1
        one.release(found.run_id)
        if found.key != "sly":
            one.drop(run(number))
    assert count["sly"] <= 2 * min(count[f"k{key}"] for key in range(4)) + 1


def test_a_turn_waits_for_the_page_of_its_key() -> None:
    one = line(page=2)
    for number in range(6):
        one.push(item(number, "a"))
    one.push(item(10, "b"))
    given = []
    while isinstance(found := one.next(), Item):
        given.append(found.run_id)
    assert isinstance(found, Key)
    assert found.name == "a"
    assert given == [run(0), run(10), run(1), run(2), run(3)]
    # Read while two of them stand in the store as waiting still.
    one.ask(found)
    one.fill(found, [item(3, "a"), item(4, "a")], set())
    assert found.more
    assert one.next() == item(4, "a")
    assert one.next() is found
    one.ask(found)
    one.fill(found, [item(5, "a")], set())
    assert one.next() == item(5, "a")
    assert one.next() is None
    assert one.waiting == 0


def test_what_was_heard_since_a_read_counts_more() -> None:
    one = line(page=2)
    for number in range(3):
        one.push(item(number))
    key = one.keys[5, ""]
    one.drop(run(1))
    one.fill(key, [item(0), item(1)], {run(1)})
    assert [found.run_id for found in key.items] == [run(0)]
    assert one.waiting == 2


def test_what_comes_while_its_key_is_read_is_read_again() -> None:
    """The read does not see it, and nothing else would say that it waits."""
    one = line(page=2)
    key = one.key(5, "")
    key.more = True
    one.ask(key)
    one.push(item(1))
    one.fill(key, [], set())
    assert one.next() is key
    one.ask(key)
    one.fill(key, [item(1)], set())
    assert one.next() == item(1)
    assert one.next() is None


def test_other_limits_count_from_the_next_turn_on() -> None:
    one = line(concurrency=2, per_key_concurrency=1)
    for number in range(4):
        one.push(item(number, "a"))
    assert one.next() == item(0, "a")
    assert one.next() is None
    one.change(Queue(concurrency=2))
    assert one.next() == item(1, "a")
    assert not one.has_room
    one.change(Queue(concurrency=1))
    one.release(run(0))
    assert not one.has_room
    one.release(run(1))
    assert one.has_room


def test_permits_are_taken_and_given_once() -> None:
    one = line(per_key_concurrency=1)
    one.hold(run(1), "a")
    one.hold(run(1), "a")
    assert one.count("a") == 1
    assert (one.release(run(1)), one.release(run(1))) == (True, False)
    assert one.count("a") == 0


def test_one_that_waits_again_while_its_key_is_read_keeps_its_place() -> None:
    """The read does not see it. What the read gives would have its turn before it, page after page."""
    one = line(page=2)
    key = one.key(5, "a")
    key.more = True
    one.ask(key)
    one.push(item(1, "a"), again=True)
    one.fill(key, [item(2, "a"), item(3, "a")], {run(1)})
    assert [one.next() for _ in range(3)] == [item(1, "a"), item(2, "a"), item(3, "a")]


def test_one_that_waits_again_has_its_place_among_those_in_memory() -> None:
    one = line(page=2)
    for number in range(2, 9):
        one.push(item(number, "a"))
    assert one.keys[5, "a"].more
    one.push(item(1, "a"), again=True)
    assert one.next() == item(1, "a")


def test_keys_beyond_the_bound_stay_in_the_store() -> None:
    one = line(keys_limit=2)
    for number in range(3):
        one.push(item(number, f"k{number}"))
    assert (len(one.keys), one.more_keys, one.waiting) == (2, True, 3)
    one.push(item(9, "urgent", 0))
    assert one.next() == item(9, "urgent", 0)


WEIGHTS = {"k0": 3, "k1": 2}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(0, 4), st.integers(4, 5)),
        st.tuples(st.just("next"), st.just(0), st.just(0)),
        st.tuples(st.just("close"), st.integers(0, 20), st.just(0)),
        st.tuples(st.just("drop"), st.integers(0, 20), st.just(0)),
        st.tuples(st.just("again"), st.integers(0, 20), st.just(0)),
        st.tuples(st.just("read"), st.just(0), st.just(0)),
    ),
    max_size=200,
)


@settings(deadline=None, max_examples=150)
@given(
    steps=STEPS, page=st.integers(1, 6), concurrency=st.integers(1, 6), per_key=st.integers(1, 4), late=st.booleans()
)
def test_limits_order_and_fairness_hold_in_any_history(
    steps: list[tuple[str, int, int]], page: int, concurrency: int, per_key: int, late: bool
) -> None:
    """Beside the line stands what is really so: who waits, as the store would have it. A read may be answered late:
    what happens meanwhile it does not see."""
    one = line(page=page, concurrency=concurrency, per_key_concurrency=per_key, weights=WEIGHTS)
    waiting: dict[bytes, Item] = {}
    running: dict[bytes, str] = {}
    every: dict[bytes, Item] = {}
    since: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    """By key that waits and may run: turns of others of its level since its own, or since it came to wait."""

    reads: list[tuple[Key, list[Item], set[bytes]]] = []

    def ask(key: Key) -> None:
        if not key.asked:
            one.ask(key)
            heads = sorted(one.run_id for one in waiting.values() if (one.priority, one.key) == (key.level, key.name))
            reads.append((key, [waiting[run_id] for run_id in heads[:page]], set()))

    def answer() -> None:
        while reads:
            key, found, without = reads.pop()
            if one.keys.get((key.level, key.name)) is key:
                one.fill(key, found, without)

    def heard(run_id: bytes) -> None:
        for _, _, without in reads:
            without.add(run_id)

    def may_run(key: str) -> bool:
        return sum(name == key for name in running.values()) < per_key

    def forget() -> None:
        for known in list(since):
            if not may_run(known[1]) or not any((one.priority, one.key) == known for one in waiting.values()):
                del since[known]

    for number, (what, which, level) in enumerate(steps):
        if what == "push":
            one.push(put := item(number, f"k{which}", level))
            waiting[put.run_id] = every[put.run_id] = put
            if may_run(put.key):
                since[level, put.key] += Counter()
        elif what == "drop" and waiting:
            gone = sorted(waiting)[which % len(waiting)]
            heard(gone)
            one.drop(gone)
            del waiting[gone]
        elif what == "close" and running:
            gone = sorted(running)[which % len(running)]
            heard(gone)
            assert one.release(gone)
            del running[gone]
        elif what == "again" and running:
            back = every[sorted(running)[which % len(running)]]
            heard(back.run_id)
            assert one.release(back.run_id)
            del running[back.run_id]
            one.push(back, again=True)
            waiting[back.run_id] = back
        elif what == "read":
            answer()
        elif what == "next" and one.has_room:
            found = one.next()
            while isinstance(found, Key):
                ask(found)
                if late:
                    break
                answer()
                found = one.next()
            if isinstance(found, Key):
                continue
            able = [one for one in waiting.values() if may_run(one.key)]
            if found is None:
                assert not able
                continue
            assert found.priority == min(one.priority for one in able)
            mine = [one for one in waiting.values() if (one.priority, one.key) == (found.priority, found.key)]
            assert found.run_id == min(one.run_id for one in mine)
            del waiting[found.run_id]
            running[found.run_id] = found.key
            assert len(running) <= concurrency
            assert sum(name == found.key for name in running.values()) <= per_key
            since.pop((found.priority, found.key), None)
            for (other_level, other), turns_of in since.items():
                if other_level == found.priority:
                    turns_of[found.key] += 1
                    assert turns_of[found.key] <= 2 * WEIGHTS.get(found.key, 1), (other, turns_of)
            if may_run(found.key) and len(mine) > 1:
                since[found.priority, found.key] += Counter()
        forget()
        for known in {(one.priority, one.key) for one in waiting.values() if may_run(one.key)}:
            since[known] += Counter()
        assert one.waiting == len(waiting)


def placed(number: int, arrival: int, key: str = "a") -> Item:
    return Item(run(number), "q", key, 5, ItemState.WAITING, 0, None, arrival)


def test_an_ordered_queue_takes_its_order_from_the_store_alone() -> None:
    one = line(ordered=True, per_key_concurrency=1)
    # What is pushed has no place in the order: another node may have committed something before it.
    one.push(item(5, "a"))
    key = one.next()
    assert isinstance(key, Key)
    one.ask(key)
    one.fill(key, [placed(9, 1), placed(5, 2)], set())
    first = one.next()
    assert isinstance(first, Item)
    assert first.run_id == run(9)
    assert one.next() is None
    one.push(item(1, "a"))
    one.release(run(9))
    second = one.next()
    assert isinstance(second, Item)
    assert second.run_id == run(5), "what was read stands before what came since"
    one.release(run(5))
    assert isinstance(one.next(), Key), "the rest is read"


def test_one_that_waits_again_in_an_ordered_queue_has_its_place_before_what_was_read() -> None:
    one = line(ordered=True)
    one.push(item(1, "a"))
    key = one.next()
    assert isinstance(key, Key)
    one.ask(key)
    # Number 1 was held while this was read.
    one.fill(key, [placed(2, 2), placed(3, 3)], set())
    one.push(item(1, "a"), again=True)
    assert one.next() is key
    one.ask(key)
    one.fill(key, [placed(1, 1), placed(2, 2), placed(3, 3)], set())
    assert [found.run_id for found in (one.next(), one.next()) if isinstance(found, Item)] == [run(1), run(2)]


def test_keys_that_have_to_be_read_are_read_together() -> None:
    one = line(ordered=True)
    for number in range(10):
        one.push(item(number, f"k{number}"))
    key = one.next()
    assert isinstance(key, Key)
    assert [found.name for found in one.unread(key, 4)] == ["k0", "k1", "k2", "k3"]
