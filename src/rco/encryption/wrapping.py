"""A namespace's key, encrypted under a root key: the form in which the store has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rco.kit.digest import length_prefixed

__all__ = ["Root", "Roots", "unwrapped", "wrapped"]

_CONTEXT = b"rco namespace key v1"
_NONCE_BYTES = 12


class Root(Protocol):
    """One root key: ``rco.capability.keyring.Key`` is one."""

    @property
    def kid(self) -> str: ...

    @property
    def wrap_key(self) -> bytes:
        """32 bytes for wrapping alone."""
        ...


class Roots(Protocol):
    """The root keys there are: ``rco.capability.keyring.Keyring``."""

    def minting(self, now_us: int) -> Root | None:
        """The newest one in use."""
        ...

    def find(self, kid: str) -> Root | None: ...


def wrapped(root: Root, namespace: str, key_id: bytes, key: bytes, random: Callable[[int], bytes]) -> bytes:
    """``key`` under ``root``, bound to its namespace and id. A root wraps few keys, so random nonces do."""
    nonce = random(_NONCE_BYTES)
    return nonce + AESGCM(root.wrap_key).encrypt(nonce, key, _bound(root.kid, namespace, key_id))


def unwrapped(root: Root, namespace: str, key_id: bytes, data: bytes) -> bytes | None:
    """The key, or ``None`` when it does not open: another root of the same name, or it was changed."""
    try:
        return AESGCM(root.wrap_key).decrypt(
            data[:_NONCE_BYTES], data[_NONCE_BYTES:], _bound(root.kid, namespace, key_id)
        )
    except (InvalidTag, ValueError):
        return None


def _bound(kid: str, namespace: str, key_id: bytes) -> bytes:
    return length_prefixed(_CONTEXT, kid.encode(), namespace.encode(), key_id)
