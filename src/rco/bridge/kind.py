"""What one file in ``rco/bridge/providers`` declares: a kind of provider, how it is verified and what to know of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rco.bridge.certificates import Certificates
from rco.bridge.contract import Expression, ProviderSettings, Verifier
from rco.bridge.secrets import Opened, Secret

__all__ = ["About", "Kind", "Materials", "Signed", "Signing", "because", "never", "streams"]


def never(_: ProviderSettings) -> bool:
    """Whatever the settings."""
    return False


def because(reason: str) -> Callable[[ProviderSettings], str]:
    """``reason``, whatever the settings: why the kind cannot do without the whole body."""
    return lambda _: reason


streams = because("")
"""Whatever the settings, a body may pass in pieces."""


def _always(_: ProviderSettings) -> bool:
    return True


class Materials(msgspec.Struct, frozen=True, kw_only=True):
    """What a verifier is made from: checked settings, opened secrets, the compiled subject expression, and the one
    door through which certificates come."""

    settings: ProviderSettings
    secrets: tuple[Secret, ...] = ()
    subject: Expression | None = None
    certificates: Certificates = msgspec.field(default_factory=Certificates)


class Signing(msgspec.Struct, frozen=True, kw_only=True):
    """What to sign as the provider would, with a test secret.

    ``secret`` is the text that the sender holds: the shared secret, or a private key in PEM. ``options`` belong to the
    kind: identities, certificate addresses.
    """

    settings: ProviderSettings
    secret: str
    body: bytes
    at_us: int
    options: dict[str, Any] = {}


Signed = tuple[list[tuple[str, str]], bytes]
"""Headers and the body to send; a scheme whose signature stands in the body changes it."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What people need to know of a kind: the text of its page in the catalogue."""

    title: str
    url: str
    """The provider's own description of its signatures."""
    headers: tuple[str, ...]
    signed: str
    """What is signed, in the notation of templates."""
    algorithm: str
    credential: str
    """What the secret is, and how it is written."""
    type: str
    """How the event's type is found."""
    dedupe: str
    """What makes a delivery a repeat of another."""
    time: str
    """Which time is signed, if any."""
    example: str
    """A provider of this kind in YAML, under ``providers:``."""
    handshake: str = ""
    answer: str = "202"
    """The status of an accepted delivery."""
    retries: str = ""
    scheme: tuple[tuple[str, str], ...] = ()
    """Each key of ``scheme`` and what it means."""
    traps: tuple[str, ...] = ()


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of provider. ``build`` makes a verifier and raises ``ConfigInvalid`` for what it cannot use; with no
    secrets it only looks at the settings."""

    name: str
    about: About
    build: Callable[[Materials], Verifier]
    key_from: Callable[[ProviderSettings], Opened] | None
    """How a secret is read. ``None``: the kind has no secrets, its proof is a certificate."""
    content_types: tuple[str, ...] = ("application/json",)
    redelivers: bool = True
    """Whether the sender tries again what it was answered 5xx to. What does not goes in during a brownout too."""
    signs_time: Callable[[ProviderSettings], bool] = _always
    """Whether every request of a provider with these settings carries a signed time."""
    whole: Callable[[ProviderSettings], str] = because("its event is made of the parsed body")
    """Why a body must be held as a whole with these settings, so that ``large_body_limit`` cannot be; empty where it
    need not, and the verifier is a ``rco.bridge.passing.LargeVerifier``."""
    sign: Callable[[Signing], Signed] | None = None
    """Signs as the provider does. ``None``: no time is signed, so a request stays good as it is."""
