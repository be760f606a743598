"""One namespace's cipher: AES-256-GCM, bound to where the ciphertext stands.

A ciphertext is::

    magic (4)  key id (16)  session (16)  nonce (12)  count (4)  ciphertext and tag

``session`` names the process that encrypted: it uses a key of its own, derived from the namespace's, and counts its
nonces, so no nonce comes twice under one key however much is written. Half of each nonce is random besides, for a
process whose memory was copied. ``count`` says how many records are inside, for who may not look.

Associated data are all of the above with the namespace, the kind of place, whose it is and its number there: a
ciphertext that is moved to another row, run or namespace does not open.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rco.errors import EvidenceBroken
from rco.kit.digest import keyed_digest, length_prefixed
from rco.model.journal import ENCRYPTED, ENCRYPTED_COUNT_AT

__all__ = [
    "HEAD_BYTES",
    "KEY_ID_BYTES",
    "MAGIC",
    "NOBODYS",
    "SESSION_BYTES",
    "Cipher",
    "Place",
    "count_of",
    "is_encrypted",
    "key_id_of",
]

MAGIC = ENCRYPTED
"""Neither JSON nor MessagePack of more than one byte nor a journal segment begins like this."""
KEY_ID_BYTES = SESSION_BYTES = 16
NOBODYS = bytes(KEY_ID_BYTES)
"""The id of keys that nobody has: what was encrypted with one can be read by nobody."""
_NONCE_BYTES, _COUNTED_BYTES = 12, 6
_KEY_END = len(MAGIC) + KEY_ID_BYTES
_SESSION_END = _KEY_END + SESSION_BYTES
_NONCE_END = ENCRYPTED_COUNT_AT
assert _SESSION_END + _NONCE_BYTES == _NONCE_END
HEAD_BYTES = _NONCE_END + 4
OVERHEAD_BYTES = HEAD_BYTES + 16
_SESSIONS_MAX = 256


class Place(Enum):
    """What a ciphertext is of. A value is never used again for something else."""

    JOURNAL = b"journal"
    DETAIL = b"detail"
    MESSAGE = b"message"
    EVENT = b"event"
    SCHEDULE = b"schedule"
    OBJECT = b"object"
    CONTENT = b"content"


def is_encrypted(data: bytes) -> bool:
    """Whether ``data`` is a ciphertext by its form."""
    return len(data) >= OVERHEAD_BYTES and data.startswith(MAGIC)


def key_id_of(data: bytes) -> bytes:
    """Under which key a ciphertext was made."""
    return data[len(MAGIC) : _KEY_END]


def count_of(data: bytes) -> int:
    """How many records a ciphertext says are inside."""
    return int.from_bytes(data[_NONCE_END:HEAD_BYTES], "big")


class Cipher:
    """Encrypts and decrypts for one key of one namespace. ``repr`` shows the key's id and nothing else."""

    __slots__ = ("_count", "_head", "_key", "_namespace", "_random", "_sessions", "_writing", "key_id", "namespace")

    def __init__(
        self, namespace: str, key_id: bytes, key: bytes, session: bytes, random: Callable[[int], bytes]
    ) -> None:
        """``session``: 16 bytes that no other process has. ``random`` gives random bytes."""
        self.namespace, self.key_id = namespace, key_id
        self._namespace, self._key, self._random = namespace.encode(), key, random
        self._sessions: dict[bytes, AESGCM] = {}
        self._writing = self._session(session)
        self._head = MAGIC + key_id + session
        self._count = 0

    def __repr__(self) -> str:
        return f"Cipher({self.key_id.hex()})"

    def _session(self, session: bytes) -> AESGCM:
        found = self._sessions.get(session)
        if found is None:
            if len(self._sessions) >= _SESSIONS_MAX:
                self._sessions.pop(next(iter(self._sessions)))
            found = self._sessions[session] = AESGCM(keyed_digest(self._key, b"rco payload session v1" + session))
        return found

    def encrypt(self, place: Place, owner: bytes, number: int, data: bytes, count: int = 0) -> bytes:
        """``data`` as a ciphertext of this place. Each call gives another one."""
        self._count += 1
        nonce = self._count.to_bytes(_COUNTED_BYTES, "big") + self._random(_NONCE_BYTES - _COUNTED_BYTES)
        head = self._head + nonce + count.to_bytes(4, "big")
        return head + self._writing.encrypt(nonce, data, self._bound(head, place, owner, number))

    def decrypt(self, place: Place, owner: bytes, number: int, data: bytes) -> bytes:
        """What ``encrypt`` was given at this place. Raises ``EvidenceBroken`` when it was changed, or is of another."""
        head = data[:HEAD_BYTES]
        try:
            if len(data) < OVERHEAD_BYTES:
                # Cut so short that it has no whole nonce, which is no question of the key any more.
                raise InvalidTag
            return self._session(head[_KEY_END:_SESSION_END]).decrypt(
                head[_SESSION_END:_NONCE_END], data[HEAD_BYTES:], self._bound(head, place, owner, number)
            )
        except InvalidTag:
            raise EvidenceBroken(
                f"a {place.value.decode()} of namespace {self.namespace!r} does not open under its key: it was changed,"
                " or stands where it was not written.",
                cure="rco audit verify says whether the journal was changed; restore a backup.",
            ) from None

    def _bound(self, head: bytes, place: Place, owner: bytes, number: int) -> bytes:
        return length_prefixed(head, self._namespace, place.value, owner, number.to_bytes(8, "big"))
