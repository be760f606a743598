"""Stopping a service: what fails to stop keeps nothing else from it."""

from __future__ import annotations

import pytest

from rco.app import build
from rco.config import Settings
from rco.errors import StoreError


async def test_what_fails_to_stop_keeps_nothing_else_from_it_and_is_told_in_the_end(tmp_path) -> None:
    service = await build(Settings(data_dir=str(tmp_path)), environ={})
    stopped: list[str] = []

    async def store() -> None:
        stopped.append("store")

    async def fails() -> None:
        stopped.append("feed")
        raise StoreError("away.")

    async def fails_too() -> None:
        stopped.append("listener")
        raise RuntimeError("a bug")

    service._stops += [store, fails, fails_too]
    with pytest.raises(RuntimeError, match="a bug"):
        await service.stop()
    assert stopped == ["listener", "feed", "store"]
    await service.stop()
