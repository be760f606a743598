"""Export evidence as JSON lines that ``rco.audit.verify`` can check without the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Protocol

import msgspec

from rco.audit.lines import FORMAT, ChainSpan, Header, JournalLine, SealLine, encode_line
from rco.audit.link import GENESIS, heads_hash
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
    """Lines, each with its line feed, for the links ``first_n`` to ``last_n`` (default: the head at this moment), of
    each chain where there are several.

    Works in pages, so memory does not grow with the chain. A range beyond the head ends at the head; where retention
    removed the beginning, the export begins at the first link there is. Raises ``EvidenceBroken`` when the last link
    of the range is not in the store, ``ValueError`` for a range that is none.
    """
    if first_n < 1 or (last_n is not None and last_n < first_n):
        raise ValueError(
            f"links {first_n} to {last_n}: links count from 1, and the last may not stand before the first"
        )
    spans = [await _span(reader, chain, first_n, last_n) for chain in sorted(await reader.chains()) or [""]]
    yield encode_line(_header(spans, journal=journal))
    page_seals = _PAGE_SEALS_JOURNAL if journal else _PAGE_SEALS
    for span in spans:
        async for page in _pages(reader, span, page_seals):
            segments = await reader.segments(page[0].n, page[-1].n, span.chain) if journal else []
            for line in _lines(page, segments):
                yield line


async def export_run(reader: EvidenceReader, run_id: bytes) -> AsyncIterator[bytes]:
    """The proof of one run: its journal segments, and every link from its first commit to its last, of each chain that
    it was written to.

    The run's journal is held in memory, the links are not. Raises ``NotFound`` when the store has no journal of it.
    """
    segments = await reader.journal(run_id)
    if not segments:
        raise NotFound(f"no journal of run {id_text(run_id)}", cure="It never was, or retention has removed it.")
    written: dict[str, list[Segment]] = {}
    for segment in segments:
        written.setdefault(segment.chain, []).append(segment)
    spans = [
        await _span(reader, chain, min(s.n for s in written[chain]), max(s.n for s in written[chain]))
        for chain in sorted(written)
    ]
    yield encode_line(_header(spans, journal=True, run=id_text(run_id)))
    for span in spans:
        async for page in _pages(reader, span, _PAGE_SEALS):
            for line in _lines(page, [s for s in written[span.chain] if page[0].n <= s.n <= page[-1].n]):
                yield line


async def _span(reader: AuditReader, chain: str, first_n: int, last_n: int | None) -> ChainSpan:
    """Which links of a chain to export, and the hash of the last."""
    begin, last = await _ends(reader, chain, first_n, last_n)
    return ChainSpan(chain, begin, last.n if last else begin - 1, (last.hash if last else GENESIS).hex())


async def _ends(reader: AuditReader, chain: str, first_n: int, last_n: int | None) -> tuple[int, Seal | None]:
    """The number of the first link to export, and the last link itself."""
    head = await reader.head(chain)
    if head is None or head.n < first_n:
        return first_n, None
    found = await reader.seals(first_n, 1, chain)
    begin = found[0].n if found else first_n
    if last_n is None or last_n >= head.n:
        return begin, head
    found = await reader.seals(last_n, 1, chain)
    if not found or found[0].n != last_n:
        raise EvidenceBroken(f"link {last_n} is not in the store", cure="Export another range, or restore a backup.")
    return begin, found[0]


def _header(spans: list[ChainSpan], *, journal: bool, run: str | None = None) -> Header:
    if len(spans) == 1:
        return Header(FORMAT, spans[0].first, spans[0].last, spans[0].head, journal, run)
    head = heads_hash((span.chain, bytes.fromhex(span.head)) for span in spans).hex()
    links = sum(span.last - span.first + 1 for span in spans)
    return Header(FORMAT, 1, links, head, journal, run, spans)


async def _pages(reader: AuditReader, span: ChainSpan, limit: int) -> AsyncIterator[list[Seal]]:
    at = span.first
    while at <= span.last:
        # What was sealed after the header was written is not part of this export.
        page = [seal for seal in await reader.seals(at, limit, span.chain) if seal.n <= span.last]
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
