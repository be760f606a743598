"""Check an export of evidence with nothing but the export: ``python -m rco.audit.verify FILE``.

Needs no service, no database and no configuration. It checks that every line is in its exact form, that links are
numbered without a gap, that each carries the hash of the one before, that each hash is what its contents give, that
epochs never go back, that every journal segment in the export is in the link of its commit, and that the export ends
where its header says.

What it cannot see by itself: whoever can rewrite the whole file can rewrite the header too, or cut links off the end
and write a header that fits, and even compute a whole new chain. Against that there is ``expect_head``: the hash of
the last link, noted outside the system at export time (in a ticket, in a mail, with a notary). A chain that gives the
same hash has the same contents, to the last bit. Where retention removed the beginning of a chain, a *checkpoint* in a
later link says up to which one, with its hash; the verdict says where a chain begins, and whether that is behind a
checkpoint or on trust. Segments that are not in the export are counted, as retention and the proof of a single run
leave them out; ``complete`` makes each of them a problem.
"""

from __future__ import annotations

import argparse
import hmac
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import error as StructError  # noqa: N812
from typing import BinaryIO

import msgspec

from rco.audit.checkpoints import Checkpoints
from rco.audit.lines import FORMAT, MAX_LINE_BYTES, ChainSpan, Header, JournalLine, SealLine, decode_line
from rco.audit.link import GENESIS, RUN_ID_BYTES, heads_hash, leaf_digest, link_hash
from rco.audit.verdict import MAX_PROBLEMS, Problem, Verdict
from rco.kit.digest import DIGEST_BYTES
from rco.kit.ids import id_bytes, id_text
from rco.model.journal import stored_records

__all__ = ["main", "read_lines", "verify"]

