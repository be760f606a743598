"""Who wants an event."""

import msgspec
import pytest

from rco.errors import ConfigInvalid
from rco.model.event import Event
from rco.model.subscription import Publish, Subscription
from rco.router.table import MAX_KEY_CHARS, Matches, RoutingTable, default_key, publish_key


def event(**given: object) -> Event:
    fields = {
        "id": "1",
        "source": "https://shop.example/orders",
        "type": "order.created",
        "subject": "o-7",
        "data": b'{"total": 120, "customer": {"id": "c-3"}}',
        "time_us": 1_795_257_415_338_692,
        "received_us": 1,
        "corr_id": "c",
    }
    return Event(**(fields | given))  # type: ignore[arg-type]


def sub(name: str = "s", **given: object) -> Subscription:
    return Subscription(**({"name": name, "workflow": "fulfil", "type": "order.created"} | given))  # type: ignore[arg-type]


def match(event: Event, *subscriptions: Subscription) -> Matches:
    return RoutingTable.build(subscriptions).match(event)


def names(found: Matches) -> list[str]:
    return [subscription.name for subscription, _ in found.starts]


@pytest.mark.parametrize(
    ("type", "source", "wanted"),
    [
        ("order.created", "*", True),
        ("order.create", "*", False),
        ("order.created.v2", "*", False),
        ("order.*", "*", True),
        ("order*", "*", True),
        ("order.created*", "*", True),
        ("order.created.*", "*", False),
        ("*", "*", True),
        ("*", "https://shop.example/orders", True),
        ("*", "https://shop.example/*", True),
        ("*", "https://shop.example", False),
        ("*", "https://other.example/*", False),
        ("Order.created", "*", False),
    ],
)
def test_type_and_source(type: str, source: str, wanted: bool) -> None:
    assert bool(names(match(event(), sub(type=type, source=source)))) is wanted


def test_one_event_may_be_wanted_by_many_in_the_order_of_declaration() -> None:
    found = match(event(), sub("d", type="*"), sub("a"), sub("c", type="order.*"), sub("b"), sub("x", type="invoice.*"))
    assert names(found) == ["d", "a", "c", "b"]


def test_a_type_shorter_than_some_prefix_is_matched_once() -> None:
    found = match(event(type="a"), sub("short", type="a*"), sub("long", type="abc*"))
    assert names(found) == ["short"]


def test_namespaces_do_not_see_each_other() -> None:
    found = match(event(namespace="team-b"), sub("a"), sub("b", namespace="team-b"), sub("a", namespace="team-b"))
    assert [(s.namespace, s.name) for s, _ in found.starts] == [("team-b", "b"), ("team-b", "a")]
    assert names(match(event(namespace="nobody"), sub("a"))) == []


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        (".data.total > 100", True),
        (".data.total > 200", False),
        ('.subject == "o-7"', True),
        ('.source | startswith("https://shop.")', True),
        ('.time == "2026-11-21T10:36:55.338692Z"', True),
        ('.time | startswith("2026-11-21T")', True),
        ('.id == "1" and .type == "order.created"', True),
        (".data.absent", False),
        ("empty", False),
        ('keys == ["data","id","source","subject","time","type"]', True),
    ],
)
def test_where_sees_the_event(where: str, wanted: bool) -> None:
    found = match(event(), sub(where=where))
    assert bool(found.starts) is wanted
    assert not found.failed


def test_the_default_key_is_the_event_and_the_subscription() -> None:
    ((_, key),) = match(event(), sub("fulfil")).starts
    assert key == "event:https://shop.example/orders:1:fulfil"


def test_two_events_never_share_a_default_key() -> None:
    keys = {
        default_key(event(source=source, id=id), sub(name))
        for source, id, name in [
            ("a", "b:c", "s"),
            ("a:b", "c", "s"),
            ("a", "b", "c:s"),
            ("a", "b%3Ac", "s"),
            ("a:b:c", "s", "s"),
        ]
    }
    assert len(keys) == 5


def test_a_long_default_key_is_a_digest() -> None:
    keys = {default_key(event(id="i" * 5000 + tail), sub()) for tail in "ab"}
    assert len(keys) == 2
    assert all(len(key) <= MAX_KEY_CHARS for key in keys)


@pytest.mark.parametrize(
    ("key", "gives"), [(".data.customer.id", "c-3"), (".data.total", "120"), ('"o:" + .subject', "o:o-7")]
)
def test_a_key_expression(key: str, gives: str) -> None:
    assert match(event(), sub(key=key)).starts == [(sub(key=key), gives)]


