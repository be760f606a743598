"""History rewound: a database that lost commits which it had acknowledged."""

from __future__ import annotations

import msgspec

__all__ = ["Rewind"]


class Rewind(msgspec.Struct, frozen=True, kw_only=True):
    """What a node noticed: its ``chain`` stood at link ``known_n``, and the database has it at ``found_n``.

    Nobody owns ``shards`` until an operator accepts what was lost.
    """

    chain: str
    node: str
    at_us: int
    known_n: int
    found_n: int
    shards: tuple[int, ...]

    @property
    def said(self) -> str:
        """One line for a log or an error."""
        return (
            f"history was rewound: chain {self.chain} stands at link {self.found_n}, this node wrote {self.known_n}; "
            f"{len(self.shards)} shards stand still"
        )

    @property
    def cure(self) -> str:
        return (
            "The database lost commits that it had acknowledged (a fail-over to a standby that was behind, a restore). "
            "Compare with the targets, then: rco store accept --reason TEXT."
        )
