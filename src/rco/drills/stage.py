"""Where a drill takes place: the service, the sender, the service that is called, and everything that is seen."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec

from rco.drills.counters import Counters, read_counters
from rco.drills.deployment import Deployment
from rco.drills.faults import Fault
from rco.drills.ledger import Ledger
from rco.drills.load import Came, Load, Said, Way
from rco.drills.sending import Sending
from rco.drills.service import PROVIDER, OwnService
from rco.drills.size import Size
from rco.errors import Misuse, Unreachable

__all__ = ["Moment", "Stage", "State"]

_LOOK_EVERY_S = 0.25
_LOOK_TIMEOUT_S = 2.0
_CALM_SECONDS = 2


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the service said of itself at one moment."""

    at_s: float
    ready: bool
    missing: list[str]
    """The readiness keys that did not hold; ``no answer`` where there was none."""


class Moment(msgspec.Struct, frozen=True):
    """Something happened. Seconds since the load began."""

    at_s: float
    what: str


class Stage:
    """``async with Stage(...) as stage``: a service is up and the sender ready. ``tell`` hears of each moment."""

    def __init__(
        self,
        folder: Path,
        size: Size,
        tell: Callable[[Moment], None],
        *,
        settings: dict[str, dict[str, Any]] | None = None,
        store: str = "",
        deployment: Deployment | None = None,
    ) -> None:
        """``store``: see ``OwnService``; ``deployment``: meet this one, and start none."""
        self._store = store
        self.folder, self.size, self._tell = folder, size, tell
        self._settings, self.deployment = settings or {}, deployment
        self.ledger = Ledger()
        self.service: OwnService | None = None
        self.record = folder / "sent.jsonl"
        self.moments: list[Moment] = []
        self.states: list[State] = []
        self.seconds: list[Said] = []
        self.kills = 0
        self.down_s = 0.0
        self.prefix = f"drill-{secrets.token_hex(4)}"
        self._began_s = time.monotonic()
        self._changed = asyncio.Event()
        self._stack = AsyncExitStack()
        self._web: aiohttp.ClientSession
        self._sending: Sending

    async def __aenter__(self) -> Self:
        try:
            await self._stack.enter_async_context(self.ledger)
            timeout = aiohttp.ClientTimeout(total=_LOOK_TIMEOUT_S)
            self._web = await self._stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
            if self.deployment is None:
                service = self.service = OwnService(
                    self.folder,
                    self.ledger.url,
                    self._settings,
                    store=self._store,
                    calm_s=self.size.sentinel_calm_s,
                    full_s=self.size.queue_full_s,
                )
                self._stack.push_async_callback(service.stop)
                await service.begin()
                way = Way(
                    url=service.url,
                    provider=PROVIDER,
                    secret=service.secret,
                    token=service.token,
                    prefix=self.prefix,
                    record=str(self.record),
                )
            else:
                there = self.deployment
                way = Way(
                    url=there.url,
                    provider=there.provider,
                    secret=there.secret,
                    token=there.put_token,
                    prefix=self.prefix,
                    record=str(self.record),
                )
            self.before = await self.counters()
            self._sending = await self._stack.enter_async_context(Sending(way, self._heard))
            self._began_s = time.monotonic()
            self._watching = asyncio.create_task(self._watch())
            self._stack.push_async_callback(self._look_away)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def own(self) -> OwnService:
        """The service of the drill's own. Raises ``Misuse`` where a deployment is met."""
        if self.service is None:
            raise Misuse("This drill needs a service of its own.", cure="Run it without --url.")
        return self.service

    @property
    def now_s(self) -> float:
        """Seconds since the load began."""
        return time.monotonic() - self._began_s

    def moment(self, what: str) -> None:
        """Write down that something happened now."""
        moment = Moment(round(self.now_s, 2), what)
        self.moments.append(moment)
        self._tell(moment)

    # -- what is done ----------------------------------------------------------------------------------------------

    async def load(self, load: Load) -> None:
        """Send this from now on."""
        if not self._sends_puts:
            # Nothing can be put there, so there is nothing to get either: the webhooks alone, at their rate.
            alone = load.rate_per_s * load.webhook
            load = msgspec.structs.replace(load, rate_per_s=alone, get=0.0, webhook=1.0, put=0.0)
        await self._sending.send(load)

    @property
    def _sends_puts(self) -> bool:
        return self.deployment is None or bool(self.deployment.put_token)

    async def fault(self, fault: Fault) -> None:
        """Let it hold in the service's own process."""
        await self.own.fault(fault)

    async def kill(self) -> None:
        """``kill -9``, and start again at once."""
        began = time.monotonic()
        self.kills += 1
        await self.own.kill()
        self.moment("killed")
        await self.own.begin()
        self.down_s += time.monotonic() - began
        self.moment("started again, and ready")

    async def finish(self) -> list[Came]:
        """End the load, and look no more; gives what came of everything."""
        await self._look_away()
        return await self._sending.finish()

    async def _look_away(self) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)

    # -- what is seen ----------------------------------------------------------------------------------------------

    async def counters(self) -> Counters:
        """The service's own counters now. Raises ``Unreachable``."""
        url = self.service.metrics_url if self.service is not None else self._metrics_url
        try:
            async with self._web.get(f"{url}/metrics") as answer:
                return read_counters(await answer.text())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(
                f"{url}/metrics gives no answer ({type(error).__name__}).", cure="Check --metrics-url."
            ) from None

    @property
    def _metrics_url(self) -> str:
        assert self.deployment is not None
        return self.deployment.metrics_url

    async def rest(self, seconds: float) -> None:
        """Let time pass. Raises what ended the sender."""
        await asyncio.sleep(seconds)

    async def until(self, holds: Callable[[], bool], within_s: float) -> bool:
        """Whether it came to hold within that time, as it was looked at after each second and each look."""
        try:
            async with asyncio.timeout(within_s):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def browned_out(self, since_s: float) -> bool:
        """Whether a brownout was seen since then, and writes that were refused for it."""
        seen = any("brownout_bridge" in state.missing for state in self.states if state.at_s >= since_s)
        return seen and self.refused("BACKPRESSURE", since_s) > 0

    def refused(self, reason: str, since_s: float) -> int:
        """How many writes were refused for that reason since then."""
        return sum(
            second.reasons.get(reason, 0)
            for said in self.seconds
            if said.at_s >= since_s
            for kind, second in said.kinds.items()
            if kind != "get"
        )

    async def recovered(self, since_s: float, within_s: float) -> float | None:
        """Seconds from then until all was well: the service is ready, and for two seconds every write was taken.
        ``None`` when that did not come to be within that time."""
        at: list[float] = []

        def holds() -> bool:
            found = self._well_since(since_s)
            if found is not None:
                at.append(found)
            return found is not None

        left_s = within_s - (self.now_s - since_s)
        if not await self.until(holds, max(0.1, left_s)):
            return None
        return round(max(0.0, at[0] - since_s), 2)

    def _well_since(self, since_s: float) -> float | None:
        if not self.states or not self.states[-1].ready:
            return None
        unready = [state.at_s for state in self.states if not state.ready and state.at_s >= since_s]
        good: list[float] = []
        for said in reversed(self.seconds):
            begins_s = said.at_s - 1.0
            writes = [second for kind, second in said.kinds.items() if kind != "get"]
            answers = {status for second in writes for status in second.statuses}
            if begins_s < since_s or not answers or any(not 200 <= int(status) < 400 for status in answers):
                break
            good.append(begins_s)
        if len(good) < _CALM_SECONDS:
            return None
        return max(good[-1], unready[-1] if unready else since_s)

    def _heard(self, said: Said) -> None:
        if said.kinds:
            self.seconds.append(said)
            self._changed.set()

    async def _watch(self) -> None:
        url = self.service.metrics_url if self.service is not None else self._metrics_url
        before: State | None = None
        while True:
            state = await self._look(url)
            self.states.append(state)
            if before is None or before.missing != state.missing:
                if before is not None or not state.ready:
                    self.moment("ready" if state.ready else f"not ready: {', '.join(state.missing)}")
                before = state
            self._changed.set()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self, url: str) -> State:
        try:
            async with self._web.get(f"{url}/readyz") as answer:
                told = await answer.json()
                return State(at_s=round(self.now_s, 2), ready=answer.status == 200, missing=told["missing"])
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return State(at_s=round(self.now_s, 2), ready=False, missing=["no answer"])
