"""The chain: each commit adds one link, and each link carries the hash of the one before.

``ChainSealer`` is poured into the keeper, which calls it inside the commit. It keeps no state of its own: what comes
before is an argument, so that a commit that was rolled back leaves nothing to undo.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rco.audit.link import leaf_digest, link_hash
from rco.model.decision import Decision
from rco.store.contract.writer import Seal

__all__ = ["ChainSealer", "decisions_json"]

# Keys of a decision are ASCII names and its values strings, integers and booleans; for these, sorting is all that
# RFC 8785 asks of msgspec, and a walk over every decision is saved. Everything else goes through ``_plainly``.
_encode = msgspec.json.Encoder(order="sorted").encode


def _plainly(decision: Decision) -> Decision:
    """The decision with what may not be in it named by its type: no commit is lost for it, no payload gets in."""

    def text(value: str) -> str:
        return value.encode(errors="backslashreplace").decode()

    def fact(value: object) -> str | int | bool:
        if type(value) is str:
            return text(value)
        return value if isinstance(value, (bool, int)) and abs(value) < 1 << 53 else f"<{type(value).__name__}>"

    return Decision(
        verb=decision.verb,
        at_us=decision.at_us,
        allow=decision.allow,
        actor=text(decision.actor),
        subject=text(decision.subject),
        run=text(decision.run),
        event=text(decision.event),
        corr_id=text(decision.corr_id),
        reason=text(decision.reason),
        b3=decision.b3,
        facts={ascii(key)[1:-1]: fact(value) for key, value in decision.facts.items()},
    )


def _plain(values: Iterable[object]) -> bool:
    """Whether all are what a fact may be."""
    for value in values:
        kind = type(value)
        # In the order of how often: this is asked for every fact of every commit.
        if kind is str or kind is bool:
            continue
        if kind is not int or abs(value) >= 1 << 53:  # type: ignore[arg-type]
            return False
    return True


def decisions_json(decisions: list[Decision]) -> bytes:
    """The canonical JSON array (RFC 8785) of ``decisions``.

    A fact that is neither a string nor a boolean nor an integer below 2**53 is recorded as the name of its type, and
    text that has no UTF-8 form is escaped: evidence must not fail a commit.
    """
    for decision in decisions:
        facts = decision.facts
        if facts and not (_plain(facts.values()) and "".join(facts).isascii()):
            return _encode([_plainly(one) for one in decisions])
    try:
        return _encode(decisions)
    except (UnicodeEncodeError, TypeError):
        return _encode([_plainly(one) for one in decisions])


class ChainSealer:
    """Computes leaves and links. Implements ``rco.store.contract.writer.Sealer``; may be used from any thread."""

    __slots__ = ()

    # A plain alias: one call less for every segment of every commit.
    leaf = staticmethod(leaf_digest)

    def seal(
        self,
        *,
        writer: str,
        n: int,
        epoch: int,
        at_us: int,
        prev: bytes,
        leaves: bytes,
        decisions: list[Decision],
    ) -> Seal:
        """The next link. ``prev`` is the hash of the link before, ``rco.audit.link.GENESIS`` for the first.

        Raises ``ValueError`` when ``prev`` is not a digest or ``leaves`` are not whole digests.
        """
        packed = decisions_json(decisions)
        return Seal(
            writer=writer,
            n=n,
            epoch=epoch,
            at_us=at_us,
            prev=prev,
            leaves=leaves,
            decisions=packed,
            hash=link_hash(prev=prev, writer=writer, n=n, epoch=epoch, at_us=at_us, leaves=leaves, decisions=packed),
        )
