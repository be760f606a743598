"""What a checkpoint of a cut chain tells the checker: where it begins, and under which leases it was written before."""

from __future__ import annotations

from typing import Any

import msgspec

from rco.verify.case import Case
from rco.verify.lines import Link
from rco.verify.options import Options

RUN = "01900000-0000-7000-8000-00000000000c"
"""Of shard 12."""


def link(chain: str, n: int, prev: str, *decisions: dict[str, Any]) -> Link:
    return Link(
        n=n,
        writer=chain,
        epoch=1,
        at_us=n,
        prev=prev,
        hash=f"{n:064x}",
        leaves=[],
        decisions=msgspec.json.encode(list(decisions)).decode(),
        chain=chain,
    )


def checkpoint(**facts: Any) -> dict[str, Any]:
    return {"verb": "checkpoint", "at_us": 9, "subject": "evidence", "facts": facts}


def case(*links: Link) -> Case:
    made = Case(Options(), None, None, None)
    for one in links:
        made.take_link(one)
    return made


def test_a_cut_chain_is_known_by_its_checkpoint_in_another() -> None:
    left = link("a/0", 257, "ab" * 32)
    said = checkpoint(chain="a/0", last=256, hash="ab" * 32, links=256, until_us=50, leases="12:3:7 v1/13:4:8")
    found = case(left, link("operator/0", 1, "00" * 32, said))
    assert found.checkpoints.unexplained() == []
    assert found.checkpoints.links == 256
    # The lease that a removed link had told, of the shard and of that of a pool.
    tenure = found.owners.tenure("a/0", 257, RUN)
    assert tenure is not None
    assert (tenure.node, tenure.epoch, tenure.since_us) == ("a", 3, 7)
    pooled = found.owners.tenure("a/0", 257, RUN[:-1] + "d", "v1")
    assert pooled is not None
    assert (pooled.epoch, pooled.since_us) == (4, 8)
    assert found.begun_before_cut(50)
    assert not found.begun_before_cut(51)


def test_a_checkpoint_that_does_not_fit_explains_nothing() -> None:
    left = link("a/0", 257, "ab" * 32)
    for wrong in (
        checkpoint(chain="a/0", last=256, hash="cd" * 32, links=256),
        checkpoint(chain="a/0", last=255, hash="ab" * 32, links=255),
        checkpoint(chain="b/0", last=256, hash="ab" * 32, links=256),
        checkpoint(chain="a/0", last="many", hash="ab" * 32),
        {"verb": "checkpoint", "at_us": 1, "facts": None},
    ):
        found = case(left, link("operator/0", 1, "00" * 32, wrong))
        assert len(found.checkpoints.unexplained()) == 1, wrong
    assert case(link("a/0", 1, "00" * 32)).checkpoints.unexplained() == []
