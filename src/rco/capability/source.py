"""Where the keyring comes from, and how a node keeps up with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rco.capability.keyfile import read_ring
from rco.capability.keyring import Keyring, ring_of
from rco.capability.options import CapabilityOptions, VaultOptions
from rco.capability.vault import Transit
from rco.errors import StoreError

__all__ = ["REFRESH_S", "KeptRing", "Load", "ring_path", "source_of", "transit_of"]

REFRESH_S = 2.0
"""Less than a new key's lead, so that every node has it before one mints with it."""

Load = Callable[[], Keyring]
"""Reads the ring anew. Blocking; raises ``ConfigInvalid`` or ``StoreError``."""


def source_of(
    options: CapabilityOptions, vault: VaultOptions, default: Path, resolve: Callable[[str], str]
) -> Callable[[], Keyring]:
    """How to read the ring that the settings name. ``default`` is the file where they name none; ``resolve`` opens
    references. Raises ``ConfigInvalid`` for an address that is none."""
    if options.keys == "vault":
        return transit_of(options, vault, resolve).ring
    if options.keys.startswith("env:"):
        return lambda: ring_of(resolve(options.keys), options.keys)
    return partial(read_ring, ring_path(options, default))


def ring_path(options: CapabilityOptions, default: Path) -> Path:
    """The file of a ring that is kept in one."""
    return Path(options.keys.removeprefix("file:")) if options.keys else default


def transit_of(options: CapabilityOptions, vault: VaultOptions, resolve: Callable[[str], str]) -> Transit:
    """The transit key that the settings name."""
    return Transit(
        vault.address,
        vault.mount,
        vault.key,
        lambda: resolve(vault.token),
        lead_s=options.lead_s,
        overlap_s=options.overlap_s,
    )


class KeptRing:
    """The ring as it was last read. What cannot be read leaves the last one in place: rotations are late then, and
    nothing else. ``changed`` is told kids that came and went, ``trouble`` why it could not be read. A ``Lives``."""

    def __init__(
        self,
        load: Load,
        *,
        changed: Callable[[set[str], set[str]], None] = lambda _came, _went: None,
        trouble: Callable[[BaseException], None] = lambda _: None,
        refresh_s: float = REFRESH_S,
    ) -> None:
        self._load, self._changed, self._trouble, self._refresh_s = load, changed, trouble, refresh_s
        self._ring: Keyring | None = None
        self._task: asyncio.Task[None] | None = None

    def __call__(self) -> Keyring:
        """The ring. Raises ``StoreError`` before ``start``."""
        if self._ring is None:
            raise StoreError("the keyring was not read yet.")
        return self._ring

    async def start(self) -> None:
        """Returns when the ring was read. Raises what reading it raises: without keys there is no service."""
        self._ring = await asyncio.to_thread(self._load)
        self._task = asyncio.create_task(self._keep(), name="rco-keyring")

    async def stop(self) -> None:
        """May be called before ``start`` and twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def read(self) -> None:
        """Read the ring anew now."""
        before = self()
        self._ring = after = await asyncio.to_thread(self._load)
        came, went = after.kids() - before.kids(), before.kids() - after.kids()
        if came or went:
            self._changed(came, went)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_s)
            try:
                await self.read()
            except Exception as problem:  # noqa: BLE001 - whatever it is, the last ring stays and this goes on
                self._trouble(problem)
