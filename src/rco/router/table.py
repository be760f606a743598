"""The routing table: from an event to the runs it starts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from rco.errors import ConfigInvalid, ExpressionFailed
from rco.expr.jq import Expression
from rco.kit.digest import content_address
from rco.model.event import Event
from rco.model.subscription import Subscription
from rco.router.pattern import is_prefix, matches, prefix_of, well_formed
from rco.router.view import EventView

__all__ = ["MAX_KEY_CHARS", "Matches", "RoutingTable", "default_key", "publish_key"]

MAX_KEY_CHARS = 512


class Matches(msgspec.Struct, frozen=True):
    """Who wants an event, in the order in which the subscriptions were declared."""

    starts: list[tuple[Subscription, str]]
    """With the idempotency key of the start. A ``fair_key`` is worked out: it is the key itself, no expression."""
    publishes: list[Subscription]
    """Those that send it to a broker."""
    failed: list[tuple[Subscription, str]]
    """With the cause: its ``where`` or ``key`` could not work on this event. The caller writes a dead letter for each,
    so that the event is not lost. The cause names the expression, never the data."""


class _Entry(msgspec.Struct, frozen=True):
    order: int
    subscription: Subscription
    where: Expression | None
    key: Expression | None
    fair_key: Expression | None
    publish_key: Expression | None


class _Space:
    """The subscriptions of one namespace, by type."""

    __slots__ = ("exact", "lengths", "prefixes")

    def __init__(self) -> None:
        self.exact: dict[str, list[_Entry]] = {}
        self.prefixes: dict[str, list[_Entry]] = {}
        self.lengths: list[int] = []

    def add(self, entry: _Entry) -> None:
        pattern = entry.subscription.type
        if is_prefix(pattern):
            self.prefixes.setdefault(prefix_of(pattern), []).append(entry)
            self.lengths = sorted({len(prefix) for prefix in self.prefixes})
        else:
            self.exact.setdefault(pattern, []).append(entry)

    def candidates(self, type: str) -> list[_Entry]:
        found = self.exact.get(type, [])
        # One look-up for each length a prefix has, not one comparison for each prefix.
        more = [
            entry for length in self.lengths if length <= len(type) for entry in self.prefixes.get(type[:length], ())
        ]
        return sorted((*found, *more), key=lambda entry: entry.order) if more else found


class RoutingTable:
    """An immutable table; a changed configuration builds a new one. May be read from any thread."""

    __slots__ = ("_spaces", "subscriptions")

    def __init__(self, subscriptions: tuple[Subscription, ...], spaces: dict[str, _Space]) -> None:
        self.subscriptions = subscriptions
        self._spaces = spaces

    @staticmethod
    def build(subscriptions: Iterable[Subscription]) -> RoutingTable:
        """Raises ``ConfigInvalid`` that names the subscription: two of one name in a namespace, a pattern that is none,
        an expression that does not compile."""
        listed = tuple(subscriptions)
        spaces: dict[str, _Space] = {}
        names: set[tuple[str, str]] = set()
        for order, subscription in enumerate(listed):
            what = f"subscription {subscription.name!r}"
            identity = (subscription.namespace, subscription.name)
            if not subscription.name or identity in names:
                raise ConfigInvalid(
                    f"{what} is declared twice or has no name",
                    cure="Give every subscription of a namespace a name of its own: dead letters and keys carry it.",
                )
            names.add(identity)
            well_formed(subscription.type, f"{what}, type")
            well_formed(subscription.source, f"{what}, source")
            publish = subscription.publish
            if bool(subscription.workflow) == (publish is not None):
                raise ConfigInvalid(f"{what} needs one of workflow and publish", cure="Make two of one that has both.")
            space = spaces.setdefault(subscription.namespace, _Space())
            space.add(
                _Entry(
                    order,
                    subscription,
                    _compile(subscription.where, f"{what}, where"),
                    _compile(subscription.key, f"{what}, key"),
                    _compile(subscription.fair_key, f"{what}, fair_key"),
                    None if publish is None else _compile(publish.key, f"{what}, publish.key"),
                )
            )
        return RoutingTable(listed, spaces)

    def match(self, event: Event) -> Matches:
        """Who wants ``event``. Raises nothing: an expression that fails is reported in ``failed``.

        Only subscriptions of the event's namespace are asked. The event's data is decoded at most once, and only when
        a subscription that fits by type and source has an expression.
        """
        found = Matches([], [], [])
        space = self._spaces.get(event.namespace)
        if space is None:
            return found
        view = EventView(event)
        for entry in space.candidates(event.type):
            subscription = entry.subscription
            if not matches(subscription.source, event.source):
                continue
            try:
                if entry.where is not None and not entry.where.truthy_json(view.json()):
                    continue
                if subscription.publish is not None:
                    if entry.publish_key is not None:
                        # Worked out again when it is sent. That it can be is known now.
                        _key(entry.publish_key, view)
                    found.publishes.append(subscription)
                    continue
                key = default_key(event, subscription) if entry.key is None else _key(entry.key, view)
                if entry.fair_key is not None:
                    subscription = replace(subscription, fair_key=_key(entry.fair_key, view))
            except ExpressionFailed as error:
                found.failed.append((subscription, str(error)))
            else:
                found.starts.append((subscription, key))
        return found


def publish_key(event: Event, expression: str) -> str:
    """The key of the message that carries ``event``. Raises ``ExpressionFailed``, ``ConfigInvalid``."""
    if not expression:
        return event.subject or event.source
    return _key(_compiled(expression), EventView(event))


@lru_cache(maxsize=256)
def _compiled(text: str) -> Expression:
    return Expression.compile(text)


def default_key(event: Event, subscription: Subscription) -> str:
    """``event:<source>:<id>:<subscription name>``: one run for an event and a subscription, however often it comes.

    A colon or percent sign in the id or the name is written as ``%3A`` or ``%25``, so that no two events share a key;
    a key that would be longer than ``MAX_KEY_CHARS`` is the digest of it.
    """
    text = f"event:{event.source}:{_escaped(event.id)}:{_escaped(subscription.name)}"
    if len(text) <= MAX_KEY_CHARS:
        return text
    return f"event:{content_address(text.encode(errors='backslashreplace'))}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace(":", "%3A") if ":" in text or "%" in text else text


def _compile(text: str | None, what: str) -> Expression | None:
    if text is None:
        return None
    try:
        return Expression.compile(text)
    except ConfigInvalid as error:
        raise ConfigInvalid(f"{what}: {error.message}", cure=error.cure) from None


def _key(expression: Expression, view: EventView) -> str:
    value = expression.first_json(view.json())
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_KEY_CHARS:
        kind = f"text of {len(value)} characters" if isinstance(value, str) else type(value).__name__
        raise ExpressionFailed(
            f"the key expression {expression.text!r} gave {kind}",
            cure=f"Let it give text of 1 to {MAX_KEY_CHARS} characters or an integer.",
        )
    return value
