"""What a provider is: its settings, and the verifier that is built from them.

A provider *kind* is one file in ``rco/bridge/providers``, named in that package's catalogue. It knows one signature
scheme and has a module-level ``build``; everything else (windows, limits, secrets, admission) is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from rco.bridge.secrets import Secret
from rco.model.delivery import Delivery

__all__ = ["Build", "Expression", "Headers", "HmacScheme", "ProviderSettings", "SecretRef", "Verifier"]

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


class HmacScheme(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The signature scheme of a provider of kind ``hmac``, as pure configuration.

    ``template`` is what is signed: it holds ``{body}`` exactly once and may hold ``{id}`` and ``{timestamp}``, each at
    most once and separated from the others by punctuation. Header names are compared without regard to case.
    """

    signature_header: str
    template: str = "{body}"
    id_header: str | None = None
    """The header that ``{id}`` stands for."""
    timestamp_header: str | None = None
    """The header that ``{timestamp}`` stands for: Unix seconds."""
    algorithm: str = "sha256"
    """``sha256``, ``sha384`` or ``sha512``."""
    encoding: str = "hex"
    """``hex`` (lower case) or ``base64`` (with padding)."""
    prefix: str = ""
    """What stands before the signature in its header, such as ``sha256=``."""
    key_encoding: str = "raw"
    """How the secret is written: ``raw``, ``hex`` or ``base64``."""


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sender of webhooks and the rules for it. Every number is checked by ``rco.bridge.rules.check_settings``."""

    name: str
    """The last part of its route: ``POST /webhooks/{name}``."""
    kind: str
    secrets: list[SecretRef]
    enabled: bool = True
    namespace: str = "default"
    source: str | None = None
    """CloudEvents ``source`` of its events; ``/webhooks/{name}`` when not given."""
    type: str | None = None
    """One fixed event type for everything it sends. Without it the kind finds the type."""
    type_field: str = "type"
    """The top-level field of the body that holds the type (kinds ``standard-webhooks`` and ``hmac``)."""
    type_header: str | None = None
    """The header that holds the type instead (kind ``hmac``). It is not covered by the signature."""
    subject: str | None = None
    """A jq expression over the decoded body that gives the event's subject: a string, a whole number or ``null``."""
    age_limit_s: float = 300.0
    skew_limit_s: float = 30.0
    bad_signature_status: int = 401
    body_limit_bytes: int = 1 << 20
    retry_horizon_s: float | None = None
    """For how long a repeat is recognised. Default: 7 days where the time is signed, else 30 days."""
    content_types: list[str] = msgspec.field(default_factory=lambda: ["application/json"])
    rate_per_s: float | None = None
    """Its own token bucket, besides the instance's."""
    burst: int | None = None
    scheme: HmacScheme | None = None
    """For kind ``hmac`` only."""


class Verifier(Protocol):
    """Proves that a request was made by its provider. Pure: same arguments, same answer; no I/O, no state."""

    def verify(self, headers: Headers, body: bytes, now_us: int, corr_id: str) -> Delivery:
        """The delivery that this request is.

        Order: signature over the exact bytes with every active secret, time window, strict decoding, event. The body
        is not looked into before the signature holds. Raises ``Refused`` and nothing else, whatever the input:

        - ``UNAUTH`` with the provider's status: ``sig_missing``, ``sig_malformed``, ``sig_mismatch``, ``id_malformed``,
          ``ts_malformed``, ``no_active_secret``
        - ``POLICY_BLOCKED``: ``ts_stale``, ``ts_future``
        - ``MALFORMED``: ``header_repeated``, ``sig_mixed``, ``json_...``, ``type_...``, ``subject_...``
        """
        ...


Build = Callable[[ProviderSettings, tuple[Secret, ...], Expression | None], Verifier]
"""Makes a verifier from checked settings, opened secrets and the compiled subject expression. Raises
``ConfigInvalid`` for what the kind cannot use."""
