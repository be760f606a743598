"""Doors to a service: what a client may ask, and the three ways in which it gets no good answer."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from rco.client import Client
from rco.errors import Overloaded, RcoError, Unreachable
from rco.model.wire import SettleAsk

__all__ = ["Busy", "Door", "HttpDoor", "PipeDoor", "Said", "Unknown"]


class Unknown(Exception):
    """No answer came: it may have been done or not."""


class Busy(Exception):
    """Refused for now; nothing was done."""


class Said(Exception):
    """Refused for good, with the code of the error."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(f"{code}: {message}")


class Door(Protocol):
    """One connection to one life of the service. Every method raises ``Unknown``, ``Busy`` or ``Said``."""

    async def start(self, workflow: str, input: Any, key: str) -> tuple[str, bool]: ...

    async def signal(self, run_id: str, name: str, value: Any, message_id: str) -> bool: ...

    async def cancel(self, run_id: str) -> None: ...

    async def settle(self, run_id: str, key: str, verdict: str, value: Any) -> None: ...

    async def deliver(self, headers: dict[str, str], body: str) -> tuple[int, dict[str, Any]]: ...

    async def state(self, run_id: str) -> dict[str, Any]: ...

    async def open_runs(self) -> dict[str, int]: ...

    async def export(self, path: Path) -> None: ...

    async def close(self) -> None: ...


class PipeDoor:
    """To a node of ``tests.crash.node``. ``on_lost`` is called once when the other side is gone."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost
        self._numbers = itertools.count()
        self._open: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.lost = False

    async def connect(self, path: str) -> None:
        self._reader, self._writer = await asyncio.open_unix_connection(path, limit=1 << 24)
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                if not line.endswith(b"\n"):
                    break
                said = json.loads(line)
                future = self._open.pop(said["n"])
                if not future.done():
                    future.set_result(said)
        except OSError:
            pass
        self.lost = True
        for future in self._open.values():
            if not future.done():
                future.set_exception(Unknown())
        self._on_lost()

    async def _ask(self, do: str, **given: Any) -> Any:
        if self.lost:
            raise Unknown
        n = next(self._numbers)
        future = self._open[n] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps({"n": n, "do": do, "with": given}).encode() + b"\n")
        said = await future
        if "ok" in said:
            return said["ok"]
        if "busy" in said:
            raise Busy(said["busy"])
        if said["error"] in ("unreachable", "store_error", "internal"):
            raise Unknown(said["message"])
        raise Said(said["error"], said["message"])

    async def start(self, workflow: str, input: Any, key: str) -> tuple[str, bool]:
        run_id, created = await self._ask("start", workflow=workflow, input=input, key=key)
        return run_id, created

    async def signal(self, run_id: str, name: str, value: Any, message_id: str) -> bool:
        return bool(await self._ask("signal", run_id=run_id, name=name, value=value, message_id=message_id))

    async def cancel(self, run_id: str) -> None:
        await self._ask("cancel", run_id=run_id)

    async def settle(self, run_id: str, key: str, verdict: str, value: Any) -> None:
        await self._ask("settle", run_id=run_id, key=key, verdict=verdict, value=value)

    async def deliver(self, headers: dict[str, str], body: str) -> tuple[int, dict[str, Any]]:
        status, answer = await self._ask("deliver", headers=headers, body=body)
        if status == 429:
            raise Busy(answer["reason"])
        return status, answer

    async def state(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = await self._ask("state", run_id=run_id)
        return found

    async def result(self, run_id: str) -> dict[str, Any]:
        """State, error and result."""
        found: dict[str, Any] = await self._ask("result", run_id=run_id)
        return found

    async def open_runs(self) -> dict[str, int]:
        found: dict[str, int] = await self._ask("open_runs")
        return found

    async def export(self, path: Path) -> None:
        await self._ask("export", path=str(path))

    async def stop(self) -> None:
        """Ask it to end as SIGTERM does."""
        await self._ask("stop")

    async def close(self) -> None:
        self._writer.close()
        await self._reading


class HttpDoor:
    """To ``rco serve``: the control API by its own client, webhooks by plain HTTP."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._client = Client(url, token, timeout_s=10)
        self._hooks: aiohttp.ClientSession

    async def connect(self) -> None:
        await self._client.__aenter__()
        self._hooks = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))

    async def _asked(self, asking: Any) -> Any:
        try:
            return await asking
        except Overloaded as problem:
            raise Busy(str(problem)) from None
        except Unreachable as problem:
            raise Unknown(str(problem)) from None
        except RcoError as problem:
            if getattr(problem, "status", 0) >= 500:
                raise Unknown(str(problem)) from None
            raise Said(problem.code, str(problem)) from None

    async def start(self, workflow: str, input: Any, key: str) -> tuple[str, bool]:
        started = await self._asked(self._client.start(workflow, input, key=key))
        return started.id, started.created

    async def signal(self, run_id: str, name: str, value: Any, message_id: str) -> bool:
        return bool((await self._asked(self._client.signal(run_id, name, value, message_id=message_id))).accepted)

    async def cancel(self, run_id: str) -> None:
        await self._asked(self._client.cancel(run_id, "asked to"))

    async def settle(self, run_id: str, key: str, verdict: str, value: Any) -> None:
        ask = SettleAsk(key=key, verdict=verdict, value=value, reason="looked it up")  # type: ignore[arg-type]
        await self._asked(self._client.settle(run_id, ask))

    async def deliver(self, headers: dict[str, str], body: str) -> tuple[int, dict[str, Any]]:
        try:
            async with self._hooks.post(f"{self._url}/webhooks/shop", data=body, headers=headers) as answer:
                said = await answer.json()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            raise Unknown(type(problem).__name__) from None
        if answer.status == 429:
            raise Busy(said["reason"])
        if answer.status >= 500:
            raise Unknown(said["reason"])
        return answer.status, said

    async def state(self, run_id: str) -> dict[str, Any]:
        view = await self._asked(self._client.run(run_id))
        return {"state": view.state, "error": view.error}

    async def open_runs(self) -> dict[str, int]:
        return dict((await self._asked(self._client.info())).open_runs)

    async def export(self, path: Path) -> None:
        with path.open("wb") as file:
            async for piece in self._client.export_audit(journal=True):
                file.write(piece)

    async def close(self) -> None:
        await self._client.close()
        await self._hooks.close()
