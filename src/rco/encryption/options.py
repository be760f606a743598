"""What can be set about the encryption of payloads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["EncryptionOptions", "faults"]


class EncryptionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Whether namespaces may have keys, and where the root keys are that theirs are wrapped with."""

    keys: str = ""
    """The keyring of root keys: `file:/path` (mode 0600), `env:NAME`, or `vault`. Empty: no namespace is encrypted.
    Every node needs the same ring. Changes with a restart."""
    lead_s: Annotated[float, Meta(ge=1, le=86_400)] = 5.0
    """A namespace's next key encrypts this long after it was made, so that every node has it by then."""


def faults(options: EncryptionOptions, *, vault: bool) -> Iterator[tuple[str, str, str]]:
    """What is wrong: key, message, cure. ``vault``: its address and token are given."""
    if options.keys not in ("", "vault") and not options.keys.startswith(("file:/", "env:")):
        yield "encryption.keys", "is no place of a keyring", "Write file:/path, env:NAME or vault."
    if options.keys == "vault" and not vault:
        yield "vault", "needs address and token, as encryption.keys is vault", "Add both."
