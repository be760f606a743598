"""Health: is the process alive, may it be sent work, has it started, which version is it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import msgspec

from rco.errors import Reason, Refused
from rco.server.envelope import send_json, send_refusal
from rco.server.framing import Send

__all__ = ["READINESS_KEYS", "Health", "ReadyCheck"]

READINESS_KEYS = (
    "listener_bound",
    "metrics_bound",
    "policy_loaded",
    "queues_within_limits",
    "store_writable",
)
"""What a service answers for at least. More keys may be poured in."""

ReadyCheck = Callable[[], bool]
_encode = msgspec.json.Encoder().encode
_NO_STORE = ((b"cache-control", b"no-store"),)
_READ_METHODS = ("GET", "HEAD")


class Health:
    """Answers ``/healthz``, ``/readyz``, ``/startupz`` and ``/version``.

    ``checks`` are asked at each ``/readyz`` and must be quick; one that raises counts as not ready. ``/startupz`` is
    503 until every check has held once, and 200 for ever after: being ready later is another question. Both answer
    ``{degraded, missing, retry_after}``.
    """

    __slots__ = ("_checks", "_retry_after_s", "_started", "_version")

    def __init__(
        self, *, checks: Mapping[str, ReadyCheck], version: Mapping[str, str], retry_after_s: float = 5.0
    ) -> None:
        self._checks = dict(checks)
        self._version = _encode(dict(version))
        self._retry_after_s = max(1, math.ceil(retry_after_s))
        self._started = False

    PATHS = frozenset(("/healthz", "/readyz", "/startupz", "/version"))

    def missing(self) -> list[str]:
        """The readiness keys that do not hold now, in the order in which they were given."""
        missing = []
        for key, check in self._checks.items():
            try:
                holds = check()
            except Exception:  # noqa: BLE001  (a check that cannot tell has not said yes)
                holds = False
            if not holds:
                missing.append(key)
        if not missing:
            self._started = True
        return missing

    async def __call__(self, path: str, method: str, send: Send, corr_id: str) -> int:
        """Answer one of ``PATHS``; returns the status that was sent."""
        if method not in _READ_METHODS:
            await send_refusal(send, Refused(Reason.METHOD, "method"), corr_id, allow=b"GET, HEAD")
            return Reason.METHOD.status
        status, body = self._answer(path)
        extra: tuple[tuple[bytes, bytes], ...] = _NO_STORE
        if status == 503:
            extra = (*_NO_STORE, (b"retry-after", b"%d" % self._retry_after_s))
        await send_json(send, status, b"" if method == "HEAD" else body, corr_id, extra)
        return status

    def _answer(self, path: str) -> tuple[int, bytes]:
        if path == "/healthz":
            return 200, b'{"status":"alive"}'
        if path == "/version":
            return 200, self._version
        missing = self.missing()
        holds = self._started if path == "/startupz" else not missing
        retry_after = 0 if holds else self._retry_after_s
        body = _encode({"degraded": bool(missing), "missing": missing, "retry_after": retry_after})
        return (200 if holds else 503), body
