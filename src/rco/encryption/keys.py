"""The keys of this node: read from the store, opened under the root keys, and forgotten within a second of erasure.

A question every ``BEAT_S`` brings what changed. A node that has not heard from the store for ``SILENCE_S`` asks again
before it opens anything, and opens nothing without an answer: so an erased key is of no use anywhere a second later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rco.encryption.cipher import KEY_ID_BYTES, NOBODYS, SESSION_BYTES, Cipher
from rco.encryption.wrapping import Roots, unwrapped, wrapped
from rco.errors import Conflict, Forbidden, PayloadErased, PayloadLocked, StoreError
from rco.kit.clock import Clock, iso
from rco.kit.ids import Ids
from rco.store.contract.namespace_keys import NamespaceKey, NamespaceKeys

__all__ = ["BEAT_S", "SILENCE_S", "Keys"]

BEAT_S = 0.25
SILENCE_S = 1.0
PAGE = 500
_KEY_BYTES = 32


class Keys:
    """One to a node, used on its event loop. A ``Lives``; after ``start`` everything was read once.

    ``erased`` is told each namespace whose keys were found erased, ``trouble`` why the store gave no answer.
    """

    def __init__(
        self,
        store: NamespaceKeys,
        roots: Callable[[], Roots],
        clock: Clock,
        ids: Ids,
        *,
        trouble: Callable[[BaseException], None] = lambda _: None,
        beat_s: float = BEAT_S,
    ) -> None:
        self._store, self._roots, self._clock, self._ids = store, roots, clock, ids
        self._trouble, self._beat_s = trouble, beat_s
        self.erased: list[Callable[[str, PayloadErased], None]] = []
        self._session = ids.secret(SESSION_BYTES)
        self._keys: dict[bytes, NamespaceKey] = {}
        self._ciphers: dict[bytes, Cipher] = {}
        self._active: dict[str, Cipher] = {}
        self._shut: dict[str, PayloadErased | PayloadLocked] = {}
        """Namespaces in which nothing new can be kept, and why."""
        self._head = 0
        self._asked_s: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._reading = asyncio.Lock()

    # -- using -----------------------------------------------------------------------------------------------------

    def writing(self, namespace: str) -> Cipher | None:
        """What to encrypt with now; ``None`` where the namespace has no key, so that it is not encrypted.

        Where its keys were erased, or cannot be opened, it is a cipher whose key nobody has: what is still written of
        it can be read by nobody.
        """
        return self._active.get(namespace)

    def tell(self, problem: BaseException) -> None:
        """Say that something does not open, and go on."""
        self._trouble(problem)

    @property
    def none(self) -> bool:
        """No namespace is encrypted."""
        return not self._active

    def require_open(self, namespace: str) -> None:
        """Pass where new payloads of ``namespace`` can be kept. Raises ``Forbidden``."""
        why = self._shut.get(namespace)
        if why is not None:
            raise Forbidden(why.message, cure=why.cure) from why

    def shut(self) -> dict[str, PayloadErased | PayloadLocked]:
        """Namespaces in which nothing new can be kept, and why."""
        return dict(self._shut)

    def __len__(self) -> int:
        """How many keys are open here."""
        return len(self._ciphers)

    async def know(self, key_id: bytes) -> None:
        """Ask for a key that another node may have made a moment ago."""
        await self.fresh()
        if key_id not in self._keys and key_id != NOBODYS:
            await self.read()

    def reading(self, key_id: bytes) -> Cipher:
        """The cipher of this key. Raises ``PayloadErased``, or ``PayloadLocked`` when no root key opens it. Ask
        ``know`` before."""
        cipher = self._ciphers.get(key_id)
        if cipher is not None:
            return cipher
        if key_id == NOBODYS:
            raise PayloadErased(
                "this was written when no key of its namespace was open, so that nobody can read it.",
                cure="It is gone for good.",
            )
        key = self._keys.get(key_id)
        if key is None:
            raise PayloadLocked(
                f"the key {key_id.hex()} is not in this database.", cure="Was it restored from another one's backup?"
            )
        raise _why(key)

    async def fresh(self) -> None:
        """Pass when what is known here is less than ``SILENCE_S`` old; else ask. Raises ``StoreError``."""
        if self._asked_s is None or self._clock.monotonic() - self._asked_s >= SILENCE_S:
            try:
                async with asyncio.timeout(SILENCE_S):
                    await self.read()
            except TimeoutError:
                raise StoreError(
                    "which keys were erased is not known here: the store is silent.",
                    cure="It goes on by itself when the store answers.",
                ) from None

    def listed(self) -> list[NamespaceKey]:
        """Every key, by namespace and version."""
        return sorted(self._keys.values(), key=lambda key: (key.namespace, key.version))

    def is_open(self, key_id: bytes) -> bool:
        return key_id in self._ciphers

    # -- changing --------------------------------------------------------------------------------------------------

    async def make(self, namespace: str, *, lead_s: float, actor: str, reason: str) -> NamespaceKey:
        """A new key for ``namespace``, which encrypts ``lead_s`` from now; the first one at once.

        Durable when this returns. Raises ``PayloadLocked`` without a root key to wrap it with, ``Conflict`` when
        somebody else made one meanwhile.
        """
        await self.read()
        now_us = self._clock.now_us()
        mine = [key for key in self._keys.values() if key.namespace == namespace]
        standing = any(key.erased_us is None for key in mine)
        root = self._roots().minting(now_us)
        if root is None:
            raise PayloadLocked("no root key is in use.", cure="rco keys rotate --payloads makes one.")
        key_id = self._ids.secret(KEY_ID_BYTES)
        secret = self._ids.secret(_KEY_BYTES)
        key = NamespaceKey(
            key_id=key_id,
            namespace=namespace,
            version=max((one.version for one in mine), default=0) + 1,
            root_kid=root.kid,
            wrapped=wrapped(root, namespace, key_id, secret, self._ids.secret),
            made_us=now_us,
            from_us=now_us + (round(lead_s * 1e6) if standing else 0),
            actor=actor,
            reason=reason,
        )
        await self._store.add_namespace_key(key)
        await self.read()
        return self._keys[key_id]

    async def rewrap(self, namespace: str) -> int:
        """Wrap the keys of ``namespace`` under the newest root key; returns how many were not yet. Keys that no root
        opens stay as they are."""
        await self.read()
        root = self._roots().minting(self._clock.now_us())
        count = 0
        for key in self.listed():
            if root is None or key.namespace != namespace or key.erased_us is not None or key.root_kid == root.kid:
                continue
            secret = self._secret(key)
            if secret is not None:
                again = wrapped(root, namespace, key.key_id, secret, self._ids.secret)
                await self._store.rewrap_namespace_key(key.key_id, root.kid, again)
                count += 1
        await self.read()
        return count

    async def erase(self, namespace: str, *, actor: str, reason: str) -> int:
        """Erase the keys of ``namespace``, all there are; returns how many. When this returns it is durable and holds
        on this node; on the others it does within a second. A second call finds none.

        Raises ``Conflict`` when keys keep being made meanwhile.
        """
        count = 0
        for _ in range(10):
            count += await self._store.erase_namespace_keys(namespace, self._clock.now_us(), actor, reason)
            await self.read()
            if all(key.erased_us is not None for key in self._keys.values() if key.namespace == namespace):
                return count
        raise Conflict(f"somebody makes keys for {namespace!r} as they are erased.", cure="Stop them, erase again.")

    # -- keeping up ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Raises ``StoreError`` when the store gives no answer."""
        await self.read()
        self._task = asyncio.create_task(self._beat(), name="rco-namespace-keys")

    async def stop(self) -> None:
        """Forget every key. May be called before ``start`` and twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._ciphers.clear()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            try:
                async with asyncio.timeout(SILENCE_S):
                    await self.read()
            except Exception as problem:  # noqa: BLE001 - whatever it is, this goes on; silence opens nothing by itself
                self._trouble(problem)

    async def read(self) -> None:
        """Ask once and take in what changed."""
        async with self._reading:
            asked_s = self._clock.monotonic()
            changed: list[NamespaceKey] = []
            after = self._head
            while True:
                page = await self._store.namespace_keys(after, PAGE)
                if page.head < after:
                    # The store was put back. What was erased stays erased here: it only ever grows.
                    after = 0
                    continue
                changed += page.keys
                if len(page.keys) < PAGE:
                    break
                after = page.keys[-1].seq
            gone = self._take(changed)
            self._head = page.head
            self._asked_s = asked_s
            self._settle()
        for namespace in gone:
            why = self._shut.get(namespace)
            if isinstance(why, PayloadErased):
                for listener in self.erased:
                    listener(namespace, why)

    def _take(self, changed: list[NamespaceKey]) -> list[str]:
        gone: dict[str, None] = {}
        for key in changed:
            known = self._keys.get(key.key_id)
            if known is not None and known.erased_us is not None:
                continue
            self._keys[key.key_id] = key
            if key.erased_us is not None:
                self._ciphers.pop(key.key_id, None)
                gone[key.namespace] = None
        return list(gone)

    def _settle(self) -> None:
        """Open what can be opened, and find what each namespace encrypts with now."""
        now_us = self._clock.now_us()
        newest: dict[str, NamespaceKey] = {}
        last: dict[str, NamespaceKey] = {}
        for key in self.listed():
            last[key.namespace] = key
            if key.erased_us is None and (key.from_us <= now_us or key.namespace not in newest):
                newest[key.namespace] = key
                if key.key_id not in self._ciphers and (secret := self._secret(key)) is not None:
                    self._ciphers[key.key_id] = self._cipher(key, secret)
            elif key.erased_us is None and key.key_id not in self._ciphers:
                secret = self._secret(key)
                if secret is not None:
                    self._ciphers[key.key_id] = self._cipher(key, secret)
        for namespace, key in last.items():
            used = newest.get(namespace, key)
            cipher = self._ciphers.get(used.key_id)
            if cipher is not None:
                self._active[namespace] = cipher
                self._shut.pop(namespace, None)
            elif namespace not in self._shut or type(self._shut[namespace]) is not type(_why(used)):
                self._shut[namespace] = _why(used)
                secret = self._ids.secret(_KEY_BYTES)
                self._active[namespace] = Cipher(namespace, NOBODYS, secret, self._session, self._ids.secret)

    def _cipher(self, key: NamespaceKey, secret: bytes) -> Cipher:
        return Cipher(key.namespace, key.key_id, secret, self._session, self._ids.secret)

    def _secret(self, key: NamespaceKey) -> bytes | None:
        root = self._roots().find(key.root_kid)
        return None if root is None else unwrapped(root, key.namespace, key.key_id, key.wrapped)


def _why(key: NamespaceKey) -> PayloadErased | PayloadLocked:
    if key.erased_us is not None:
        why = f": {key.erased_why}" if key.erased_why else ""
        return PayloadErased(
            f"the payloads of namespace {key.namespace!r} were erased at {iso(key.erased_us)} by {key.erased_by}{why}.",
            cure="They are gone for good. rco namespace-key create lets new ones in.",
        )
    return PayloadLocked(
        f"the key of namespace {key.namespace!r} does not open: root key {key.root_kid!r} is not in the ring, or is"
        " another one.",
        cure="Put the root key back into encryption.keys.",
    )
