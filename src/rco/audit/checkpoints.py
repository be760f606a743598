"""Checkpoints: links that say up to where a chain was cut, and whether what is left begins where they say."""

from __future__ import annotations

from typing import Any

import msgspec

from rco.audit.lines import SealLine
from rco.audit.verdict import Begin

__all__ = ["Checkpoints"]

_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode
_MARK = b'"verb":"checkpoint"'


class _Said(msgspec.Struct, frozen=True):
    last: int
    hash: str
    links: int
    at_us: int


class Checkpoints:
    """Takes links, then answers. Holds what each checkpoint says and the first link of each chain, no more."""

    def __init__(self) -> None:
        self._said: dict[str, list[_Said]] = {}
        self._first: dict[str, SealLine] = {}

    def begin(self, chain: str, seal: SealLine) -> None:
        """The chain begins with this link."""
        self._first.setdefault(chain, seal)

    def take(self, seal: SealLine) -> None:
        """Read what the link says; one that cannot be read says nothing."""
        if _MARK not in bytes(seal.decisions):
            return
        try:
            decisions = _decode(seal.decisions)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return
        for one in decisions:
            facts = one.get("facts")
            if one.get("verb") != "checkpoint" or not isinstance(facts, dict):
                continue
            last, links, at_us = (_number(value) for value in (facts.get("last"), facts.get("links"), one.get("at_us")))
            said = _Said(last, str(facts.get("hash")), links, at_us)
            self._said.setdefault(str(facts.get("chain", "")), []).append(said)

    def wrong(self) -> list[str]:
        """What contradicts itself: a checkpoint of the link before the first, with another hash than that carries."""
        return [
            f"link {seal.n}{_of(chain)} carries the hash {seal.prev[:64]}, but the checkpoint of link {one.last} says "
            f"that its hash was {one.hash[:64]}"
            for chain, seal in sorted(self._first.items())
            for one in self._said.get(chain, ())
            if one.last == seal.n - 1 and one.hash != seal.prev
        ]

    def begins(self) -> tuple[Begin, ...]:
        """Of each chain that begins later than at link 1: where, and on what ground."""
        found = []
        for chain, seal in sorted(self._first.items()):
            if seal.n <= 1:
                continue
            said = self._said.get(chain, [])
            fits = next((one for one in said if (one.last, one.hash) == (seal.n - 1, seal.prev)), None)
            found.append(
                Begin(
                    chain=chain,
                    first=seal.n,
                    checkpoint=fits is not None,
                    removed=sum(one.links for one in said if one.last < seal.n),
                    at_us=None if fits is None else fits.at_us,
                )
            )
        return tuple(found)


def _number(value: Any) -> int:
    return value if type(value) is int else 0


def _of(chain: str) -> str:
    return f" of chain {chain}" if chain else ""
