"""What a check of evidence found."""

from __future__ import annotations

import msgspec

from rco.errors import EvidenceBroken

__all__ = ["MAX_PROBLEMS", "Begin", "Problem", "Verdict"]

MAX_PROBLEMS = 100
"""A check stops after this many."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is not as it must be. ``line`` counts from 1, and is 0 for the export as a whole."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}" if self.line else self.what


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """A chain that begins at link ``first``. ``checkpoint``: a link of this export says that retention removed what
    stands before it, up to the very hash that the first link carries. Otherwise that is taken on trust."""

    chain: str
    first: int
    checkpoint: bool
    removed: int = 0
    """How many links went, as the checkpoints that are in this export say."""
    at_us: int | None = None
    """When the checkpoint was sealed."""

    def __str__(self) -> str:
        of = f"chain {self.chain} " if self.chain else ""
        if self.checkpoint:
            return f"{of}at link {self.first}, behind a checkpoint: retention removed what stood before it"
        return f"{of}begins at link {self.first}; what stands before it is taken on trust"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked and what was wrong with it."""

    ok: bool
    first: int
    """Number of the first link; 0 when there is none."""
    last: int
    head: str
    """Hash of the last link, hexadecimal: compare it with one you noted elsewhere."""
    links: int
    decisions: int
    segments: int
    """Journal segments in the export whose digest is in their link."""
    absent: int
    """Leaves whose segment is not in this export: left out, of another run, or removed by retention."""
    run: str | None
    anchored: bool
    """Whether it begins at the first link of all. Otherwise what stands before the first is taken on trust."""
    head_expected: bool
    """Whether the head was compared with one that did not come from the export itself."""
    problems: tuple[Problem, ...] = ()
    begins: tuple[Begin, ...] = ()
    """Of each chain that does not begin at its first link: where it does, and on what ground."""
    dropped: int | None = None
    """Decisions that a sink's queue lost, as its records say; ``None`` for an export."""

    def must_hold(self) -> None:
        """Raises ``EvidenceBroken`` with the first problem unless all is well."""
        if not self.ok:
            raise EvidenceBroken(f"{self.problems[0]} ({len(self.problems)} problem(s) in all)")

    def text(self) -> str:
        """The verdict for people: problems first, then what was checked and what that does not prove."""
        lines = [str(problem) for problem in self.problems]
        if len(lines) >= MAX_PROBLEMS:
            lines.append(f"stopped after {MAX_PROBLEMS} problems")
        lines.append("verified" if self.ok else "NOT verified")
        lines.append(f"  links      {self.links} ({self.first} to {self.last}), head {self.head}")
        lines.append(f"  decisions  {self.decisions}")
        if self.dropped is not None:
            lines.append(f"  dropped    {self.dropped}, as the records say")
        else:
            lines.append(f"  segments   {self.segments} in their links, {self.absent} not in this export")
        if self.run is not None:
            lines.append(f"  run        {self.run}")
        lines += [f"  begins     {one}" for one in self.begins if one.checkpoint]
        trusted = [one for one in self.begins if not one.checkpoint]
        lines += [f"  note: {one}" for one in trusted]
        if not self.anchored and not self.begins:
            lines.append(f"  note: begins at link {self.first}; what stands before it is taken on trust")
        if not self.head_expected:
            lines.append("  note: the head is the export's own word; give --expect-head to rule out a shortened chain")
        return "\n".join(lines) + "\n"
