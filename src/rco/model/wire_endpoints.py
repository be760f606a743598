"""Endpoints of outgoing webhooks and their deliveries, as the API shows and takes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from rco.model.body import Ask, View

__all__ = [
    "CreateEndpoint",
    "DeliveryPage",
    "DeliveryView",
    "EndpointPage",
    "EndpointView",
    "MadeEndpoint",
    "PatchEndpoint",
    "ReplayAsk",
    "ReplayMany",
    "RotateAsk",
    "SecretView",
    "TestAsk",
]

Url = Annotated[str, Meta(min_length=1, max_length=2048)]
Types = Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(min_length=1, max_length=50)]
Reference = Annotated[str, Meta(min_length=1, max_length=1024)]
Order = Annotated[str, Meta(min_length=1, max_length=1024)]
Note = Annotated[str, Meta(max_length=1000)]
Kind = Literal["v1", "v1a"]
Rate = Annotated[float, Meta(gt=0, le=100_000)]
Burst = Annotated[int, Meta(ge=1, le=100_000)]


class CreateEndpoint(Ask, frozen=True, kw_only=True):
    """Send events whose type matches one of ``types`` to ``url``. ``secret``: a reference to a signing secret that is
    kept elsewhere; without it one is made, of ``signing``. ``order_by``: a jq expression over the event; deliveries
    with the same value go one after the other. ``rate_per_s``: requests a second at most, over all nodes, ``burst`` of
    them at once."""

    url: Url
    types: Types
    signing: Kind = "v1"
    secret: Reference | None = None
    order_by: Order | None = None
    rate_per_s: Rate | None = None
    burst: Burst | None = None
    note: Note = ""


class PatchEndpoint(Ask, frozen=True, kw_only=True):
    """What is to be different; the rest stays. ``enabled`` false disables it, with ``reason``."""

    url: Url | UnsetType = UNSET
    types: Types | UnsetType = UNSET
    order_by: Order | UnsetType | None = UNSET
    rate_per_s: Rate | UnsetType | None = UNSET
    burst: Burst | UnsetType | None = UNSET
    note: Note | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    reason: Note = ""


class SecretView(View, frozen=True, kw_only=True):
    """A signing secret without its value. ``public``: of v1a, what receivers verify with."""

    id: str
    kind: Kind
    made_at: str
    expires_at: str | None = None
    reference: str = ""
    public: str = ""


class EndpointView(View, frozen=True, kw_only=True):
    """One endpoint. ``cause``: gone (it answered 410), failing, or what an operator said."""

    id: str
    namespace: str
    url: str
    types: list[str]
    state: Literal["enabled", "disabled"]
    since: str
    created_at: str
    secrets: list[SecretView]
    cause: str = ""
    disabled_by: str = ""
    failing_since: str | None = None
    order_by: str | None = None
    rate_per_s: float | None = None
    """Its own rate; null: the one that is set for all endpoints, if any."""
    burst: int | None = None
    note: str = ""


class MadeEndpoint(View, frozen=True, kw_only=True):
    """``secret``: what receivers verify with, told this once: of v1 the secret (``whsec_...``), of v1a the public key
    (``whpk_...``). Empty where it is kept elsewhere."""

    endpoint: EndpointView
    secret: str


class EndpointPage(View, frozen=True, kw_only=True):
    """The endpoints of a namespace, from old to new."""

    items: list[EndpointView]


class RotateAsk(Ask, frozen=True, kw_only=True):
    """Sign with a new secret from now on, and with those before as well for ``grace_s`` (default: as it is set)."""

    signing: Kind | None = None
    secret: Reference | None = None
    grace_s: Annotated[float, Meta(ge=0, le=7 * 86_400)] | None = None


class TestAsk(Ask, frozen=True, kw_only=True):
    """Send a message of ``type`` with ``data`` once, to a disabled endpoint too."""

    __test__ = False

    type: Annotated[str, Meta(min_length=1, max_length=256)] = "rco.endpoint.test.v1"
    data: Any = None


class DeliveryView(View, frozen=True, kw_only=True):
    """One delivery: a run, and the log of its attempts, redacted."""

    id: str
    state: str
    message_id: str
    type: str
    opened_at: str
    attempts: list[dict[str, Any]]
    closed_at: str | None = None
    replay_of: str = ""
    next_at: str | None = None


class DeliveryPage(View, frozen=True, kw_only=True):
    """Deliveries, newest first. ``next`` is the ``after`` of the following page, or null on the last."""

    items: list[DeliveryView]
    next: str | None = None


class ReplayAsk(Ask, frozen=True, kw_only=True):
    """Deliver again what ``delivery`` delivered or could not. The same ``key`` is the same replay."""

    delivery: str
    key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class ReplayMany(Ask, frozen=True, kw_only=True):
    """Deliver again what was begun between ``after`` and ``before``: what failed, or all of it."""

    after: str | None = None
    before: str | None = None
    all: bool = False
    rate_per_s: Annotated[float, Meta(gt=0, le=10_000)] | None = None
    reason: Note = ""
    key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
