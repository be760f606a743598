"""What can be set about capabilities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["CapabilityOptions", "VaultOptions", "faults"]

TTL_MAX_S = 60.0


class CapabilityOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Whether runs need a capability for what they do, and where the root keys are."""

    enforce: bool = False
    """With it, nothing is allowed that no rule in `grants` gives. Without it, every run may make every call that its
    targets allow. Changes with a restart."""
    keys: str = ""
    """The keyring: `file:/path` (mode 0600), `env:NAME`, or `vault`. Empty: `keyring.json` in `data_dir`."""
    audience: Annotated[str, Meta(min_length=1, max_length=128)] = "rco"
    """The name of this deployment: tokens for another one are refused."""
    ttl_s: Annotated[float, Meta(gt=0, le=TTL_MAX_S)] = TTL_MAX_S
    """The life of what an event is given, at most a minute. Runs are not bound by it."""
    life_max_s: Annotated[float, Meta(gt=0, le=30 * 86_400)] = 3600.0
    """No token is taken that ends later than this from now, whoever minted it."""
    lead_s: Annotated[float, Meta(ge=0, le=86_400)] = 10.0
    """A new key mints this long after it was made, so that every node has it by then."""
    overlap_s: Annotated[float, Meta(gt=0, le=365 * 86_400)] = 7200.0
    """Tokens of the key before are taken this much longer; twice `life_max` at least."""


class VaultOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Vault's transit engine, for `capability.keys: vault`."""

    address: str = ""
    """Such as `https://vault.example.com:8200`."""
    mount: str = "transit"
    """Where the engine is mounted."""
    key: str = "rco"
    """The transit key that root keys are made with."""
    token: str = ""
    """A reference to the token: `env:NAME` or `file:/path`. Read at each use."""


def faults(options: CapabilityOptions, vault: VaultOptions) -> Iterator[tuple[str, str, str]]:
    """What is wrong: key, message, cure."""
    if options.overlap_s < 2 * options.life_max_s:
        yield (
            "capability.overlap",
            f"is {options.overlap_s:g} s, less than twice life_max ({options.life_max_s:g} s)",
            "Tokens would end with their key: lengthen it, or shorten life_max.",
        )
    if options.keys not in ("", "vault") and not options.keys.startswith(("file:/", "env:")):
        yield "capability.keys", "is no place of a keyring", "Write file:/path, env:NAME or vault."
    if options.keys == "vault" and not (vault.address and vault.token):
        yield "vault", "needs address and token, as capability.keys is vault", "Add both."
