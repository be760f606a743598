"""The object store, where large payloads are kept in it: whether it answers from here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from rco.cli.checkup.report import Found, fail, ok
from rco.config import Secrets, Settings
from rco.errors import StoreError
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.objects.opening import open_objects

__all__ = ["reach"]

CHECK = "payloads"


def reach(settings: Settings) -> Iterator[Found]:
    """One question to the place that ``settings`` name; nothing where no payload goes there."""
    if not settings.payloads.object_store_over_bytes or settings.objects.place == "memory":
        return
    clock = SystemClock()
    objects = open_objects(
        settings.objects, Path(settings.data_dir), clock=clock, ids=Ids(clock), resolve=Secrets(os.environ)
    )

    async def look() -> None:
        async with asyncio.timeout(settings.payloads.timeout_s):
            await objects.listed("payload/", "", 1)

    cure = "Starts with large payloads are refused and runs that have some wait until it answers: look at objects."
    try:
        asyncio.run(look())
    except StoreError as problem:
        yield fail(CHECK, problem.message, cure)
    except TimeoutError:
        yield fail(CHECK, f"{objects.place} gives no answer within {settings.payloads.timeout_s:g} s", cure)
    else:
        yield ok(CHECK, f"{objects.place} answers")
