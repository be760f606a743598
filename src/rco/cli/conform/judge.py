"""Sends every vector and judges the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from rco.cli.conform.cases import Case, Shot, shots
from rco.cli.conform.instance import running
from rco.cli.conform.wire import Said, send
from rco.kit.clock import SystemClock

__all__ = ["Verdict", "conform"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one vector met. ``right`` is ``None`` when it was not sent, and ``why`` says why."""

    provider: str
    vector: str
    good: bool
    right: bool | None
    expected: str
    got: str
    why: str = ""


async def conform(cases: list[Case], url: str | None) -> AsyncIterator[Verdict]:
    """Put every vector to the instance at ``url``, or to one of its own for each provider. Raises ``Unreachable``."""
    for case in cases:
        if url is not None:
            for shot in shots(case, SystemClock().now_us()):
                yield await _put(url, shot)
            continue
        async with running(case) as own:
            for shot in shots(case, None):
                yield await _put(own, shot)


async def _put(url: str, shot: Shot) -> Verdict:
    expected = f"{shot.status}" if shot.good else f"{shot.status} {shot.reason}"
    if shot.skipped:
        return Verdict(
            provider=shot.provider,
            vector=shot.name,
            good=shot.good,
            right=None,
            expected=expected,
            got="",
            why=shot.skipped,
        )
    said = await send(url, f"/webhooks/{shot.provider}", shot.headers, shot.body)
    why = _fault(shot, said)
    return Verdict(
        provider=shot.provider,
        vector=shot.name,
        good=shot.good,
        right=not why,
        expected=expected,
        got=f"{said.status} {_reason(said)}".strip(),
        why=why,
    )


def _fault(shot: Shot, said: Said) -> str:
    if said.status != shot.status:
        if said.status == 404 and _reason(said) == "NOT_FOUND":
            return f"no provider is called {shot.provider} there; rco interop config prints it"
        return "accepted" if said.status < 300 and not shot.good else "another status"
    if not shot.good:
        return "" if _reason(said) == shot.reason else "another reason"
    if shot.answer is not None:
        return "" if said.body == shot.answer.encode() else "another answer"
    if shot.status == 202 and not said.body.startswith(b'{"accepted":true'):
        return "it does not say that it accepted"
    return ""


def _reason(said: Said) -> str:
    try:
        found = msgspec.json.decode(said.body)
    except msgspec.DecodeError:
        return ""
    reason = found.get("reason", "") if isinstance(found, dict) else ""
    return reason if isinstance(reason, str) and len(reason) <= 64 else ""
