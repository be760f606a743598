"""The one way in which certificates come into the bridge: pinned addresses, one fetch at a time, kept for a while.

A certificate's address stands in a request that nobody has vouched for yet. So the kind says which addresses may be
asked before anything is asked, the fetch itself (poured in) follows no redirect and bounds size and time, failures
are remembered, and an unknown sender can cause only so many fetches in a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm

from rco.bridge.contract import Errand
from rco.errors import Reason, Refused, Unreachable
from rco.kit.bucket import TokenBucket
from rco.kit.clock import Clock, SystemClock

__all__ = ["CERTIFICATE_CAP_BYTES", "Certificates", "Fetch", "Trusted", "no_fetch"]

Fetch = Callable[[str, int], Awaitable[tuple[int, bytes]]]
"""``GET`` of an ``https`` address: status and body of at most so many bytes. Raises ``Unreachable``."""

Roots = Callable[[], Iterable[bytes]]
CERTIFICATE_CAP_BYTES = 64 << 10
KEPT_CAP = 64
KEPT_S = 24 * 3600.0
FAILURE_KEPT_S = 60.0
FETCHES_PER_S = 2.0
FETCHES_BURST = 10.0


class Trusted:
    """A public key that came from a certificate, and until when it counts."""

    __slots__ = ("key", "not_after_us", "not_before_us")

    def __init__(self, key: Any, not_before_us: int, not_after_us: int) -> None:
        self.key, self.not_before_us, self.not_after_us = key, not_before_us, not_after_us


async def no_fetch(url: str, limit_bytes: int) -> tuple[int, bytes]:
    """Where nothing may be fetched."""
    raise Unreachable(f"nothing is fetched here, not even {limit_bytes} bytes of {url}")


class Certificates:
    """Certificates by address. Belongs to one event loop."""

    __slots__ = ("_bucket", "_clock", "_failed", "_fetch", "_kept", "_under_way", "roots")

    def __init__(self, fetch: Fetch = no_fetch, clock: Clock | None = None, roots: Roots = tuple) -> None:
        """``roots`` gives the certificates (DER) that chains may end in."""
        self._fetch, self._clock, self.roots = fetch, clock or SystemClock(), roots
        self._bucket = TokenBucket(FETCHES_PER_S, FETCHES_BURST, self._clock)
        self._kept: dict[str, tuple[Trusted, float]] = {}
        self._failed: dict[str, float] = {}
        self._under_way: dict[str, asyncio.Task[Refused | None]] = {}

    def known(self, url: str, now_us: int) -> Trusted | None:
        """The key behind ``url`` when it is here, still fresh and in its time."""
        kept = self._kept.get(url)
        if kept is None or kept[1] < self._clock.monotonic():
            return None
        trusted = kept[0]
        return trusted if trusted.not_before_us <= now_us <= trusted.not_after_us else None

    def errand(self, url: str, accept: Callable[[bytes], Trusted], status: int) -> Errand:
        """Fetch the certificate at ``url``, which the kind has found to be one of its sender's, and keep the key that
        ``accept`` finds in it. ``accept`` raises ``ValueError`` for a certificate that is not to be trusted.

        It ends with ``Refused``: ``UNAUTH`` ``cert_refused``; ``DOWNSTREAM_UNAVAILABLE`` ``cert_unreachable`` or
        ``cert_busy``, after which a sender may try again.
        """
        return Errand(run=partial(self._run, url, accept, status))

    def confirm(self, url: str) -> Errand:
        """Ask ``url`` once and see that it says 2xx. The kind has verified the request that named it."""
        return Errand(run=partial(self._confirm, url))

    async def _confirm(self, url: str) -> None:
        self._take()
        try:
            status, _ = await self._fetch(url, CERTIFICATE_CAP_BYTES)
        except Unreachable:
            raise Refused(Reason.DOWNSTREAM_UNAVAILABLE, "confirm_unreachable", retry_after_s=5.0) from None
        if not 200 <= status < 300:
            raise Refused(Reason.DOWNSTREAM_UNAVAILABLE, "confirm_refused", retry_after_s=5.0)

    async def _run(self, url: str, accept: Callable[[bytes], Trusted], status: int) -> None:
        failed = self._failed.get(url)
        if failed is not None and failed > self._clock.monotonic():
            raise Refused(Reason.UNAUTH, "cert_refused", status=status)
        task = self._under_way.get(url)
        if task is None:
            self._take()
            task = asyncio.get_running_loop().create_task(self._load(url, accept, status))
            self._under_way[url] = task
            task.add_done_callback(lambda _: self._under_way.pop(url, None))
        # Shielded: several requests may wait for the same certificate, and one of them may go away.
        refused = await asyncio.shield(task)
        if refused is not None:
            raise Refused(refused.reason, refused.detail, status=refused.status, retry_after_s=refused.retry_after_s)

    def _take(self) -> None:
        wait_s = self._bucket.take()
        if wait_s:
            raise Refused(Reason.DOWNSTREAM_UNAVAILABLE, "cert_busy", retry_after_s=wait_s)

    async def _load(self, url: str, accept: Callable[[bytes], Trusted], status: int) -> Refused | None:
        try:
            code, body = await self._fetch(url, CERTIFICATE_CAP_BYTES)
        except Unreachable:
            return Refused(Reason.DOWNSTREAM_UNAVAILABLE, "cert_unreachable", retry_after_s=5.0)
        if code >= 500:
            return Refused(Reason.DOWNSTREAM_UNAVAILABLE, "cert_unreachable", retry_after_s=5.0)
        now = self._clock.monotonic()
        try:
            if code != 200:
                raise ValueError(f"the address answers {code}")
            trusted = accept(body)
        except (ValueError, UnsupportedAlgorithm):
            _put(self._failed, url, now + FAILURE_KEPT_S)
            return Refused(Reason.UNAUTH, "cert_refused", status=status)
        _put(self._kept, url, (trusted, now + KEPT_S))
        return None


def _put(kept: dict[str, Any], url: str, value: Any) -> None:
    kept.pop(url, None)
    if len(kept) >= KEPT_CAP:
        del kept[next(iter(kept))]
    kept[url] = value
