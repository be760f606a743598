"""Signing secrets as the store has them, and opened: sealed under one key, or elsewhere by reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from rco.encryption.wrapping import unwrapped, wrapped
from rco.errors import ConfigInvalid
from rco.kit.ids import Ids
from rco.model.endpoint import Endpoint, SigningSecret
from rco.webhooks.signing import Signer, generated, parse_secret

__all__ = ["Safe", "sealing_key"]

_SECRET_BYTES = 32


def sealing_key(text: str) -> bytes:
    """The 32 bytes of 64 hexadecimal digits. Raises ``ConfigInvalid``."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _SECRET_BYTES:
        raise ConfigInvalid(
            "is not 64 hexadecimal digits", cure="Make one with: openssl rand -hex 32.", key="webhooks.key"
        )
    return key


class _Key:
    """The key that secrets are sealed under, as ``rco.encryption.wrapping.Root`` wants it."""

    kid = "webhooks"

    def __init__(self, wrap_key: bytes) -> None:
        self.wrap_key = wrap_key


class Safe:
    """Makes, seals and opens signing secrets. Each is bound to its namespace, endpoint and name."""

    def __init__(self, key: bytes | None, resolve: Callable[[str], str], ids: Ids) -> None:
        """``key``: 32 bytes; ``None``: nothing can be sealed here, references alone. ``resolve`` opens references."""
        self._key = None if key is None else _Key(key)
        self._resolve, self._ids = resolve, ids

    def make(
        self, namespace: str, endpoint_id: str, kind: Literal["v1", "v1a"], now_us: int
    ) -> tuple[SigningSecret, str]:
        """A new secret, and its text, which is told once: of v1a the public key. Raises ``ConfigInvalid`` where
        nothing can be sealed."""
        key = self._sealing()
        text = generated(kind, self._ids.secret(_SECRET_BYTES))
        secret_id = f"ws_{self._ids.ulid()}"
        bound = _bound(endpoint_id, secret_id)
        sealed = wrapped(key, namespace, bound, text.encode(), self._ids.secret)
        public = parse_secret(text).public
        made = SigningSecret(secret_id=secret_id, kind=kind, sealed=sealed, public=public, made_us=now_us)
        return made, public or text

    def refer(self, reference: str, now_us: int) -> SigningSecret:
        """A secret that is kept elsewhere. Raises ``ConfigInvalid`` when nothing usable is there."""
        signer = parse_secret(self._resolve(reference))
        return SigningSecret(
            secret_id=f"ws_{self._ids.ulid()}",
            kind=signer.kind,
            reference=reference,
            public=signer.public,
            made_us=now_us,
        )

    def signers(self, endpoint: Endpoint, now_us: int) -> list[tuple[str, Signer]]:
        """The secrets that sign now, the newest first, each with its name. Raises ``ConfigInvalid`` when one does not
        open: receivers that hold it alone could not verify."""
        live = [one for one in endpoint.secrets if one.expires_us is None or one.expires_us > now_us]
        return [(one.secret_id, self._open(endpoint, one)) for one in live]

    def _open(self, endpoint: Endpoint, one: SigningSecret) -> Signer:
        if one.reference:
            return parse_secret(self._resolve(one.reference))
        text = unwrapped(self._sealing(), endpoint.namespace, _bound(endpoint.endpoint_id, one.secret_id), one.sealed)
        if text is None:
            raise ConfigInvalid(
                f"the signing secret {one.secret_id} does not open",
                cure="Give webhooks.key the value that it was made with, or rotate the secret.",
                key="webhooks.key",
            )
        return parse_secret(text.decode())

    def _sealing(self) -> _Key:
        if self._key is None:
            raise ConfigInvalid(
                "signing secrets cannot be kept here",
                cure="Set webhooks.key, the same on every node, or give the secret by reference.",
                key="webhooks.key",
            )
        return self._key


def _bound(endpoint_id: str, secret_id: str) -> bytes:
    return f"{endpoint_id}/{secret_id}".encode()