_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Check:
    """The state of one check: one link and the digests still open in it, so memory does not grow with the export."""

    def __init__(self, complete: bool) -> None:
        self.complete = complete
        self.problems: list[Problem] = []
        self.at = 0
        self.header: Header | None = None
        self.seal: SealLine | None = None
        self.seal_at = 0
        self.first = 0
        self.open: Counter[str] = Counter()
        self.matched: set[str] = set()
        self.links = self.decisions = self.segments = self.absent = 0
        self.next_seq: int | None = None
        self.spans: list[ChainSpan] = []
        """Chains whose links are still to come, the one being checked first; empty when there is only one."""
        self.heads: list[tuple[str, str]] = []
        self.anchored = True
        self.checkpoints = Checkpoints()
        self.pieces: list[tuple[int, int]] = []

    def wrong(self, what: str, at: int | None = None) -> None:
        self.problems.append(Problem(self.at if at is None else at, what))

    def take(self, raw: bytes) -> None:
        self.at += 1
        try:
            line = decode_line(raw)
        except ValueError as error:
            self.wrong(f"cannot be read: {error}")
            return
        if isinstance(line, Header):
            self.take_header(line)
        elif self.at == 1:
            self.wrong(f"the first line must be the header of a {FORMAT} export; is the beginning of the file missing?")
        elif isinstance(line, SealLine):
            self.take_seal(line)
        else:
            self.take_journal(line)

    def take_header(self, header: Header) -> None:
        if self.at != 1:
            self.wrong("a second header; two exports in one file are checked one by one")
        elif header.format != FORMAT:
            self.wrong(f"the format is {header.format[:40]!r}; this verifier knows {FORMAT}")
        elif header.first < 1 or header.last < header.first - 1:
            self.wrong(f"the header names links {header.first} to {header.last}, which is no range")
        elif header.last < header.first and header.head != GENESIS.hex():
            self.wrong(f"the header names no link but the head {header.head[:64]}")
        else:
            if header.run is not None:
                _identity(header.run, self)
            self.header = header
            if header.chains:
                self.take_spans(header)

    def take_spans(self, header: Header) -> None:
        """The header of several chains must not contradict itself."""
        names = [span.chain for span in header.chains]
        if len(names) < 2 or "" in names or names != sorted(set(names)):
            self.wrong("the header names chains twice, or out of order")
        if any(span.first < 1 or span.last < span.first - 1 for span in header.chains):
            self.wrong("the header names a range of links that is none")
        if header.first != 1 or header.last != sum(span.last - span.first + 1 for span in header.chains):
            self.wrong("the header counts other links than its chains have")
        self.spans = list(header.chains)

    def take_turn(self, seal: SealLine) -> None:
        """With several chains, see to it that the link belongs to the one that is being checked, or begin the next."""
        while len(self.spans) > 1 and seal.writer != self.spans[0].chain:
            self.finish_chain()
        if seal.writer != self.spans[0].chain:
            self.wrong(f"link {seal.n} of {seal.writer[:64]!r}, which is no chain of this export, or stands too late")

    def finish_chain(self) -> None:
        """The links of one chain of several are all there."""
        self.finish_seal()
        span = self.spans.pop(0)
        last_n = self.seal.n if self.seal else span.first - 1
        head = self.seal.hash if self.seal else GENESIS.hex()
        if last_n != span.last:
            self.wrong(
                f"chain {span.chain} ends at link {last_n}, but the header says {span.last}: "
                f"{_gap(last_n, span.last + 1)}",
                0,
            )
        elif head != span.head:
            self.wrong(f"chain {span.chain} ends with the hash {head[:64]}, but the header says {span.head[:64]}", 0)
        self.heads.append((span.chain, head))
        self.anchored = self.anchored and span.first <= 1
        self.seal, self.open, self.matched = None, Counter(), set()

    def take_seal(self, seal: SealLine) -> None:
        if self.spans:
            self.take_turn(seal)
        self.finish_seal()
        before = self.seal
        self.checkpoints.take(seal)
        if before is None:
            self.checkpoints.begin(self.spans[0].chain if self.spans else "", seal)
            self.first = seal.n
            first = self.spans[0].first if self.spans else self.header.first if self.header else seal.n
            if seal.n != first:
                self.wrong(f"begins at link {seal.n}, but the header says {first}")
            if seal.n == 1 and seal.prev != GENESIS.hex():
                self.wrong(f"link 1 is the first of all, but names a link before it: prev is {seal.prev[:64]}")
        else:
            if seal.n != before.n + 1:
                self.wrong(f"link {seal.n} follows link {before.n}: {_gap(before.n, seal.n)}")
            if seal.prev != before.hash:
                self.wrong(
                    f"link {seal.n}: prev is {seal.prev[:64]}, but link {before.n} on line {self.seal_at} "
                    f"has the hash {before.hash[:64]}"
                )
            if seal.epoch < before.epoch:
                self.wrong(f"link {seal.n}: epoch {seal.epoch} after epoch {before.epoch}; epochs never go back")
        self.check_hash(seal)
        self.seal, self.seal_at = seal, self.at
        self.open, self.matched = Counter(seal.leaves), set()
        self.links += 1

    def check_hash(self, seal: SealLine) -> None:
        try:
            self.decisions += len(_array(seal.decisions))
            given = link_hash(
                prev=_digest(seal.prev, "prev"),
                writer=seal.writer,
                n=seal.n,
                epoch=seal.epoch,
                at_us=seal.at_us,
                leaves=b"".join(_digest(leaf, "a leaf") for leaf in seal.leaves),
                decisions=bytes(seal.decisions),
            )
            stated = _digest(seal.hash, "hash")
        except (ValueError, StructError, msgspec.DecodeError, RecursionError) as error:
            self.wrong(f"link {seal.n} cannot be hashed: {error}")
            return
        if not hmac.compare_digest(given, stated):
            self.wrong(
                f"link {seal.n}: hash is {seal.hash}, but its contents give {given.hex()}: "
                "its number, writer, epoch, time, prev, leaves or decisions are not what was sealed"
            )

    def take_journal(self, line: JournalLine) -> None:
        where = f"segment {line.first_seq} of run {line.run[:36]}"
        if self.header is not None and not self.header.journal:
            self.wrong(f"{where}: the header says that no journal is in this export")
        if self.seal is None or line.n != self.seal.n:
            stands = f"after link {self.seal.n}" if self.seal else "before any link"
            self.wrong(f"{where} belongs to link {line.n}, but stands {stands}")
            return
        run_id = _identity(line.run, self)
        if run_id is None:
            return
        try:
            leaf = leaf_digest(run_id, line.first_seq, line.data).hex()
        except (ValueError, StructError) as error:
            self.wrong(f"{where} cannot be hashed: {error}")
            return
        if not self.open[leaf]:
            why = "is in this export twice" if leaf in self.matched else "is not what was sealed"
            self.wrong(f"{where} {why}: its digest {leaf} is not (any more) among the leaves of link {line.n}")
            return
        self.open[leaf] -= 1
        self.matched.add(leaf)
        self.segments += 1
        if self.header is not None and self.header.run is not None:
            self.follow_run(self.header.run, line)

    def follow_run(self, run: str, line: JournalLine) -> None:
        """In the proof of one run, its segments must follow each other without a gap."""
        if line.run != run:
            self.wrong(f"a segment of run {line.run[:36]} in the proof of run {run[:36]}")
            return
        if self.spans:
            self.piece(run, line)
            return
        if self.next_seq is not None and line.first_seq != self.next_seq:
            gap = _gap(self.next_seq - 1, line.first_seq)
            self.wrong(f"the run's journal goes on at {line.first_seq}, expected {self.next_seq}: {gap}")
        try:
            self.next_seq = line.first_seq + stored_records(line.data)
        except (ValueError, msgspec.DecodeError, RecursionError) as error:
            self.next_seq = None
            self.wrong(f"segment {line.first_seq} of run {run[:36]} was sealed, but cannot be decoded: {error}")

    def piece(self, run: str, line: JournalLine) -> None:
        """A run that moved between chains: its segments come chain by chain, and are put in order at the end."""
        try:
            self.pieces.append((line.first_seq, stored_records(line.data)))
        except (ValueError, msgspec.DecodeError, RecursionError) as error:
            self.wrong(f"segment {line.first_seq} of run {run[:36]} was sealed, but cannot be decoded: {error}")

    def finish_pieces(self) -> None:
        at: int | None = None
        for first_seq, count in sorted(self.pieces):
            if at is not None and first_seq != at:
                self.wrong(f"the run's journal goes on at {first_seq}, expected {at}: {_gap(at - 1, first_seq)}", 0)
            at = first_seq + count

    def finish_seal(self) -> None:
        left = +self.open
        self.absent += left.total()
        if self.complete and left and self.seal is not None:
            self.wrong(
                f"link {self.seal.n}: {left.total()} of its {len(self.seal.leaves)} segments are not in this export, "
                f"the first is {min(left)}",
                self.seal_at,
            )

    def finish(self, expect_head: str | None) -> Verdict:
        header = self.header
        several = bool(self.spans)
        for what in self.checkpoints.wrong():
            self.wrong(what, 0)
        while self.spans:
            self.finish_chain()
        self.finish_pieces()
        self.finish_seal()
        last_n = self.seal.n if self.seal else 0
        head = self.seal.hash if self.seal else GENESIS.hex()
        if several:
            self.first, last_n = 1, self.links
            head = heads_hash((chain, _bytes(hash)) for chain, hash in self.heads).hex()
        if self.at == 0:
            self.wrong("the export is empty: not even a header", 0)
        if header is not None:
            stated = header.last if header.last >= header.first else 0
            if last_n != stated:
                self.wrong(f"ends at link {last_n}, but the header says {stated}: {_gap(last_n, stated + 1)}", 0)
            elif head != header.head:
                self.wrong(f"the last link has the hash {head[:64]}, but the header says {header.head[:64]}", 0)
            if header.run is not None and not self.segments:
                self.wrong("the proof of a run without a segment of it proves nothing", 0)
        if expect_head is not None and not hmac.compare_digest(head.encode(), expect_head.strip().lower().encode()):
            self.wrong(
                f"the last link has the hash {head[:64]}, expected {expect_head[:64]}: another or a cut chain", 0
            )
        return Verdict(
            ok=not self.problems,
            first=self.first,
            last=last_n,
            head=head,
            links=self.links,
            decisions=self.decisions,
            segments=self.segments,
            absent=self.absent,
            run=header.run if header else None,
            anchored=self.anchored and self.first <= 1,
            head_expected=expect_head is not None,
            begins=self.checkpoints.begins(),
            problems=tuple(self.problems),
        )


