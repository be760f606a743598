"""Payloads in the object store, for commands that read a database without a service."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rco.cli.config_file import config_file

if TYPE_CHECKING:
    from rco.model.payload import Reference

__all__ = ["Fetch", "open_shelf"]

Fetch = Callable[["Reference"], bytes]
"""The bytes of a payload as its object keeps them: of an encrypted namespace they are ciphertext. Raises
``ObjectsAway`` and ``EvidenceBroken``."""


@contextmanager
def open_shelf(config: Path | None, space: Callable[[], str]) -> Iterator[Fetch]:
    """Gives payloads out of the object store that the configuration names; it is opened when the first is asked for.
    ``space``: what the database's objects stand under. Raises ``ConfigInvalid``."""
    from rco.config import Secrets, load
    from rco.kit.clock import SystemClock
    from rco.kit.ids import Ids
    from rco.objects.opening import open_objects
    from rco.payloads.keeping import PayloadStore

    opened: list[PayloadStore] = []
    with asyncio.Runner() as runner:

        def fetch(reference: Reference) -> bytes:
            if not opened:
                settings = load(config_file(config), os.environ, {}).settings
                clock = SystemClock()
                objects = open_objects(
                    settings.objects,
                    Path(settings.data_dir),
                    clock=clock,
                    ids=Ids(clock),
                    resolve=Secrets(os.environ),
                )
                runner.run(objects.start())
                opened.append(PayloadStore(objects, space(), Ids(clock), over_bytes=0, timeout_s=60.0))
            return runner.run(opened[0].stored(reference))

        try:
            yield fetch
        finally:
            for store in opened:
                runner.run(store.objects.stop())
