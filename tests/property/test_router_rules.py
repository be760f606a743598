"""The table's index against asking every subscription in turn."""

from fnmatch import fnmatchcase

from hypothesis import given, settings
from hypothesis import strategies as st

from rco.model.event import Event
from rco.model.subscription import Subscription
from rco.router.table import RoutingTable, default_key

RULES = settings(derandomize=True, max_examples=120, deadline=None, database=None)

# Few letters, so that prefixes overlap often.
words = st.text("ab.", min_size=1, max_size=4)
patterns = words | st.builds("{}*".format, st.text("ab.", max_size=4))
# Expressions with what they mean, said a second time in Python: True, False, or None for an error.
WHERES = {
    None: lambda event, data: True,
    ".data.n > 1": lambda event, data: data > 1,
    '.type == "a"': lambda event, data: event.type == "a",
    '.subject != null and .source == "b"': lambda event, data: event.subject is not None and event.source == "b",
    "empty": lambda event, data: False,
    ".data.n.x": lambda event, data: None,
    '.data.n + "x"': lambda event, data: None,
}
subscriptions = st.lists(
    st.tuples(patterns, patterns, st.sampled_from(list(WHERES)), st.sampled_from(["default", "other"])), max_size=12
)
events = st.builds(
    lambda kind, source, subject, n, namespace: (
        Event(
            id="1",
            source=source,
            type=kind,
            subject=subject,
            data=b'{"n":%d}' % n,
            time_us=1,
            received_us=1,
            corr_id="c",
            namespace=namespace,
        ),
        n,
    ),
    words,
    words,
    st.none() | words,
    st.integers(0, 3),
    st.sampled_from(["default", "other", "third"]),
)


def fits(pattern: str, text: str) -> bool:
    """fnmatch knows more than we offer; of these letters only * means something to it."""
    return fnmatchcase(text, pattern)


@RULES
@given(subscriptions, events)
def test_the_index_finds_what_asking_everybody_finds(
    declared: list[tuple[str, str, str | None, str]], given_event: tuple[Event, int]
) -> None:
    event, n = given_event
    made = [
        Subscription(name=f"s{i}", workflow="w", type=type, source=source, where=where, namespace=namespace)
        for i, (type, source, where, namespace) in enumerate(declared)
    ]
    starts, failed = [], []
    for subscription in made:
        if subscription.namespace != event.namespace:
            continue
        if not fits(subscription.type, event.type) or not fits(subscription.source, event.source):
            continue
        wanted = WHERES[subscription.where](event, n)
        if wanted is None:
            failed.append(subscription)
        elif wanted:
            starts.append((subscription, default_key(event, subscription)))
    found = RoutingTable.build(made).match(event)
    assert found.starts == starts
    assert [subscription for subscription, _ in found.failed] == failed


parts = st.text("a:%b", min_size=1, max_size=3)
keys = st.tuples(parts, parts, parts)


@RULES
@given(keys, keys)
def test_default_keys_are_the_same_only_for_the_same(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    def key(source: str, id: str, name: str) -> str:
        event = Event(id=id, source=source, type="t", data=b"", time_us=1, received_us=1, corr_id="c")
        return default_key(event, Subscription(name=name, workflow="w", type="t"))

    assert (key(*one) == key(*other)) is (one == other)