def _bytes(head: str) -> bytes:
    """A hash as its bytes; a text that is none cannot match any."""
    try:
        return bytes.fromhex(head)
    except ValueError:
        return b""


def _gap(before: int, after: int) -> str:
    missing = after - before - 1
    if missing > 0:
        return f"{missing} missing"
    return "repeated or out of order"


def _digest(text: str, what: str) -> bytes:
    if len(text) != 2 * DIGEST_BYTES or text.strip("0123456789abcdef"):
        raise ValueError(f"{what} is not {2 * DIGEST_BYTES} lower-case hexadecimal digits: {text[:70]!r}")
    return bytes.fromhex(text)


def _identity(text: str, check: _Check) -> bytes | None:
    try:
        raw = id_bytes(text)
    except ValueError:
        raw = b""
    if len(raw) != RUN_ID_BYTES or id_text(raw) != text:
        check.wrong(f"{text[:40]!r} is not the text of a run id")
        return None
    return raw


def verify(lines: Iterable[bytes], *, expect_head: str | None = None, complete: bool = False) -> Verdict:
    """Check the lines of an export; raises nothing for what they hold. Holds one link in memory, never the whole.

    ``expect_head`` is the hash (64 hexadecimal digits) that the last link must have. With ``complete``, a leaf whose
    segment is not in the export is a problem. Stops after ``MAX_PROBLEMS`` problems.
    """
    check = _Check(complete)
    for line in lines:
        check.take(line)
        if len(check.problems) >= MAX_PROBLEMS:
            break
    return check.finish(expect_head)


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of ``file``, none longer than ``MAX_LINE_BYTES`` and one byte, whatever the file holds."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line


