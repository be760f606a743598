"""Check the chain of a snapshot and the journal that it sealed, without making an export of it first."""

from __future__ import annotations

from collections import Counter, defaultdict

import msgspec

from rco.audit.link import GENESIS, leaf_digest, link_hash
from rco.kit.digest import DIGEST_BYTES
from rco.store.contract.snapshot import Snapshot
from rco.store.contract.writer import Seal

__all__ = ["ChainCheck", "check_chain", "check_chains"]

PAGE_SEALS = 64
PROBLEMS_MAX = 20


class ChainCheck(msgspec.Struct, frozen=True, kw_only=True):
    """``first`` to ``last`` were looked at; ``problems`` is empty when they hold."""

    first: int
    last: int
    head: str
    links: int
    segments: int
    problems: tuple[str, ...] = ()
    chain: str = ""


def check_chains(snapshot: Snapshot, newest: int) -> list[ChainCheck]:
    """The ``newest`` links of each chain, see ``check_chain``; that a chain ends before its head is a problem too."""
    found = []
    for chain in snapshot.chains():
        head = snapshot.head(chain)
        if head is None:
            continue
        checked = check_chain(snapshot, first_n=max(1, head.n - newest + 1), chain=chain)
        if not checked.problems and checked.last != head.n:
            problem = f"the chain ends at link {checked.last}, its head is {head.n}"
            checked = msgspec.structs.replace(checked, problems=(problem,))
        found.append(checked)
    return found


def check_chain(snapshot: Snapshot, *, first_n: int = 1, chain: str = "") -> ChainCheck:
    """Every link from ``first_n`` to the head of a chain, each journal segment in its link, no link without its own.

    Blocks; holds a page in memory. Stops after ``PROBLEMS_MAX`` problems. Raises nothing for what it finds.
    """
    problems: list[str] = []
    trimmed = snapshot.trimmed().get(chain, 0)
    before: Seal | None = None
    first = links = segments = 0
    while len(problems) < PROBLEMS_MAX:
        page = snapshot.seals(first_n if before is None else before.n + 1, PAGE_SEALS, chain)
        if not page:
            break
        written: dict[int, Counter[bytes]] = defaultdict(Counter)
        for segment in snapshot.segments(page[0].n, page[-1].n, chain):
            written[segment.n][leaf_digest(segment.run_id, segment.first_seq, segment.data)] += 1
            segments += 1
        for seal in page:
            first = first or seal.n
            links += 1
            problems += _link(seal, before)
            leaves = Counter(seal.leaves[at : at + DIGEST_BYTES] for at in range(0, len(seal.leaves), DIGEST_BYTES))
            # What retention removed is missing; what is there must be what was sealed.
            missing = (leaves - written[seal.n]).total() if seal.n > trimmed else 0
            if missing or written[seal.n] - leaves:
                problems.append(f"link {seal.n}: the journal is not what was sealed")
            before = seal
    return ChainCheck(
        first=first,
        last=before.n if before is not None else 0,
        head=(before.hash if before is not None else GENESIS).hex(),
        links=links,
        segments=segments,
        problems=tuple(problems[:PROBLEMS_MAX]),
        chain=chain,
    )


def _link(seal: Seal, before: Seal | None) -> list[str]:
    found: list[str] = []
    if before is None:
        if seal.n == 1 and seal.prev != GENESIS:
            found.append("link 1 names one before it")
    else:
        if seal.n != before.n + 1 or seal.prev != before.hash:
            found.append(f"link {seal.n} does not follow link {before.n}")
        if seal.epoch < before.epoch:
            found.append(f"link {seal.n}: epoch {seal.epoch} after {before.epoch}")
    try:
        given = link_hash(
            prev=seal.prev,
            writer=seal.writer,
            n=seal.n,
            epoch=seal.epoch,
            at_us=seal.at_us,
            leaves=seal.leaves,
            decisions=seal.decisions,
        )
    except ValueError as problem:
        return [*found, f"link {seal.n} cannot be hashed: {problem}"]
    if given != seal.hash:
        found.append(f"link {seal.n}: its contents do not give its hash")
    return found
