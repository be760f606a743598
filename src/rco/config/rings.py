"""Which keyring is meant."""

from __future__ import annotations

import msgspec

from rco.capability.options import CapabilityOptions
from rco.config.settings import Settings
from rco.errors import ConfigInvalid

__all__ = ["payload_ring"]


def payload_ring(settings: Settings) -> CapabilityOptions:
    """How to read and rotate the root keys that namespaces' keys are wrapped with, in the words of the other ring.
    Raises ``ConfigInvalid`` where there is none."""
    if not settings.encryption.keys:
        raise ConfigInvalid(
            "encryption.keys is not set, so no namespace can have a key",
            cure="Set it to file:/path, env:NAME or vault; see docs/how-to/encrypt-payloads.md.",
            key="encryption.keys",
        )
    return msgspec.structs.replace(
        settings.capability, keys=settings.encryption.keys, lead_s=settings.encryption.lead_s
    )
