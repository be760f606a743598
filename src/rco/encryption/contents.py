"""Content of the content store, encrypted with the key of the namespace that put it."""

from __future__ import annotations

from collections.abc import Callable

from rco.encryption.cipher import Cipher, Place, is_encrypted, key_id_of
from rco.encryption.keys import Keys
from rco.errors import EvidenceBroken
from rco.kit.digest import digest, length_prefixed
from rco.objects.sealed import STREAM_BYTES

__all__ = ["KeyedContent"]


class KeyedContent:
    """Implements ``rco.objects.sealed.ContentSealing``."""

    def __init__(self, keys: Keys, random: Callable[[int], bytes]) -> None:
        self._keys, self._random = keys, random

    def sealer(self, namespace: str) -> _Sealer | None:
        """Raises ``Forbidden`` where nothing new of the namespace can be kept."""
        cipher = self._keys.writing(namespace)
        if cipher is None:
            return None
        self._keys.require_open(namespace)
        return _Sealer(cipher)

    def tags(self) -> list[str]:
        return [_tag(name) for name in sorted({key.namespace for key in self._keys.listed()})]

    def stream(self) -> bytes:
        return self._random(STREAM_BYTES)

    async def unseal(self, stream: bytes, number: int, data: bytes) -> bytes:
        """The key is looked for at each piece: one that is erased meanwhile opens no more of it."""
        if not is_encrypted(data):
            raise EvidenceBroken("what is kept as ciphertext is none.", cure="Put it again, and look at the disk.")
        key_id = key_id_of(data)
        await self._keys.know(key_id)
        return self._keys.reading(key_id).decrypt(Place.CONTENT, stream, number, data)


class _Sealer:
    def __init__(self, cipher: Cipher) -> None:
        self._cipher, self.tag = cipher, _tag(cipher.namespace)

    def seal(self, stream: bytes, number: int, data: bytes) -> bytes:
        return self._cipher.encrypt(Place.CONTENT, stream, number, data)


def _tag(namespace: str) -> str:
    """Stands in the keys of objects, which know neither capitals nor points."""
    return digest(length_prefixed(b"rco content of", namespace.encode()))[:8].hex()
