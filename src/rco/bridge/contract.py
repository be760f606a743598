"""What a provider is: its settings, and what a verifier that is built from them makes of a request.

A provider *kind* is one file in ``rco/bridge/providers`` (see ``rco.bridge.kind``). It knows one signature scheme;
everything else (windows, limits, secrets, admission) is shared.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, Protocol

import msgspec

from rco.bridge.decompression import Expand
from rco.model.delivery import Delivery

__all__ = [
    "Answered",
    "Errand",
    "Expression",
    "Handshake",
    "Headers",
    "ProviderSettings",
    "Reply",
    "SecretRef",
    "Verifier",
]

Headers = Iterable[tuple[bytes, bytes]]
"""Header names in lower case, as ASGI promises them, with their values as they came over the wire."""

Expression = Callable[[Any], Any]
"""A compiled expression: decoded body in, plain value out."""


class SecretRef(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a secret is, never what it is.

    ``secret_id`` stands in evidence for the secret. ``ref`` is ``env:NAME`` or ``file:/path``. Outside of
    ``not_before`` to ``not_after`` (RFC 3339, both optional) the secret is not tried.
    """

    secret_id: str
    ref: str
    not_before: str | None = None
    not_after: str | None = None


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sender of webhooks and the rules for it. Every number is checked by ``rco.bridge.rules.check_settings``."""

    name: str
    """The last part of its route: ``POST /webhooks/{name}``."""
    kind: str
    secrets: list[SecretRef] = msgspec.field(default_factory=list)
    """Keys, public keys or tokens, as the kind says; several during a rotation."""
    enabled: bool = True
    namespace: str = "default"
    source: str | None = None
    """CloudEvents ``source`` of its events; ``/webhooks/{name}`` when not given."""
    type: str | None = None
    """One fixed event type for everything it sends. Without it the kind finds the type."""
    type_field: str = "type"
    """The top-level field of the body that holds the type, where the kind does not fix it."""
    type_header: str | None = None
    """The header that holds the type instead (kinds ``hmac`` and ``ed25519``). The signature does not cover it."""
    subject: str | None = None
    """A jq expression over the decoded body that gives the event's subject: a string, a whole number or ``null``."""
    age_limit_s: float = 300.0
    skew_limit_s: float = 30.0
    bad_signature_status: int = 401
    body_limit_bytes: int = 1 << 20
    large_body_limit_bytes: int | None = None
    """The exception for bodies over ``body_limit``: up to this they are streamed to the content store, and the event
    holds a reference in place of them. Not given: refused. Only for kinds whose event needs nothing of the body."""
    retry_horizon_s: float | None = None
    """For how long a repeat is recognised. Default: the kind's, else 7 days where the time is signed and 30 where it
    is not."""
    content_types: list[str] | None = None
    """Media types that are read; the kind's own when not given."""
    rate_per_s: float | None = None
    """Its own token bucket, besides the instance's."""
    burst: int | None = None
    in_brownout: Literal["refuse", "accept"] | None = None
    """Whether its webhooks are refused while the bridge is unwell. Not given: as the kind says, which is to accept what
    the sender would not send again (GitHub, Discord, Twilio)."""
    scheme: dict[str, Any] | None = None
    """What only this kind asks for; each kind says which keys there are."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that the sender expects in place of ours."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """Something from outside that a verifier needs, such as a certificate: await ``run``, then ask it again.

    ``run`` raises ``Refused`` when it cannot be had, and bounds its own size, time and rate.
    """

    run: Callable[[], Awaitable[None]]


class Handshake(msgspec.Struct, frozen=True, kw_only=True):
    """A verified request that is no event: it is answered with ``reply``, and nothing gets in. ``errand`` comes first,
    where there is one."""

    name: str
    """What the sender calls it; recorded."""
    secret_id: str
    reply: Reply
    errand: Errand | None = None


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery whose sender expects ``reply`` once it is durable."""

    delivery: Delivery
    reply: Reply


class Verifier(Protocol):
    """Proves that a request was made by its provider. Same arguments, same answer; no I/O."""

    def verify(
        self, headers: Headers, body: bytes, now_us: int, corr_id: str, expand: Expand | None = None
    ) -> Delivery | Answered | Handshake | Errand:
        """The delivery that this request is, or what has to happen instead.

        Order: signature over the exact bytes with every active secret, time window, ``expand`` where the body is
        compressed, strict decoding, event. The body is not looked into before the signature holds, except by kinds
        whose signature stands in it or covers its parts; those say so. Raises ``Refused`` and nothing else, whatever
        the input:

        - ``UNAUTH`` with the provider's status: ``sig_missing``, ``sig_malformed``, ``sig_mismatch``, ``id_malformed``,
          ``ts_malformed``, ``no_active_secret``, ``cert_...``, ``topic_unknown``
        - ``POLICY_BLOCKED``: ``ts_stale``, ``ts_future``
        - ``MEDIA_TYPE`` ``content_encoding``: a kind that signs parts of the body takes none that is compressed
        - what ``expand`` raises
        - ``MALFORMED``: ``header_repeated``, ``sig_mixed``, ``json_...``, ``form_...``, ``type_...``, ``subject_...``
        """
        ...
