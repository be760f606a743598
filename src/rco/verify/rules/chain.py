"""(h) The audit chain verifies, and the journal is the one that it sealed."""

from __future__ import annotations

from collections import Counter

import msgspec

from rco.verify.case import Case, Run
from rco.verify.digests import bytes_address, heads_hash, leaf_digest, link_hash
from rco.verify.lines import End, Header, Link, RecordLine, SegmentLine
from rco.verify.records import KINDS, split
from rco.verify.verdict import Findings, Result, RuleVerdict

__all__ = ["Chain"]

TITLE = "the chain verifies and matches the journal"
_ENCRYPTED = b"\xffRC1"
_GENESIS = "00" * 32


class Chain:
    """Computes every link anew; a segment's digest too, where its bytes are in the export."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._found = Findings()
        self._last: dict[str, Link] = {}
        self._links = self._recomputed = self._segments = 0
        self._leaves: dict[tuple[str, int], Counter[str]] = {}
        self._noted = case.options.link is None
        self._ended = False

    # -- links -----------------------------------------------------------------------------------------------------

    def take_link(self, link: Link) -> None:
        found, last = self._found, self._last.get(link.chain)
        self._links += 1
        self._leaves[link.chain, link.n] = Counter(link.leaves)
        of = f" of {link.chain}" if link.chain else ""
        if link.chain and link.writer != link.chain:
            found.add(f"link {link.n}{of} was written by {link.writer}")
        if last is None:
            if link.n == 1 and link.prev != _GENESIS:
                found.add(f"link 1{of} is the first of all, but names one before it")
        else:
            if link.n != last.n + 1:
                found.add(f"link {link.n}{of} follows link {last.n}")
            if link.prev != last.hash:
                found.add(f"link {link.n}{of} does not carry the hash of link {last.n}")
            if link.epoch < last.epoch:
                found.add(f"link {link.n}{of} has epoch {link.epoch}, after epoch {last.epoch}")
        try:
            given = link_hash(
                prev=link.prev,
                writer=link.writer,
                n=link.n,
                epoch=link.epoch,
                at_us=link.at_us,
                leaves=link.leaves,
                decisions=link.decisions,
            )
        except (ValueError, OverflowError) as problem:
            found.add(f"link {link.n}{of} cannot be hashed: {problem}")
        else:
            if given != link.hash:
                found.add(f"link {link.n}{of} says its hash is {link.hash[:64]}, its contents give {given}")
        noted, chain = self._case.options.link, self._case.options.link_chain
        if noted is not None and (chain, noted[0]) == (link.chain, link.n):
            self._noted = True
            if noted[1].lower() != link.hash:
                found.add(f"link {link.n}{of} is not the one that was noted outside: {link.hash[:64]}")
        self._last[link.chain] = link

    # -- runs ------------------------------------------------------------------------------------------------------

    def take(self, run: Run) -> None:
        for segment in run.segments:
            self._segments += 1
            open_leaves = self._leaves.get((segment.chain, segment.n))
            name = f"segment {segment.first_seq} of {run.name}"
            if open_leaves is None or not open_leaves[segment.leaf]:
                self._found.add(f"{name} is not among what link {segment.n} sealed")
            else:
                open_leaves[segment.leaf] -= 1
            if segment.data is not None:
                self._bytes(run, segment, name)
        for what in run.broken:
            self._found.add(f"{run.name}: {what}")
        if not self._case.gone(run):
            self._decided(run)

    def _bytes(self, run: Run, segment: SegmentLine, name: str) -> None:
        assert segment.data is not None
        self._recomputed += 1
        try:
            given = leaf_digest(segment.run, segment.first_seq, segment.data)
        except (ValueError, OverflowError) as problem:
            self._found.add(f"{name} cannot be hashed: {problem}")
            return
        if given != segment.leaf:
            self._found.add(f"{name} says its digest is {segment.leaf[:64]}, its bytes give {given}")
        if segment.encrypted:
            if not segment.data.startswith(_ENCRYPTED):
                self._found.add(f"{name} is said to be encrypted, and its bytes are not")
            return
        try:
            sealed = _records(segment.data)
        except (ValueError, msgspec.DecodeError) as problem:
            self._found.add(f"{name} cannot be decoded: {problem}")
            return
        for one in segment.payloads:
            kept = bytes_address(one.data)
            if kept != one.b3:
                self._found.add(f"payload {one.name[:64]} of {name} says {one.b3[:67]}, its bytes give {kept}")
            elif not _refers(segment.data, one.name, kept):
                self._found.add(f"payload {one.name[:64]} is not what {name} refers to")
        first, last = segment.first_seq, segment.first_seq + segment.records
        shown = [_identity(record) for record in run.records if first <= record.seq < last]
        if shown != sealed:
            self._found.add(f"{name} was sealed with other records than the export shows")

    def _decided(self, run: Run) -> None:
        """A start and a close each leave one decision; a run ended by force leaves that of the command instead."""
        verbs = Counter(self._case.decided.get(run.line.id, ()))
        closes = 0 if run.line.outcome in (None, "terminated") else 1
        for verb, expected in (("start", 1), ("close", closes)):
            if verbs[verb] != expected:
                self._found.add(f"{run.name}: the chain holds {verbs[verb]} decisions to {verb}, expected {expected}")

    # -- the end ---------------------------------------------------------------------------------------------------

    def take_end(self, end: End, counted: End) -> None:
        self._ended = True
        if end != counted:
            self._found.add(f"the export says that it holds {_told(end)}; it holds {_told(counted)}")

    def finish(self) -> RuleVerdict:
        found, header = self._found, self._case.header
        if not self._ended:
            found.add("the export has no last line: it is cut")
        for what in self._case.checkpoints.unexplained():
            found.add(what)
        removed = self._absent()
        if header is not None:
            self._heads(header)
        if not self._noted and self._case.options.link is not None:
            found.add(f"link {self._case.options.link[0]}, noted outside, is not in the export")
        evidence = f"{self._links} links computed anew, {self._segments} segments in them"
        if len(self._last) > 1:
            evidence = f"{len(self._last)} chains, {evidence}"
        if removed:
            evidence += f", {removed} removed by retention as the chain says"
        if self._case.checkpoints.links:
            evidence += f", behind a checkpoint: {self._case.checkpoints.links} links before them removed by retention"
        if self._links == 0:
            return found.verdict("h", TITLE, Result.NOT_APPLICABLE, "the chain is empty")
        if self._recomputed < self._segments:
            evidence += (
                f"; the bytes of {self._segments - self._recomputed} are not in the export (rco export --payloads)"
            )
            return found.verdict("h", TITLE, Result.UNKNOWN, evidence)
        return found.verdict("h", TITLE, Result.PASS, evidence)

    def _absent(self) -> int:
        """How many segments retention removed. More than the chain says, or others, is a finding."""
        absent: Counter[str] = Counter()
        trims = self._case.trims
        for (chain, n), leaves in self._leaves.items():
            if n > trims.last_n[chain]:
                if leaves.total():
                    where = f"link {n} of {chain}" if chain else f"link {n}"
                    self._found.add(f"{leaves.total()} segments that {where} sealed are not in the export")
            else:
                absent[chain] += leaves.total()
        for chain, count in absent.items():
            if count > trims.segments[chain]:
                self._found.add(
                    f"{count} segments that the chain {chain} sealed are not in the export; retention removed "
                    f"{trims.segments[chain]}"
                )
        return absent.total()

    def _heads(self, header: Header) -> None:
        """The ends of the chains are those that the header names."""
        named = {one.chain: (one.n, one.hash) for one in header.chains if one.n}
        if not header.chains and header.head.n:
            named = {"": (header.head.n, header.head.hash)}
        ends = {chain: (last.n, last.hash) for chain, last in self._last.items()}
        for chain in sorted(named.keys() | ends.keys()):
            if ends.get(chain) != named.get(chain):
                of = f" of chain {chain}" if chain else ""
                n, hash = ends.get(chain, (0, _GENESIS))
                said = named.get(chain, (0, _GENESIS))[0]
                self._found.add(f"the export ends at link {n}{of} ({hash[:64]}), its header says {said}")
        if self.head != header.head.hash:
            self._found.add(f"the header says that the head is {header.head.hash[:64]}, the chains give {self.head}")

    @property
    def head(self) -> str:
        """Of one chain the hash of its last link, of several one hash over them."""
        if len(self._last) > 1:
            return heads_hash((chain, self._last[chain].hash) for chain in sorted(self._last))
        return next((last.hash for last in self._last.values()), _GENESIS)


def _refers(data: bytes, name: str, address: str) -> bool:
    """Whether a reference to this payload stands in a segment: its object's name with the digest behind."""
    try:
        return bytes.fromhex(name + address.removeprefix("b3:")) in data
    except ValueError:
        return False


def _records(data: bytes) -> list[tuple[str, str, int, str]]:
    """What identifies the records of a segment."""
    return [(KINDS.get(kind, f"KIND_{kind}"), key, at_us, fp.hex()) for kind, key, at_us, fp, _ in split(data)]


def _identity(record: RecordLine) -> tuple[str, str, int, str]:
    return record.kind, record.key, record.at_us, record.fp


def _told(end: End) -> str:
    return f"{end.runs} runs, {end.segments} segments, {end.records} records, {end.messages} unread, {end.links} links"