def main(arguments: list[str] | None = None) -> int:
    """The command. 0: verified; 1: not verified; 2: the file cannot be read or the command is wrong."""
    parser = argparse.ArgumentParser(prog="python -m rco.audit.verify", description="Check an export of evidence.")
    parser.add_argument("file", metavar="FILE", help="the export; - reads standard input")
    parser.add_argument("--expect-head", metavar="HASH", help="hash of the last link, as noted outside the system")
    parser.add_argument("--complete", action="store_true", help="a journal segment that is left out is a problem")
    parser.add_argument("--json", action="store_true", help="the verdict as one JSON object")
    asked = parser.parse_args(arguments)
    try:
        if asked.file == "-":
            verdict = verify(read_lines(sys.stdin.buffer), expect_head=asked.expect_head, complete=asked.complete)
        else:
            with Path(asked.file).open("rb") as file:
                verdict = verify(read_lines(file), expect_head=asked.expect_head, complete=asked.complete)
    except OSError as error:
        sys.stderr.write(f"{asked.file}: {error.strerror}; name a file that `rco audit export` wrote\n")
        return 2
    sys.stdout.write(msgspec.json.encode(verdict).decode() + "\n" if asked.json else verdict.text())
    return 0 if verdict.ok else 1


if __name__ == "__main__":
    sys.exit(main())
