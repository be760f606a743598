"""Payloads in the object store, encrypted with their namespace's key like those in the store."""

from __future__ import annotations

from rco.encryption.cipher import Place, is_encrypted, key_id_of
from rco.encryption.keys import Keys

__all__ = ["ObjectSealing"]


class ObjectSealing:
    """Implements ``rco.payloads.keeping.Sealing``."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def seal(self, namespace: str, name: bytes, data: bytes) -> bytes:
        """Bound to the object's name: moved to another one it does not open."""
        cipher = self._keys.writing(namespace)
        return data if cipher is None else cipher.encrypt(Place.OBJECT, name, 0, data)

    async def unseal(self, name: bytes, data: bytes) -> bytes:
        """What is not encrypted is from before its namespace had a key."""
        if not is_encrypted(data):
            return data
        key_id = key_id_of(data)
        await self._keys.know(key_id)
        return self._keys.reading(key_id).decrypt(Place.OBJECT, name, 0, data)
