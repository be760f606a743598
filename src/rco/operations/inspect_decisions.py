"""Look at decisions: the records of the audit chain, one by one."""

from __future__ import annotations

import msgspec

from rco.errors import Misuse, Reason, Refused
from rco.model.decision import Decision, Verb
from rco.model.principal import Principal, Role
from rco.operations.access import require
from rco.operations.desk import Desk

__all__ = ["LINKS_MAX", "PAGE_MAX", "Decided", "DecisionFilter", "page_of_decisions"]

PAGE_MAX = 500
LINKS_PAGE = 64
LINKS_MAX = 4_096
"""How many links one page looks at: where few decisions fit a filter, it ends with what it has found."""
_decode = msgspec.json.Decoder(list[Decision]).decode


class Decided(msgspec.Struct, frozen=True):
    """A decision, and where it stands: the link ``n`` of ``chain``, its place within."""

    chain: str
    n: int
    place: int
    decision: Decision

    @property
    def mark(self) -> str:
        """What ``after`` would be to go on behind it."""
        return f"{self.n}-{self.place}"


class DecisionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which decisions. ``chain``: its name where there are several."""

    verb: Verb | None = None
    run: str | None = None
    corr_id: str | None = None
    allow: bool | None = None
    chain: str = ""
    after: str | None = None
    limit: int = 50

    def fits(self, decision: Decision) -> bool:
        return (
            self.verb in (None, decision.verb)
            and self.run in (None, decision.run)
            and self.corr_id in (None, decision.corr_id)
            and self.allow in (None, decision.allow)
        )


async def page_of_decisions(
    desk: Desk, principal: Principal, where: DecisionFilter
) -> tuple[list[Decided], str | None]:
    """One page, newest first, and what ``after`` is to go on, or ``None`` at the end.

    A page looks at ``LINKS_MAX`` links at most, so one that is short, or empty, need not be the last. Needs the
    administrator's role: the chain spans namespaces. Raises ``Refused`` for an ``after`` that never was one, and
    ``Misuse`` when there are several chains and none was named.
    """
    require(principal, Role.ADMIN)
    chains = await desk.reader.chains()
    if not where.chain and len(chains) > 1:
        raise Misuse("there are several chains.", cure=f"Name one: {', '.join(chains[:20])}.")
    if where.chain and where.chain not in chains:
        return [], None
    limit = max(1, min(where.limit, PAGE_MAX))
    head = await desk.reader.head(where.chain)
    if head is None:
        return [], None
    last_n, before = (head.n, None) if where.after is None else _mark(where.after)
    found: list[Decided] = []
    looked = 0
    while last_n >= 1 and looked < LINKS_MAX:
        first_n = max(1, last_n - LINKS_PAGE + 1)
        for seal in reversed(await desk.reader.seals(first_n, last_n - first_n + 1, where.chain)):
            for place, decision in reversed(list(enumerate(_decode(seal.decisions)))):
                if (before is not None and seal.n == last_n and place >= before) or not where.fits(decision):
                    continue
                found.append(Decided(where.chain, seal.n, place, decision))
                if len(found) == limit:
                    return found, found[-1].mark
        looked += LINKS_PAGE
        last_n, before = first_n - 1, None
    return found, None if last_n < 1 else f"{last_n + 1}-0"


def _mark(text: str) -> tuple[int, int]:
    n, _, place = text.partition("-")
    if not all(part.isascii() and part.isdecimal() and len(part) < 19 for part in (n, place)):
        raise Refused(Reason.MALFORMED, "bad_cursor", "after: not the end of a page.")
    return int(n), int(place)