@pytest.mark.parametrize(
    ("key", "cause"),
    [
        (".data.absent", "gave NoneType"),
        ("empty", "gave NoneType"),
        ('""', "text of 0 characters"),
        (".data", "gave dict"),
        ("true", "gave bool"),
        ("1.5", "gave float"),
        ('"xxxxxxxxx" * 60', "text of 540 characters"),
        (".data.total.x", "Cannot index number"),
    ],
)
def test_a_key_that_is_none_does_not_lose_the_event(key: str, cause: str) -> None:
    found = match(event(), sub("bad", key=key), sub("good"))
    assert names(found) == ["good"]
    ((subscription, said),) = found.failed
    assert subscription.name == "bad"
    assert cause in said


def test_a_where_that_fails_does_not_lose_the_event_and_does_not_show_it() -> None:
    found = match(event(data=b'{"card": "4111-1111"}'), sub("bad", where=".data.card.number"), sub("good"))
    assert names(found) == ["good"]
    assert "4111" not in found.failed[0][1]
    assert "'.data.card.number' failed: Cannot index string" in found.failed[0][1]


@pytest.mark.parametrize(
    "data", [b"not json", b'{"a": 1} {"b": 2}', b'1}, "type": {"x": 1', b"[" * 5000, b"\xff", b'{"n": NaN}']
)
def test_data_that_is_not_json_reaches_only_who_does_not_look_at_it(data: bytes) -> None:
    found = match(event(data=data), sub("plain"), sub("looks", where="true"), sub("key", key='"k"'))
    assert names(found) == ["plain"]
    assert [s.name for s, _ in found.failed] == ["looks", "key"]
    assert all("no JSON form" in cause for _, cause in found.failed)


def test_no_data_is_null() -> None:
    assert names(match(event(data=b"", subject=None), sub(where=".data == null and .subject == null"))) == ["s"]


def test_data_is_decoded_once_and_only_when_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    real = msgspec.json.decode

    def decode(data: bytes) -> object:
        seen.append(data)
        return real(data)

    monkeypatch.setattr("rco.router.view.msgspec.json.decode", decode)
    table = RoutingTable.build(
        [
            sub("a"),
            sub("b", where=".data.total > 1"),
            sub("c", where=".data.total > 2", key=".id"),
            sub("d", type="x", where="true"),
        ]
    )
    table.match(event(type="nobody"))
    table.match(event(type="order.created.v2"))
    assert seen == []
    assert len(table.match(event()).starts) == 3
    assert len(seen) == 1
    table.match(event(data=b"not json"))
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("subscriptions", "says"),
    [
        ([sub("a"), sub("a")], "'a' is declared twice"),
        ([sub("")], "has no name"),
        ([sub(type="")], "type"),
        ([sub(type="or*der")], "'or*der'"),
        ([sub(type="order.**")], "type"),
        ([sub(source="")], "source"),
        ([sub(where=".data |")], "subscription 's', where: the expression '.data |'"),
        ([sub(key="env.HOME")], "subscription 's', key: the expression"),
    ],
)
def test_a_table_that_cannot_work_is_refused(subscriptions: list[Subscription], says: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        RoutingTable.build(subscriptions)
    assert says in str(caught.value)
    assert caught.value.cure


def out(name: str = "out", key: str | None = None, **given: object) -> Subscription:
    publish = Publish(broker="events", topic="orders.v1", key=key)
    return Subscription(**({"name": name, "type": "order.*", "publish": publish} | given))  # type: ignore[arg-type]


def test_a_subscription_that_publishes_starts_nothing() -> None:
    found = match(event(), out(), sub(), out("other", where=".data.total > 1000"))
    assert names(found) == ["s"]
    assert [one.name for one in found.publishes] == ["out"]
    assert found.failed == []


def test_a_key_that_cannot_be_told_is_found_before_anything_is_sent() -> None:
    found = match(event(), out(key=".data.customer"))
    assert found.publishes == []
    assert [one.name for one, _ in found.failed] == ["out"]


def test_the_key_of_a_message() -> None:
    assert publish_key(event(), ".data.customer.id") == "c-3"
    assert publish_key(event(), "") == "o-7"
    assert publish_key(event(subject=None), "") == "https://shop.example/orders"


@pytest.mark.parametrize("given", [{"workflow": "fulfil"}, {"publish": None}])
def test_one_of_workflow_and_publish(given: dict[str, object]) -> None:
    with pytest.raises(ConfigInvalid, match="one of workflow and publish"):
        RoutingTable.build([out(**given)])


def test_a_publish_key_that_does_not_compile() -> None:
    with pytest.raises(ConfigInvalid, match=r"publish\.key"):
        RoutingTable.build([out(key=".data[")])
