"""Export evidence as JSON lines that ``rco.audit.verify`` can check without the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Protocol

import msgspec

from rco.audit.lines import FORMAT, Header, JournalLine, SealLine, encode_line
from rco.audit.link import GENESIS
from rco.errors import EvidenceBroken, NotFound
from rco.kit.digest import DIGEST_BYTES
from rco.kit.ids import id_text
from rco.store.contract.reader import AuditReader, JournalReader, Segment
from rco.store.contract.writer import Seal

__all__ = ["EvidenceReader", "export", "export_run"]

_PAGE_SEALS = 64
# With their journal, links are read in smaller pages: a commit may hold about a mebibyte of it.
_PAGE_SEALS_JOURNAL = 16


class EvidenceReader(AuditReader, JournalReader, Protocol):
    """The two families of a reader that an export needs."""


async def export(
    reader: EvidenceReader, *, first_n: int = 1, last_n: int | None = None, journal: bool = False
) -> AsyncIterator[bytes]:
    """Lines, each with its line feed, for the links ``first_n`` to ``last_n`` (default: the head at this moment).

    Works in pages, so memory does not grow with the chain. A range beyond the head ends at the head; where retention
    removed the beginning, the export begins at the first link there is. Raises ``EvidenceBroken`` when the last link
    of the range is not in the store, ``ValueError`` for a range that is none.
    """
    if first_n < 1 or (last_n is not None and last_n < first_n):
        raise ValueError(
            f"links {first_n} to {last_n}: links count from 1, and the last may not stand before the first"
        )
    begin, last = await _ends(reader, first_n, last_n)
    yield encode_line(Header(FORMAT, begin, last.n if last else begin - 1, _hash_of(last).hex(), journal))
    if last is None:
        return
    page_seals = _PAGE_SEALS_JOURNAL if journal else _PAGE_SEALS
    async for page in _pages(reader, begin, last.n, page_seals):
        segments = await reader.segments(page[0].n, page[-1].n) if journal else []
        for line in _lines(page, segments):
            yield line


async def export_run(reader: EvidenceReader, run_id: bytes) -> AsyncIterator[bytes]:
    """The proof of one run: its journal segments, and every link from its first commit to its last.

    The run's journal is held in memory, the links are not. Raises ``NotFound`` when the store has no journal of it.
    """
    segments = await reader.journal(run_id)
    if not segments:
        raise NotFound(f"no journal of run {id_text(run_id)}", cure="It never was, or retention has removed it.")
    begin, last = await _ends(reader, min(s.n for s in segments), max(s.n for s in segments))
    last_n = last.n if last else begin - 1
    yield encode_line(Header(FORMAT, begin, last_n, _hash_of(last).hex(), True, id_text(run_id)))
    async for page in _pages(reader, begin, last_n, _PAGE_SEALS):
        for line in _lines(page, [s for s in segments if page[0].n <= s.n <= page[-1].n]):
            yield line


async def _ends(reader: AuditReader, first_n: int, last_n: int | None) -> tuple[int, Seal | None]:
    """The number of the first link to export, and the last link itself."""
    head = await reader.head()
    if head is None or head.n < first_n:
        return first_n, None
    found = await reader.seals(first_n, 1)
    begin = found[0].n if found else first_n
    if last_n is None or last_n >= head.n:
        return begin, head
    found = await reader.seals(last_n, 1)
    if not found or found[0].n != last_n:
        raise EvidenceBroken(f"link {last_n} is not in the store", cure="Export another range, or restore a backup.")
    return begin, found[0]


def _hash_of(last: Seal | None) -> bytes:
    return last.hash if last else GENESIS


async def _pages(reader: AuditReader, first_n: int, last_n: int, limit: int) -> AsyncIterator[list[Seal]]:
    at = first_n
    while at <= last_n:
        # What was sealed after the header was written is not part of this export.
        page = [seal for seal in await reader.seals(at, limit) if seal.n <= last_n]
        if not page:
            return
        yield page
        at = page[-1].n + 1


def _lines(page: list[Seal], segments: Iterable[Segment]) -> Iterable[bytes]:
    by_commit: dict[int, list[Segment]] = {}
    for segment in segments:
        by_commit.setdefault(segment.n, []).append(segment)
    for seal in page:
        yield encode_line(_seal_line(seal))
        for segment in by_commit.get(seal.n, ()):
            yield encode_line(JournalLine(segment.n, id_text(segment.run_id), segment.first_seq, segment.data))


def _seal_line(seal: Seal) -> SealLine:
    leaves = seal.leaves.hex()
    step = 2 * DIGEST_BYTES
    return SealLine(
        n=seal.n,
        writer=seal.writer,
        epoch=seal.epoch,
        at_us=seal.at_us,
        prev=seal.prev.hex(),
        hash=seal.hash.hex(),
        leaves=[leaves[at : at + step] for at in range(0, len(leaves), step)],
        decisions=msgspec.Raw(seal.decisions),
    )
